import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { killed, startWriter, surviveKills } from "./spool-killed.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const scratch = new SpoolScratch();
after(() => scratch.remove());

describe("a spool whose process is killed", function () {
  this.timeout(60_000);

  for (const [fsync, rounds] of [
    ["never", 8],
    ["interval", 7],
    ["always", 7],
  ] as const) {
    it(`has everything that was promised, with --fsync ${fsync}, ${rounds} times`, async () => {
      await surviveKills(scratch, fsync, rounds);
    });
  }

  it("is refused to a second process while the first lives, and free at once when that is killed", async () => {
    const directory = scratch.directory();
    const { child, said, complained } = startWriter(directory, "never", 1);
    try {
      while (!said().includes("open")) {
        assert.equal(child.exitCode, null, complained());
        await sleep(5);
      }
      await assert.rejects(scratch.open({ directory }), (error) => {
        assert.ok(error instanceof RuntimeEvidenceError);
        assert.equal(error.code, "limit");
        assert.match(error.message, new RegExp(`in use by another exporter \\(process ${child.pid}\\)`));
        return true;
      });
      // Stopped is not dead.
      child.kill("SIGSTOP");
      await assert.rejects(scratch.open({ directory }), RuntimeEvidenceError);
    } finally {
      await killed(child);
    }
    const startedMs = performance.now();
    const queue = await scratch.open({ directory });
    assert.ok(performance.now() - startedMs < 1_000);
    assert.ok(queue.recovered.requests > 0);
  });
});
