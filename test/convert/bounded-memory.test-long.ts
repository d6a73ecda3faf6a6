import assert from "node:assert/strict";
import { runConvert } from "./convert-process.ts";
import { hostileInputs } from "./hostile-input.ts";

const INPUT_BYTES = 1024 * 1024 * 1024;
/** Of the whole process; some 110 MiB of it are the program itself. */
const RESIDENT_MIB_MAX = 300;
const TIMEOUT_MS = 600_000;

describe("hostile input of 1 GiB ends in a clear error, in bounded memory", function () {
  this.timeout(2 * TIMEOUT_MS);

  for (const [name, { chunks, args = [], says, exitCode }] of Object.entries(hostileInputs)) {
    it(name, async () => {
      const run = await runConvert(chunks(INPUT_BYTES), { args, timeoutMs: TIMEOUT_MS });
      assert.equal(run.exitCode, exitCode, run.stderr);
      assert.match(run.stderr, says);
      assert.ok(run.residentMib < RESIDENT_MIB_MAX, `${run.residentMib} MiB`);
    });
  }
});
