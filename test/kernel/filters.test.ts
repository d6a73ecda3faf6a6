import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EvidenceRecord, FileOpen } from "../../src/evidence/record.ts";
import { capture, needsKernel } from "./live.ts";

/** Two shells under one parent; each opens its own file again and again. */
function startWorkload(directory: string, uid: number): ChildProcess {
  const loop = (name: string) => `while :; do : < "${directory}/${name}" || sleep 0.01; sleep 0.01; done`;
  return spawn("bash", ["-c", `(${loop("first")}) & echo $!; (${loop("second")}) & echo $!; wait`], {
    stdio: ["ignore", "pipe", "ignore"],
    uid,
    detached: true,
  });
}

describe("filters in the kernel", function () {
  this.timeout(60_000);
  const uid = 12345;
  let directory = "";
  let workload: ChildProcess;
  let first = 0;
  let second = 0;

  before(async function () {
    needsKernel(this);
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-filters-"));
    workload = startWorkload(directory, uid);
    let text = "";
    while (text.split("\n").length < 3)
      text += String((await once(workload.stdout as NodeJS.EventEmitter, "data"))[0]);
    [first, second] = text.split("\n").map(Number) as [number, number];
  });
  after(() => {
    if (workload?.pid !== undefined) process.kill(-workload.pid, "SIGKILL");
    if (directory !== "") rmSync(directory, { recursive: true });
  });

  /** Which of the workload's files are seen, and by whom, with these filters. */
  async function seen(filters: string[]) {
    const { records } = await capture(["--events", "file_open", "--duration", "700ms", ...filters]);
    const own = records.filter((record): record is EvidenceRecord & { event: FileOpen } =>
      (record.event as FileOpen).path.startsWith(`${directory}/`),
    );
    return {
      files: [...new Set(own.map(({ event }) => event.path.slice(directory.length + 1)))].sort(),
      others: records.length - own.length,
      records,
    };
  }

  it("none: both are seen", async () => {
    assert.deepEqual((await seen([])).files, ["first", "second"]);
  });

  it("--pid and --exclude-pid", async () => {
    const only = await seen(["--pid", String(first)]);
    assert.deepEqual(only.files, ["first"]);
    assert.ok(only.records.every(({ pid }) => pid === first));
    assert.deepEqual((await seen(["--exclude-pid", String(first)])).files, ["second"]);
    assert.deepEqual((await seen(["--pid", String(first), "--pid", String(second)])).files, [
      "first",
      "second",
    ]);
  });

  it("--tree covers descendants that were there before, and those to come", async () => {
    const tree = await seen(["--tree", String(workload.pid)]);
    assert.deepEqual(tree.files, ["first", "second"]);
    // sleep is a new child each time.
    assert.ok(tree.records.some(({ comm }) => comm === "sleep"));
    assert.ok(tree.records.every(({ comm }) => ["bash", "sleep"].includes(comm)));
    assert.deepEqual((await seen(["--exclude-tree", String(workload.pid)])).files, []);
  });

  it("--comm and --exclude-comm", async () => {
    const only = await seen(["--comm", "sleep"]);
    assert.deepEqual(only.files, []);
    assert.ok(only.others > 0 && only.records.every(({ comm }) => comm === "sleep"));
    assert.deepEqual((await seen(["--exclude-comm", "bash"])).files, []);
  });

  it("--uid and --exclude-uid", async () => {
    assert.deepEqual((await seen(["--uid", String(uid)])).files, ["first", "second"]);
    assert.deepEqual((await seen(["--exclude-uid", String(uid)])).files, []);
  });

  it("--path takes prefixes, and the longest match decides", async () => {
    const below = await seen(["--path", `${directory}/`]);
    assert.deepEqual(below.files, ["first", "second"]);
    assert.equal(below.others, 0);
    assert.deepEqual((await seen(["--path", `${directory}/fi`])).files, ["first"]);
    assert.deepEqual((await seen(["--path", directory, "--exclude-path", `${directory}/first`])).files, [
      "second",
    ]);
    assert.deepEqual((await seen(["--exclude-path", directory])).files, []);
  });

  it("--cgroup by id", async () => {
    const everything = await seen([]);
    const id = String(everything.records.find(({ pid }) => pid === first)?.cgroup_id);
    assert.deepEqual((await seen(["--cgroup", id])).files, ["first", "second"]);
    assert.deepEqual((await seen(["--exclude-cgroup", id])).files, []);
    assert.deepEqual((await seen(["--cgroup", "18446744073709551615"])).files, []);
  });

  it("must all pass", async () => {
    assert.deepEqual((await seen(["--uid", String(uid), "--pid", String(first), "--comm", "bash"])).files, [
      "first",
    ]);
    assert.deepEqual((await seen(["--uid", "4242", "--pid", String(first)])).files, []);
  });
});
