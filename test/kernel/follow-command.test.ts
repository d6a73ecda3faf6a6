import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EvidenceRecord, FileOpen, ProcessExec } from "../../src/evidence/record.ts";
import { CLI, capture, needsKernel, readRecords, runCli, startCapture } from "./live.ts";

const execs = (records: EvidenceRecord[]) =>
  records.filter(
    (record): record is EvidenceRecord & { event: ProcessExec } => record.event.type === "process_exec",
  );
const opens = (records: EvidenceRecord[]) =>
  records.filter(
    (record): record is EvidenceRecord & { event: FileOpen } => record.event.type === "file_open",
  );

describe("capture -- CMD", function () {
  this.timeout(60_000);
  before(function () {
    needsKernel(this);
  });

  it("prints the command's evidence and nothing from outside its process tree", async () => {
    // A neighbour that opens files all the time.
    const noise = spawn("sh", ["-c", "while :; do cat /etc/passwd >/dev/null; done"], { stdio: "ignore" });
    try {
      const { code, stdout } = await runCli([
        "capture",
        "--output",
        "-",
        "--",
        "sh",
        "-c",
        "cat /etc/hostname >/dev/null",
      ]);
      assert.equal(code, 0);
      const records = readRecords(stdout);
      const cat = execs(records).find(({ comm }) => comm === "cat");
      const sh = execs(records).find(({ comm }) => comm === "sh");
      assert.ok(cat !== undefined && sh !== undefined);
      assert.equal(cat.event.argv0, "cat");
      assert.match(cat.event.filename, /\/cat$/);
      assert.equal(cat.event.ppid, sh.pid);
      const hostname = opens(records).filter(({ event }) => event.path === "/etc/hostname");
      assert.equal(hostname.length, 1);
      assert.deepEqual(
        { ...hostname[0]?.event, pid: hostname[0]?.pid },
        { type: "file_open", path: "/etc/hostname", flags: 0, access: "read", dfd: -100, pid: cat.pid },
      );
      for (const record of records) assert.ok([sh.pid, cat.pid].includes(record.pid), JSON.stringify(record));
    } finally {
      noise.kill("SIGKILL");
    }
  });

  it("begins before the command's own exec and sees its grandchildren", async () => {
    const { records } = await capture(
      [],
      ["sh", "-c", "sh -c 'sh -c \"true; cat /etc/os-release\"; true'; true"],
    );
    const [first] = execs(records);
    assert.equal(first?.comm, "sh");
    const pids = new Map(execs(records).map(({ pid, event }) => [pid, event.ppid]));
    const cat = execs(records).find(({ comm }) => comm === "cat");
    let depth = 0;
    for (let pid = cat?.pid as number; pids.has(pid) && depth < 10; depth++) pid = pids.get(pid) as number;
    assert.equal(depth, 4, "cat, and three shells above it");
  });

  it("returns the command's exit code", async () => {
    assert.equal((await capture([], ["sh", "-c", "exit 42"])).code, 42);
    assert.equal((await capture([], ["sh", "-c", "kill -9 $$"])).code, 137);
    const missing = await capture([], ["/no/such/program"]);
    assert.equal(missing.code, 127);
    assert.match(missing.stderr, /no\/such\/program/);
    assert.equal((await capture([], ["/etc/passwd"])).code, 126);
  });

  it("leaves the command's input, output and arguments alone", async () => {
    const { stdout } = await runCli(
      [
        "capture",
        "--output",
        "/dev/null",
        "--summary",
        "none",
        "--",
        "sh",
        "-c",
        'cat; echo "$1|$2"',
        "-",
        "--pid",
        "a b",
      ],
      "from standard input\n",
    );
    assert.equal(stdout, "from standard input\n--pid|a b\n");
  });

  it("forwards signals to a command that the exporter itself may no longer signal", async () => {
    const child = spawn(
      process.execPath,
      [
        CLI,
        "capture",
        "--output",
        "/dev/null",
        "--",
        "sh",
        "-c",
        'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done',
      ],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    try {
      await once(child.stdout, "data");
      child.kill("SIGTERM");
      const [code] = (await once(child, "exit")) as [number];
      assert.equal(code, 9);
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("waits for a command that outlives the capture, and still returns its exit code", async () => {
    const started = performance.now();
    const { code } = await capture(["--duration", "300ms"], ["sh", "-c", "sleep 1.5; exit 6"]);
    assert.equal(code, 6);
    assert.ok(performance.now() - started > 1500);
  });

  it("does not run the command when nothing can be captured", async () => {
    const marker = join(mkdtempSync(join(tmpdir(), "runtime-evidence-marker-")), "ran");
    // Without any right, no hook can be attached.
    const { status, stderr } = spawnSync(
      "setpriv",
      [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        process.execPath,
        CLI,
        "capture",
        "--output",
        "/dev/null",
        "--",
        "touch",
        marker,
      ],
      { encoding: "utf8", timeout: 30_000 },
    );
    assert.equal(status, 4, stderr);
    assert.match(stderr, /^error: no hook could be attached/m);
    assert.match(stderr, /^off: sys_enter_openat, .*: the kernel did not permit/m);
    assert.equal(existsSync(marker), false);
    rmSync(join(marker, ".."), { recursive: true });
  });

  it("keeps its own processes out, and counts them as filtered", async () => {
    const running = await startCapture(["--events", "file_open,process_exec"]);
    // By process id: other tests capture at the same time, and theirs are seen like any process.
    const own = [running.exporter, Number(running.keeper), Number(await running.pump())];
    const neighbour = `/nonexistent/neighbour-${process.pid}`;
    spawnSync("cat", [neighbour], { stdio: "ignore" });
    const { records, books } = await running.stop();
    assert.equal(opens(records).filter(({ event }) => event.path === neighbour).length, 1);
    assert.deepEqual(
      records.filter(({ pid }) => own.includes(Number(pid))),
      [],
    );
    const filtered = books.find(({ probe }) => probe === "file_open")?.filtered;
    assert.ok(BigInt(filtered ?? 0) > 0n, "there is no filter but that for its own");
  });
});
