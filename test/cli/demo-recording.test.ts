import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readRecords, runCli } from "../kernel/live.ts";

const RECORDING = fileURLToPath(new URL("../../examples/demo.frames", import.meta.url));

describe("the recording that the demo falls back on", function () {
  this.timeout(60_000);
  it("is of this build's layout and has every event (else run examples/record-demo)", async () => {
    const { code, stdout, stderr } = await runCli(["replay", RECORDING]);
    assert.equal(code, 0, stderr);
    const types = new Set(readRecords(stdout).map(({ event }) => event.type));
    assert.deepEqual(types, new Set(["process_exec", "file_open", "tcp_state"]));
  });
});
