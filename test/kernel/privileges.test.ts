import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { type StartedProcess, startProcess, until } from "../process.ts";
import { CLI, needsKernel, pumpOf, trigger } from "./live.ts";

function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return statusOf(pid).PPid === String(parent);
      } catch {
        return false; // it ended while we looked
      }
    });
}

describe("privileges while running", function () {
  this.timeout(60_000);
  let running: StartedProcess;
  let probe = 0;

  before(async function () {
    needsKernel(this);
    running = await startProcess({
      command: process.execPath,
      args: [CLI, "capture", "--discard"],
    });
    const said = () => `the probe without privileges: ${running.output().stderr}`;
    // It drops its privileges after attaching.
    await until(() => {
      probe = childrenOf(running.pid).find((pid) => statusOf(pid).Name?.startsWith("runtime-evidenc")) ?? 0;
      return probe !== 0 && statusOf(probe).Seccomp === "2";
    }, said);
  });
  after(async () => {
    const exit = await running?.stop();
    if (exit !== undefined) assert.equal(exit.code, 0, running.output().stderr);
  });

  it("neither of the probe's processes has a capability, can get one, or is without seccomp", async () => {
    for (const pid of [probe, Number(await pumpOf(probe))]) {
      const status = statusOf(pid);
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
        assert.equal(BigInt(`0x${status[set]}`), 0n, set);
      }
      assert.equal(status.NoNewPrivs, "1");
      assert.equal(status.Seccomp, "2");
      assert.deepEqual(status.Uid?.split("\t"), ["65534", "65534", "65534", "65534"]);
      assert.equal(status.Groups?.trim() ?? "", "");
    }
  });

  it("the exporter is not root", () => {
    const status = statusOf(running.pid);
    assert.ok(!status.Uid?.split("\t").includes("0"), status.Uid);
    assert.ok(!status.Gid?.split("\t").includes("0"), status.Gid);
    assert.equal(BigInt(`0x${status.CapEff}`), 0n);
  });

  it("it still captures", async () => {
    execFileSync(trigger("open-loop"), ["/nonexistent/after-drop", "1000"]);
    const { code } = await running.stop();
    assert.equal(code, 0);
    const [, exported] = /file_open\s+\d+ seen = (\d+) exported/.exec(running.output().stderr) ?? [];
    assert.ok(Number(exported) >= 1000, running.output().stderr);
  });
});
