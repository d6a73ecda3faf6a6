import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FrameFlag, LAYOUT_HASH } from "../../src/frames/layout.gen.ts";
import {
  countersFrame,
  fileOpenFrame,
  helloFrame,
  processExecFrame,
  tcpStateFrame,
} from "../frames/build-frame.ts";
import { readRecords, runCli } from "../kernel/live.ts";
import { freePorts } from "../process.ts";

const EVENTS = [
  fileOpenFrame({ path: "/a" }),
  processExecFrame(),
  tcpStateFrame(),
  fileOpenFrame({ path: "/b" }),
];
const FINAL = countersFrame(
  {
    0: { seen: 2n, emitted: 2n, filtered: 0n },
    1: { seen: 1n, emitted: 1n, filtered: 0n },
    2: { seen: 1n, emitted: 1n, filtered: 0n },
  },
  FrameFlag.FINAL,
);
const RECORDING = Buffer.concat([helloFrame(), ...EVENTS, FINAL]);

describe("bad input", function () {
  this.timeout(120_000);
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-cli-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  const file = (name: string, content: string | Buffer): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const replay = (name: string, content: Buffer) => runCli(["replay", file(name, content), "--output", "-"]);
  const errorLines = (stderr: string) => stderr.split("\n").filter((line) => /^error: |^frames: /.test(line));

  describe("of replay", () => {
    it("is none when the recording is sound", async () => {
      const { code, stdout, stderr } = await replay("sound", RECORDING);
      assert.equal(code, 0, stderr);
      assert.equal(readRecords(stdout).length, 4);
      assert.match(stderr, /file_open +2 seen = 2 written \+ 0 filtered \+ 0 lost/);
    });

    it("a recording cut anywhere gives its whole frames, one line, and exit code 3", async () => {
      const cut = RECORDING.length - FINAL.length - 10;
      const { code, stdout, stderr } = await replay("torn", RECORDING.subarray(0, cut));
      assert.equal(code, 3);
      assert.equal(readRecords(stdout).length, 3);
      assert.deepEqual(errorLines(stderr).length, 1);
      assert.match(stderr, /ends within a frame; its \d+ bytes were left out/);
    });

    it("damage in the middle costs what it hit, and is named with its offset", async () => {
      const garbage = Buffer.alloc(100, 0xee);
      const damaged = Buffer.concat([helloFrame(), EVENTS[0] as Buffer, garbage, ...EVENTS.slice(1), FINAL]);
      const { code, stdout, stderr } = await replay("damaged", damaged);
      assert.equal(code, 3);
      assert.equal(readRecords(stdout).length, 4);
      const at = helloFrame().length + (EVENTS[0] as Buffer).length;
      assert.match(stderr, new RegExp(`skipped 100 bytes that are no frames, the first at byte ${at}`));
    });

    it("a frame that contradicts itself is counted as malformed, and the books still balance", async () => {
      const broken = fileOpenFrame();
      broken.writeUInt16LE(4000, 64 + 22);
      const final = countersFrame({ 0: { seen: 2n, emitted: 2n, filtered: 0n } }, FrameFlag.FINAL);
      const { code, stdout, stderr } = await replay(
        "malformed",
        Buffer.concat([helloFrame(), broken, fileOpenFrame(), final]),
      );
      assert.equal(code, 3);
      assert.equal(readRecords(stdout).length, 1);
      assert.match(stderr, /file_open +2 seen = 1 written \+ 0 filtered \+ 1 lost/);
      assert.match(stderr, /lost: file_open malformed 1/);
    });

    it("frames of another version or layout are refused with what to do", async () => {
      const version = await replay("version", Buffer.concat([helloFrame({ version: 7 }), ...EVENTS]));
      assert.equal(version.code, 3);
      assert.deepEqual(errorLines(version.stderr), [
        "error: the frames are of protocol version 7, this build reads version 1: use the probe and the exporter of one release",
      ]);
      const layout = await replay(
        "layout",
        Buffer.concat([helloFrame({ layoutHash: LAYOUT_HASH + 1n }), ...EVENTS]),
      );
      assert.equal(layout.code, 3);
      assert.match(errorLines(layout.stderr).join(), /rebuild the probe and the exporter together/);
    });

    it("what is no recording is refused", async () => {
      for (const [name, content] of [
        ["empty", ""],
        ["text", "not frames at all\n".repeat(100)],
        ["zeros", Buffer.alloc(100_000)],
      ] as const) {
        const { code, stderr, stdout } = await replay(name, Buffer.from(content));
        assert.equal(code, 3, name);
        assert.equal(errorLines(stderr).length, 1, stderr);
        assert.equal(stdout, "");
      }
      const missing = await runCli(["replay", join(directory, "missing")]);
      assert.equal(missing.code, 4);
      assert.match(missing.stderr, /^error: cannot open .*missing/);
    });
  });

  describe("of validate", () => {
    it("is named by line, the rest is counted, and rejects can be kept", async () => {
      const valid = '{"ts_ns":1,"src":"x","pid":1,"comm":"c","event":{"type":"file_open","path":"/"}}';
      const rejects = join(directory, "rejects");
      const input = file(
        "mixed.ndjson",
        [valid, "{", valid.replace('"pid":1', '"pid":0'), "", "[]", valid, '{"a":1'].join("\n"),
      );
      const { code, stdout, stderr } = await runCli(["validate", input, "--rejects", rejects]);
      assert.equal(code, 3);
      assert.match(stderr, /^2 valid, 4 not valid$/m);
      const lines = stdout.trimEnd().split("\n");
      assert.deepEqual(
        lines.map((line) => line.split(":")[1]),
        ["2", "3", "5", "7"],
      );
      assert.match(lines[1] as string, /\/pid must be >= 1/);
      assert.equal(readFileSync(rejects, "utf8").trimEnd().split("\n").length, 4);
    });

    it("accepts the schema's own examples", async () => {
      const schema = JSON.parse(
        readFileSync(new URL("../../schema/runtime-evidence-v1.schema.json", import.meta.url), "utf8"),
      );
      const input = file(
        "examples.ndjson",
        schema.examples.map((example: unknown) => JSON.stringify(example)).join("\n"),
      );
      const { code, stderr } = await runCli(["validate", input]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /3 valid, 0 not valid/);
    });
  });

  describe("of convert", () => {
    it("a broken line costs that line only", async () => {
      const empty = '{"resourceLogs":[]}';
      const input = file(
        "lines.json",
        `${empty}\n{"resourceLogs":[{"scopeLogs":7}]}\n${empty}\nnonsense\n${empty}\n`,
      );
      const { code, stderr } = await runCli(["convert", input]);
      assert.equal(code, 3);
      assert.match(stderr, /lines.json:2: /);
      assert.match(stderr, /lines.json:4: /);
    });

    it("a file of something else is refused in one line", async () => {
      const { code, stderr } = await runCli(["convert", file("random", Buffer.alloc(4096, 0xfe))]);
      assert.equal(code, 3);
      assert.match(stderr, /random.*(no stored OTLP logs|is no)/);
    });
  });

  describe("of the command line", () => {
    it("is one line and exit code 2", async () => {
      for (const [args, words] of [
        [["capture", "--events", "everything"], /"everything" is none of/],
        [["capture", "--duration", "soon"], /write it as/],
        [["capture", "--pid", "-1"], /process id/],
        [["capture", "--comm", "a-name-that-is-too-long"], /1 to 15 bytes/],
        [["capture", "--otlp-protocol", "smoke-signals"], /grpc, http\/protobuf, http\/json/],
        [["receive", "--grpc", "nowhere"], /127\.0\.0\.1:4317/],
        [["no-such-command"], /unknown command/],
        [["capture", "--no-such-option"], /unknown option/],
        [["replay"], /missing required argument/],
      ] as const) {
        const { code, stderr, stdout } = await runCli([...args]);
        assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
        assert.match(stderr, words);
        assert.equal(stdout, "");
      }
    });

    it("an endpoint that refuses: records are counted as undelivered, exit code 5", async () => {
      const [port] = await freePorts(1);
      for (const protocol of ["grpc", "http/protobuf"]) {
        const { code, stderr } = await runCli([
          "replay",
          file("for-nobody", RECORDING),
          "--otlp-endpoint",
          `http://127.0.0.1:${port}`,
          "--otlp-protocol",
          protocol,
          "--shutdown-timeout",
          "1s",
        ]);
        assert.equal(code, 5, stderr);
        assert.match(stderr, /file_open +2 seen = 0 exported \+ 0 filtered \+ 2 lost/);
        assert.match(stderr, /lost: file_open undelivered 2 \(raise --shutdown-timeout/);
      }
    });
  });
});
