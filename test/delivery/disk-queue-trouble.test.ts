/** The disk queue on disks that are full or broken. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { skip } from "../skip.ts";
import { BrokenSpool, settles, taken, until } from "./broken-spool.ts";
import { numbered, numberOf, sealed } from "./sealed.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const never = new AbortController().signal;

describe("the disk queue on a broken disk", () => {
  for (const [operation, code] of [
    ["write", "EIO"],
    ["sync", "EIO"],
    ["rename", "EACCES"],
    ["syncDirectory", "EIO"],
    ["write", "ENOSPC"],
  ] as const) {
    it(`waits while ${operation} fails with ${code}, says so once, and goes on when it works`, async () => {
      const { queue, disk, lines, ...broken } = await new BrokenSpool().open();
      disk.fault = (asked) => (asked === operation ? code : undefined);
      const offers = Promise.all([queue.offer(numbered(1)), queue.offer(numbered(2))]);
      await until(() => (queue.spoolStats().failures.get(`write ${code}`) ?? 0) > 2);
      assert.equal(await settles(offers), false);
      assert.deepEqual(lines, [`spool /spool: write failed: ${code}; new requests wait`]);
      assert.equal(queue.spoolStats().writeFailing, true);
      disk.fault = () => undefined;
      await offers;
      assert.deepEqual(lines.slice(1), ["spool /spool: written again"]);
      assert.equal(queue.spoolStats().writeFailing, false);
      for (const number of [1, 2]) {
        const lease = await taken(queue);
        assert.equal(numberOf(lease.request), number);
        lease.acknowledge();
      }
      await queue.end();
      assert.equal(disk.names.size, 0);
      assert.deepEqual(broken.dropped, []);
    });
  }

  it("can abort an offer that waits for a broken disk, and close", async () => {
    const broken = await new BrokenSpool().open();
    broken.fail("write", "EIO");
    const abort = new AbortController();
    const aborted = broken.queue.offer(numbered(1), abort.signal);
    const refused = broken.queue.offer(numbered(2));
    assert.equal(await settles(aborted), false);
    abort.abort(new Error("enough"));
    await assert.rejects(aborted, /enough/);
    broken.queue.close();
    await assert.rejects(refused, RuntimeEvidenceError);
    assert.equal(await broken.queue.take(never), undefined);
    await broken.queue.end();
    assert.equal(broken.disk.names.size, 0);
  });

  it("drops what it can't write, when told to drop, and says so", async () => {
    const broken = await new BrokenSpool().open({ whenFull: "drop-newest" });
    broken.fail("write", "EIO");
    await broken.queue.offer(sealed(10, 1));
    broken.fail("write", "ENOSPC");
    await broken.queue.offer(sealed(10, 2));
    broken.repair();
    await broken.queue.offer(sealed(10, 3));
    assert.deepEqual(broken.dropped, ["1 queue_full", "2 queue_full"]);
    assert.equal((await taken(broken.queue)).request.recordCount, 3);
  });

  it("drops the oldest for room on a full disk, but not what is leased", async () => {
    const broken = await new BrokenSpool().open({ whenFull: "drop-oldest" });
    for (const records of [1, 2, 3]) await broken.queue.offer(sealed(100, records));
    await taken(broken.queue);
    broken.disk.bytesMax = broken.disk.usedBytes;
    await broken.queue.offer(sealed(100, 4));
    assert.deepEqual(broken.dropped, ["2 queue_full"]);
    await broken.queue.offer(sealed(150, 5));
    assert.deepEqual(broken.dropped, ["2 queue_full", "3 queue_full", "4 queue_full"]);
    assert.equal(broken.queue.stats().requests, 2);
  });

  it("drops no more for one request where somebody else fills the disk", async () => {
    const broken = await new BrokenSpool().open({ whenFull: "drop-oldest" });
    for (const records of [1, 2, 3, 4, 5]) await broken.queue.offer(sealed(100, records));
    broken.disk.bytesMax = 0;
    await broken.queue.offer(sealed(100, 6));
    assert.deepEqual(broken.dropped, ["1 queue_full", "2 queue_full", "3 queue_full", "6 queue_full"]);
    assert.equal(broken.queue.stats().requests, 2);
  });

  it("lends a request it can't write to a sender that has nothing else to do", async () => {
    const broken = await new BrokenSpool().open();
    const lending = taken(broken.queue);
    broken.fail("write", "ENOSPC");
    const offer = broken.queue.offer(numbered(1));
    const lease = await lending;
    assert.equal(numberOf(lease.request), 1);
    assert.equal(await settles(offer), false, "neither on disk nor acknowledged");
    lease.acknowledge();
    await offer;
    assert.deepEqual(broken.queue.stats(), { requests: 0, bytes: 0, records: 0 });
    broken.repair();
    await broken.queue.offer(numbered(2));
    await broken.queue.end();
    assert.equal(broken.disk.names.size, 1);
  });

  it("lends it again after a release, also to one who comes later", async () => {
    const broken = await new BrokenSpool().open();
    broken.fail("write", "EIO");
    const offer = broken.queue.offer(numbered(1));
    assert.equal(await settles(offer), false);
    (await taken(broken.queue)).release();
    (await taken(broken.queue)).acknowledge();
    await offer;
  });

  it("keeps a lent request once its disk works again, until it is acknowledged", async () => {
    const broken = await new BrokenSpool().open();
    broken.fail("write", "EIO");
    const offer = broken.queue.offer(numbered(1));
    const lease = await taken(broken.queue);
    broken.repair();
    await offer;
    assert.equal(broken.queue.stats().requests, 1);
    lease.release();
    const again = await taken(broken.queue);
    assert.equal(numberOf(again.request), 1);
    again.acknowledge();
    await broken.queue.end();
    assert.equal(broken.disk.names.size, 0);
  });

  it("leaves no file behind of what is acknowledged while it is written", async () => {
    const broken = await new BrokenSpool().open();
    broken.fail("write", "EIO");
    const offer = broken.queue.offer(numbered(1));
    const lease = await taken(broken.queue);
    const renaming = Promise.withResolvers<void>();
    let reached = false;
    broken.disk.gate = (operation) => {
      if (operation !== "rename") return undefined;
      reached = true;
      return renaming.promise;
    };
    broken.repair();
    await until(() => reached);
    lease.acknowledge();
    renaming.resolve();
    await offer;
    await broken.queue.end();
    assert.equal(broken.disk.names.size, 0);
    assert.equal(broken.queue.stats().requests, 0);
  });

  it("never waits for a broken disk when it is told to end", async () => {
    const broken = await new BrokenSpool().open();
    broken.fail("write", "EIO");
    const offer = broken.queue.offer(numbered(1));
    await taken(broken.queue);
    const refused = assert.rejects(offer, RuntimeEvidenceError);
    await broken.queue.end();
    await refused;
  });

  it("removes what it could not remove, later, and counts it towards its limit meanwhile", async () => {
    const broken = await new BrokenSpool().open({ bytesMax: 400 });
    await broken.queue.offer(sealed(300, 1));
    broken.fail("remove", "EIO");
    (await taken(broken.queue)).acknowledge();
    await until(() => broken.lines.length > 0);
    assert.match(broken.lines.join(), /remove failed: EIO/);
    broken.disk.fault = (operation, name) =>
      operation === "remove" && name.endsWith(".request") ? "EIO" : undefined;
    await broken.queue.offer(sealed(10, 2));
    assert.equal(broken.queue.spoolStats().files, 2);
    assert.equal(await settles(broken.queue.offer(sealed(40, 3))), false);
    broken.repair();
    await until(() => broken.queue.stats().requests === 2);
    await broken.queue.end();
    assert.equal(broken.disk.names.size, 2);
  });
});

describe("forcing files to disk at intervals", () => {
  it("writes a file anew that could not be forced to disk", async () => {
    const broken = await new BrokenSpool().open({ fsync: "interval", fsyncIntervalMs: 2 });
    await broken.queue.offer(numbered(1));
    let failures = 1;
    broken.disk.fault = (operation) => (operation === "sync" && failures-- > 0 ? "EIO" : undefined);
    const [before] = broken.disk.names.values();
    await until(() => broken.disk.durableFiles().length === 1);
    assert.notEqual([...broken.disk.names.values()][0], before, "the pages that failed count as written");
    assert.equal(broken.queue.spoolStats().failures.get("fsync EIO"), 1);
    assert.equal(numberOf((await taken(broken.queue)).request), 1);
  });

  it("does not bring back what is acknowledged while it is written anew", async () => {
    const broken = await new BrokenSpool().open({ fsync: "interval", fsyncIntervalMs: 2 });
    await broken.queue.offer(numbered(1));
    const lease = await taken(broken.queue);
    let failures = 1;
    const renaming = Promise.withResolvers<void>();
    let reached = false;
    broken.disk.fault = (operation) => (operation === "sync" && failures-- > 0 ? "EIO" : undefined);
    broken.disk.gate = (operation) => {
      if (operation !== "rename") return undefined;
      reached = true;
      return renaming.promise;
    };
    await until(() => reached);
    lease.acknowledge();
    await until(() => [...broken.disk.names.keys()].every((name) => name.endsWith(".tmp")));
    renaming.resolve();
    await broken.queue.end();
    assert.deepEqual([...broken.disk.names.keys()], []);
  });

  it("never forces to disk what is delivered before its turn", async () => {
    const broken = await new BrokenSpool().open({ fsync: "interval", fsyncIntervalMs: 300 });
    const asked: string[] = [];
    broken.disk.fault = (operation) => void asked.push(operation) as undefined;
    for (const number of [1, 2, 3]) {
      await broken.queue.offer(numbered(number));
      (await taken(broken.queue)).acknowledge();
    }
    await sleep(400);
    await broken.queue.end();
    assert.ok(!asked.includes("sync"), asked.join());
  });

  it("forces to disk what is left when it ends", async () => {
    const broken = await new BrokenSpool().open({ fsync: "interval", fsyncIntervalMs: 60_000 });
    await broken.queue.offer(numbered(1));
    await broken.queue.end();
    assert.equal(broken.disk.durableFiles().length, 1);
  });
});

describe("the disk queue on a full disk", () => {
  const scratch = new SpoolScratch();
  let directory: string;

  beforeEach(function () {
    if (process.getuid?.() !== 0) skip(this, "needs root to mount a small tmpfs");
    directory = scratch.directory();
    mkdirSync(directory, { mode: 0o700 });
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", directory]);
  });
  afterEach(async () => {
    await scratch.end();
    if (directory !== undefined) execFileSync("umount", [directory]);
    await scratch.remove();
  });

  it("blocks with one line, damages nothing, and goes on as room is made", async () => {
    const lines: string[] = [];
    const queue = await scratch.open({ directory, memoryBytesMax: 0, onTrouble: (line) => lines.push(line) });
    let offered = 0;
    const offering = (async () => {
      for (let number = 1; number <= 40; number++) {
        await queue.offer(sealed(100_000, number));
        offered = number;
      }
    })();
    await until(() => lines.length > 0);
    assert.deepEqual(lines, [`spool ${directory}: write failed: ENOSPC; new requests wait`]);
    assert.ok(offered >= 8 && offered <= 10, `${offered} requests on 1 MiB`);
    assert.ok(statfsSync(directory).bavail * statfsSync(directory).bsize < 200_000);
    for (let number = 1; number <= 40; number++) {
      const lease = await taken(queue);
      assert.equal(lease.request.recordCount, number);
      assert.equal(Buffer.compare(lease.request.body, sealed(100_000).body), 0);
      lease.acknowledge();
    }
    await offering;
    assert.equal(queue.spoolStats().damagedFiles, 0);
    await queue.end();
    assert.deepEqual(readdirSync(directory), []);
  });

  it("takes up writing when somebody else makes room", async () => {
    const filler = join(directory, "filler");
    const queue = await scratch.open({ directory });
    writeFileSync(filler, Buffer.alloc(1_000_000));
    const offer = queue.offer(sealed(200_000));
    assert.equal(await settles(offer), false);
    rmSync(filler);
    await offer;
    assert.equal(readdirSync(directory).filter((name) => name.endsWith(".request")).length, 1);
  });

  it("drops the oldest for the newest, to the record, when told to", async () => {
    let dropped = 0;
    const queue = await scratch.open({
      directory,
      whenFull: "drop-oldest",
      onDropped: ({ recordCount }) => {
        dropped += recordCount;
      },
    });
    for (let number = 1; number <= 40; number++) await queue.offer(sealed(100_000, number));
    const { records, requests } = queue.stats();
    assert.ok(requests >= 7, `${requests} requests are left`);
    assert.equal(dropped + records, (40 * 41) / 2);
    assert.equal((await taken(queue)).request.recordCount, 40 - requests + 1);
  });

  it("starts on a disk that is full, and delivers what is there", async () => {
    const first = await scratch.open({ directory });
    await first.offer(sealed(1_000, 7));
    await first.end();
    assert.throws(() => writeFileSync(join(directory, "filler"), Buffer.alloc(2_000_000)), /ENOSPC/);
    const second = await scratch.open({ directory });
    (await taken(second)).acknowledge();
    await second.end();
    assert.deepEqual(readdirSync(directory), ["filler"]);
  });
});
