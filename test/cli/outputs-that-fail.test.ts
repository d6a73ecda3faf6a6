import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FrameFlag } from "../../src/frames/layout.gen.ts";
import { countersFrame, fileOpenFrame, helloFrame } from "../frames/build-frame.ts";
import { booksOf, CLI, runCli } from "../kernel/live.ts";
import { freePorts, startProcess } from "../process.ts";

const EVENTS = 20_000;
const RECORDING = Buffer.concat([
  helloFrame(),
  ...new Array<Buffer>(EVENTS).fill(fileOpenFrame()),
  countersFrame({ 0: { seen: BigInt(EVENTS), emitted: BigInt(EVENTS), filtered: 0n } }, FrameFlag.FINAL),
]);

describe("outputs that fail", function () {
  this.timeout(60_000);
  this.retries(1);
  let directory = "";
  let recording = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-outputs-"));
    recording = join(directory, "recording");
    writeFileSync(recording, RECORDING);
  });
  after(() => rmSync(directory, { recursive: true }));

  const shell = (command: string) =>
    spawnSync("bash", ["-c", command, "-", process.execPath, CLI, recording], {
      encoding: "utf8",
      timeout: 50_000,
    });

  it("a full disk is one line, exit code 1, and the books say what was lost", () => {
    const { status, stderr } = shell('"$1" "$2" replay "$3" --summary json >/dev/full');
    assert.equal(status, 1);
    assert.match(stderr, /^error: cannot write standard output: ENOSPC/m);
    assert.doesNotMatch(stderr, /at .*\.js:/, "no stack trace");
    const [books] = booksOf({ code: 1, stdout: "", stderr });
    assert.ok(Number(books?.seen) > 0, "reading stops when there is nowhere to write");
    assert.equal(books?.lost.output_failed, books?.seen);
    assert.equal(books?.unaccounted, "0");
  });

  it("a reader that has seen enough is no error, and the books still balance", () => {
    const { status, stderr, stdout } = shell(
      `"$1" "$2" replay "$3" --summary json | head -1; exit "\${PIPESTATUS[0]}"`,
    );
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trimEnd().split("\n").length, 1);
    const [books] = booksOf({ code: 0, stdout, stderr });
    assert.equal(books?.unaccounted, "0");
  });

  it("a reader that goes away costs the collector nothing", async () => {
    const stored = join(directory, "stored.ndjson");
    const receiver = await startProcess({
      command: process.execPath,
      args: [CLI, "receive", "--grpc", "127.0.0.1:0", "--http", "none", "--output", stored],
      isReady: ({ stderr }) => stderr.includes("OTLP/gRPC on"),
    });
    try {
      const [, address] = /gRPC on (\S+?);/.exec(receiver.output().stderr) ?? [];
      const sink = `--otlp-endpoint http://${address} --otlp-protocol grpc --output -`;
      const { status, stderr } = shell(
        `"$1" "$2" replay "$3" ${sink} --summary json | head -1 >/dev/null; exit "\${PIPESTATUS[0]}"`,
      );
      assert.equal(status, 0, stderr);
      const [books] = booksOf({ code: 0, stdout: "", stderr });
      assert.equal(books?.exported, String(EVENTS));
    } finally {
      await receiver.stop();
    }
    assert.match(receiver.output().stderr, /20,000 records written/);
  });

  it("nobody at standard error does not end a run", () => {
    const { status, stdout } = shell(
      `"$1" "$2" replay "$3" 2> >(exec true) | wc -l; exit "\${PIPESTATUS[0]}"`,
    );
    assert.equal(status, 0);
    assert.equal(stdout.trim(), String(EVENTS));
  });

  it("a collector that takes nothing holds the end up no longer than --shutdown-timeout", async () => {
    const [port] = await freePorts(1);
    const running = await startProcess({
      command: process.execPath,
      args: [
        CLI,
        "replay",
        recording,
        "--otlp-endpoint",
        `http://127.0.0.1:${port}`,
        "--queue-bytes",
        "64KiB",
        "--batch-bytes",
        "128KiB",
        "--shutdown-timeout",
        "1s",
        "--summary",
        "json",
      ],
      isReady: ({ stderr }) => /ECONNREFUSED|UNAVAILABLE/.test(stderr),
    });
    const started = performance.now();
    const { code } = await running.stop();
    assert.ok(performance.now() - started < 8000);
    assert.equal(code, 5);
    const [books] = booksOf({ code: 5, stdout: "", stderr: running.output().stderr });
    assert.equal(books?.exported, "0");
    assert.equal(books?.lost.undelivered, books?.seen);
    assert.equal(books?.unaccounted, "0");
  });

  it("what can't be opened for writing is refused before anything runs", async () => {
    for (const option of ["--output", "--record"]) {
      const { code, stderr } = await runCli(["capture", option, "/nonexistent/x", "--", "true"]);
      assert.equal(code, 1);
      assert.match(stderr, /^error: cannot write \/nonexistent\/x/);
    }
    const same = await runCli(["capture", "--output", "x", "--record", "x"]);
    assert.equal(same.code, 2);
  });
});
