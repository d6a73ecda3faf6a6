import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProcessExec } from "../../src/evidence/record.ts";
import { capture, needsKernel, trigger } from "./live.ts";

describe("process_exec", function () {
  this.timeout(60_000);
  before(function () {
    needsKernel(this);
  });

  const execsOf = async (command: string[]) => {
    const { records } = await capture(["--events", "process_exec"], command);
    return records.map(({ event }) => event as ProcessExec);
  };

  it("has the argv[0] that was passed, not the name of the file", async () => {
    const [, second] = await execsOf([trigger("exec-argv0"), "/bin/true", "-not-the-name"]);
    assert.equal(second?.argv0, "-not-the-name");
    assert.equal(second?.filename, "/bin/true");
  });

  it("tells an empty argv[0] from none", async () => {
    const [, empty] = await execsOf([trigger("exec-argv0"), "/bin/true", ""]);
    assert.equal(empty?.argv0, "");
  });

  it("of a script is the script", async () => {
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-exec-"));
    const script = `${directory}/script`;
    writeFileSync(script, "#!/bin/sh\ntrue\n", { mode: 0o755 });
    try {
      const [exec] = await execsOf([script]);
      assert.equal(exec?.filename, script);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
