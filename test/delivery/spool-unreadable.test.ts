/** Files of a spool that the disk does not give: nobody knows what is in them, and so they are not lost. */
import assert from "node:assert/strict";
import { BrokenSpool, taken, until } from "./broken-spool.ts";
import { sealed } from "./sealed.ts";

const never = new AbortController().signal;

describe("the disk queue and a file that can't be read", () => {
  it("reads again what it could not read, and leaves it to the next start after some tries", async () => {
    const broken = await new BrokenSpool().open({ memoryBytesMax: 0 });
    for (const records of [1, 2]) await broken.queue.offer(sealed(10, records));
    let failures = 2;
    broken.disk.fault = (operation, name) =>
      operation === "read" && name.startsWith("0000000000000001") && failures-- > 0 ? "EIO" : undefined;
    const second = await taken(broken.queue);
    const first = await taken(broken.queue);
    assert.deepEqual([first.request.recordCount, second.request.recordCount], [1, 2]);
    first.release();
    second.acknowledge();
    broken.fail("read", "EIO");
    const taking = broken.queue.take(never);
    await until(() => broken.queue.stats().requests === 0);
    broken.queue.close();
    assert.equal(await taking, undefined, "nobody waits for it at the end");
    assert.equal(broken.queue.spoolStats().files, 1, "it takes room all the same");
    await broken.queue.end();
    assert.deepEqual(broken.dropped, []);
    broken.repair();
    await broken.open();
    assert.equal((await taken(broken.queue)).request.recordCount, 1);
  });

  for (const code of ["EIO", "EACCES", "EMFILE"]) {
    it(`takes no file for damaged that it can't read at the start (${code}), and does not forget it`, async () => {
      const broken = await new BrokenSpool().open();
      for (const records of [1, 2, 3]) await broken.queue.offer(sealed(10, records));
      await broken.queue.end();
      const names = [...broken.disk.names.keys()];
      broken.disk.fault = (operation, name) =>
        operation === "read" && !name.startsWith("0000000000000002") ? code : undefined;
      await broken.open();
      const { recovered } = broken.queue;
      assert.deepEqual(
        [recovered.unreadableFiles, recovered.damagedFiles, recovered.requests, recovered.records],
        [2, 0, 1, 2],
      );
      assert.match(
        broken.lines.join("\n"),
        new RegExp(`read failed: ${code}; 0000000000000001.request stays where`),
      );
      assert.match(broken.lines.join("\n"), /2 files can't be read in all, and stay/);
      assert.equal(broken.queue.spoolStats().failures.get(`read ${code}`), 2);
      await broken.queue.offer(sealed(10, 4));
      await broken.queue.end();
      assert.deepEqual([...broken.disk.names.keys()].slice(0, 3), names);
      broken.repair();
      await broken.open();
      const leases = [];
      for (let count = 0; count < 4; count++) leases.push(await taken(broken.queue));
      assert.deepEqual(
        leases.map(({ request }) => request.recordCount),
        [1, 2, 3, 4],
      );
      assert.deepEqual(broken.dropped, []);
    });
  }

  it("does not start where the directory can't be read", async () => {
    const broken = new BrokenSpool();
    broken.fail("names", "EIO");
    await assert.rejects(broken.open(), { code: "io", message: "cannot read the spool /spool: EIO" });
  });
});
