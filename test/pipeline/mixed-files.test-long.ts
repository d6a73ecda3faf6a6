/** A million records of evidence among a million of others, one in a hundred twice: exact counts, flat memory. */
import assert from "node:assert/strict";
import { CLI } from "../kernel/live.ts";
import { startProcess } from "../process.ts";
import { scratch } from "./evidence-files.ts";
import { writeMixedFile } from "./mixed-file.ts";

/** Of the whole process. What is used at once is a few requests; the rest is what V8 does not give back at once. */
const RESIDENT_MIB_MAX = 350;
const TIMEOUT_MS = 600_000;
const SAY_MEMORY =
  "data:text/javascript,process.on('exit',()=>console.error('resident '+process.resourceUsage().maxRSS))";

describe("a large mixed file", function () {
  this.timeout(TIMEOUT_MS);
  const files = scratch();
  after(() => files.remove());

  it("is counted exactly, in bounded memory", async () => {
    const path = files.path("mixed.binpb");
    const expected = writeMixedFile(path, 1_000_000);
    assert.deepEqual(expected, { evidence: 1_000_000, foreign: 1_000_000, duplicates: 10_000 });
    const running = await startProcess({
      command: process.execPath,
      args: ["--import", SAY_MEMORY, CLI, "convert", path, "--output", "/dev/null"],
      isReady: ({ stderr }) => stderr.includes("resident"),
      readyTimeoutMs: TIMEOUT_MS,
    });
    const { code } = await running.exited;
    const { stderr } = running.output();
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^1,000,000 records, 10,000 duplicates dropped, 1,000,000 log records of others passed over$/m,
    );
    const residentKib = Number(/^resident (\d+)$/m.exec(stderr)?.[1]);
    assert.ok(residentKib < RESIDENT_MIB_MAX * 1024, `${residentKib} KiB`);
  });
});
