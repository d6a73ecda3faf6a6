/** Hostile input of one size, through the command in a process of its own. */
import assert from "node:assert/strict";
import { runConvert } from "./convert-process.ts";
import { hostileInputs } from "./hostile-input.ts";

/** Of the whole process; some 110 MiB of it are the program itself. */
const RESIDENT_MIB_MAX = 300;

export function boundedMemory(size: string, inputBytes: number, timeoutMs: number): void {
  describe(`hostile input of ${size} ends in a clear error, in bounded memory`, function () {
    this.timeout(2 * timeoutMs);

    for (const [name, { chunks, args = [], says, exitCode }] of Object.entries(hostileInputs)) {
      it(name, async () => {
        const run = await runConvert(chunks(inputBytes), { args, timeoutMs });
        assert.equal(run.exitCode, exitCode, run.stderr);
        assert.match(run.stderr, says);
        assert.ok(run.residentMib < RESIDENT_MIB_MAX, `${run.residentMib} MiB`);
      });
    }
  });
}
