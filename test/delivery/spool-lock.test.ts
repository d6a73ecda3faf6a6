import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { lockSpool, type SpoolLock } from "../../src/delivery/spool-lock.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const scratch = new SpoolScratch();
const handles: FileHandle[] = [];
after(async () => {
  for (const handle of handles) await handle.close();
  await scratch.remove();
});

interface Lockable {
  readonly directory: string;
  lock(): Promise<SpoolLock>;
}

async function lockable(parent = scratch.directory()): Promise<Lockable> {
  const directory = parent;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const handle = await open(directory);
  handles.push(handle);
  return { directory, lock: () => lockSpool(directory, handle) };
}

describe("the lock of a spool", () => {
  it("is held by one at a time, and leaves nothing behind", async () => {
    const { directory, lock } = await lockable();
    const held = await lock();
    await assert.rejects(lock(), RuntimeEvidenceError);
    await held.release();
    await (await lock()).release();
    assert.deepEqual(readdirSync(directory), []);
  });

  it("is never won by two that start at the same time", async function () {
    this.timeout(30_000);
    const { directory, lock } = await lockable();
    let won = 0;
    for (let round = 0; round < 15; round++) {
      const outcomes = await Promise.allSettled(Array.from({ length: 4 }, lock));
      const winners = outcomes.filter((outcome) => outcome.status === "fulfilled");
      assert.ok(winners.length <= 1, `${winners.length} winners in round ${round}`);
      won += winners.length;
      for (const winner of winners) await winner.value.release();
      assert.deepEqual(readdirSync(directory), []);
    }
    assert.ok(won > 0, "sometimes somebody wins");
  });

  it("takes over from a socket whose process is gone, and from what is no socket", async () => {
    const { directory, lock } = await lockable();
    writeFileSync(join(directory, `lock-1-${"0".repeat(16)}`), "");
    writeFileSync(join(directory, `lock-2-${"0".repeat(16)}.new`), "");
    const held = await lock();
    const [own, ...others] = readdirSync(directory);
    assert.match(own as string, new RegExp(`^lock-${process.pid}-[0-9a-f]{16}$`));
    assert.deepEqual(others, []);
    await held.release();
  });

  it("gives up only to who could win: not to one that has not said its name yet", async () => {
    const { directory, lock } = await lockable();
    const claim = createServer();
    await new Promise<void>((resolve) =>
      claim.listen(join(directory, `lock-3-${"a".repeat(16)}.new`), resolve),
    );
    const held = await lock();
    await held.release();
    await new Promise((resolve) => claim.close(resolve));
  });

  it("works however long the path is", async () => {
    const { lock } = await lockable(join(scratch.directory(), "a".repeat(120), "b".repeat(120)));
    await (await lock()).release();
  });
});
