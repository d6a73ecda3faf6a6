/** `convert` and `export` as people run them: exit codes, pipes, directories, signals. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { CommanderError } from "commander";
import { createProgram } from "../../src/cli/program.ts";
import type { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { convertV1 } from "../../src/pipeline/convert-v1.ts";
import { fileInput } from "../../src/pipeline/stored-inputs.ts";
import { CLI, runCli } from "../kernel/live.ts";
import { ndjson, numberedRecord, sameRecords, scratch } from "../pipeline/evidence-files.ts";
import { freePorts, startProcess } from "../process.ts";

const records = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => numberedRecord(from + index));

describe("convert and export", function () {
  this.timeout(60_000);
  const files = scratch();
  after(() => files.remove());
  const shell = (command: string, ...args: string[]) =>
    spawnSync("bash", ["-c", command, "-", process.execPath, CLI, ...args], {
      encoding: "utf8",
      timeout: 50_000,
    });

  const store = async (name: string, from: number, to: number): Promise<string> => {
    const input = fileInput(
      { path: files.write("part.ndjson", ndjson(records(from, to))), sizeBytes: 0 },
      "v1",
    );
    const output = files.path(name);
    const encoding = { clock: "auto", bootTimeUnixNano: 0n, streamId: name.replace("/", "-") } as const;
    await convertV1({ inputs: [input], to: "otlp-json", encoding, output, report: assert.fail });
    return output;
  };

  it("a directory of rotated files comes out in the order it was written, compressed if so named", async () => {
    mkdirSync(files.path("logs"));
    await store("logs/l-2026-01-01T00-00-00.000.json.gz", 1, 3);
    await store("logs/l.json", 6, 8);
    await store("logs/l-2026-01-02T00-00-00.000.json", 4, 5);
    const output = files.path("back.ndjson.gz");
    const { code, stderr, stdout } = await runCli(["convert", files.path("logs"), "--output", output]);
    assert.deepEqual([code, stdout, stderr], [0, "", "8 records\n"]);
    sameRecords(gunzipSync(readFileSync(output)).toString(), records(1, 8));
    const valid = await runCli(["validate", output]);
    assert.deepEqual([valid.code, valid.stderr], [0, "8 valid, 0 not valid\n"]);
  });

  it("a pipe from v1 to OTLP and back gives what went in", () => {
    const evidence = files.write("evidence.ndjson", ndjson(records(1, 100)));
    const pipe = '"$1" "$2" convert - --to otlp-proto <"$3" | "$1" "$2" convert -';
    const { status, stdout, stderr } = shell(pipe, evidence);
    assert.equal(status, 0, stderr);
    sameRecords(stdout, records(1, 100));
  });

  it("a reader that has seen enough is no error", async () => {
    const stored = await store("many.json", 1, 10_000);
    const back = shell('"$1" "$2" convert "$3" | head -1; exit "$PIPESTATUS"', stored);
    assert.equal(back.status, 0, back.stderr);
    assert.equal(back.stdout.split("\n").length, 2);
    const evidence = files.write("many.ndjson", ndjson(records(1, 10_000)));
    const first = shell('"$1" "$2" convert "$3" --to otlp-proto | head -c 1; exit "$PIPESTATUS"', evidence);
    assert.equal(first.status, 0, first.stderr);
    assert.equal(first.stdout.length, 1);
    assert.doesNotMatch(first.stderr + back.stderr, /error|at .*\.js/);
  });

  it("what makes no sense is refused with what to do", async () => {
    for (const [args, words] of [
      [["convert"], /name files to read, or --loki-url/],
      [["convert", "x", "--query", "{}"], /--query needs --loki-url/],
      [["convert", "x", "--loki-url", "http://localhost:1", "--query", "{}"], /reads no files/],
      [["convert", "x", "--to", "csv"], /v1, otlp-json, otlp-proto/],
      [["convert", "--since", "soon"], /30m, 6h or 7d/],
      [["export", "x", "--boot-time", "yesterday"], /2026-01-02T03:04:05Z/],
      [["export", "x", "--stream-id", "a b"], /printable ASCII/],
      [["export", "x", "--limits", "csv"], /loki/],
      [["export"], /missing required argument/],
    ] as const) {
      const program = createProgram(() => assert.fail("it ran"));
      for (const command of program.commands) command.configureOutput({ writeErr: () => {} });
      const running = program.parseAsync([...args], { from: "user" });
      await assert.rejects(running, (error: Error) => {
        assert.ok(error instanceof CommanderError || (error as RuntimeEvidenceError).code === "usage");
        assert.match(error.message, words);
        return true;
      });
    }
  });

  describe("export", () => {
    it("sends standard input, says how the books stand, and leaves nothing out twice", async () => {
      const stored = files.path("stored.ndjson");
      const receiver = await startProcess({
        command: process.execPath,
        args: [CLI, "receive", "--grpc", "127.0.0.1:0", "--http", "none", "--output", stored],
        isReady: ({ stderr }) => stderr.includes("OTLP/gRPC on"),
      });
      try {
        const [, address] = /gRPC on (\S+?);/.exec(receiver.output().stderr) ?? [];
        const options = [
          "--otlp-endpoint",
          `http://${address}`,
          "--otlp-protocol",
          "grpc",
          "--stream-id",
          "again",
        ];
        const bad = '{"ts_ns":-1}\n';
        const rejects = files.path("rejects.ndjson");
        const input = gzipSync(ndjson(records(1, 50)) + bad + ndjson(records(51, 60)));
        const first = await runCli(["export", "-", ...options, "--rejects", rejects], input);
        assert.equal(first.code, 3);
        assert.match(first.stderr, /^standard input:51: .*\/ts_ns must be >= 0/m);
        assert.match(first.stderr, /^61 read = 60 exported \+ 1 invalid \+ 0 refused \+ 0 lost$/m);
        assert.equal(files.read("rejects.ndjson"), bad);
        // The same input again, as after a crash, its bad line mended: the receiver has all but that one.
        const mended = ndjson([...records(1, 50), ...records(61, 61), ...records(51, 60)]);
        const again = await runCli(["export", "-", ...options, "--summary", "json"], mended);
        assert.equal(again.code, 0, again.stderr);
        const books = {
          read: 61,
          exported: 61,
          spooled: 0,
          invalid: 0,
          refused: 0,
          lost: {},
          stopped: false,
        };
        assert.deepEqual(JSON.parse(again.stderr), books);
      } finally {
        await receiver.stop();
      }
      assert.match(receiver.output().stderr, /61 records written .* 60 duplicates dropped/);
      sameRecords(files.read("stored.ndjson"), records(1, 61));
    });

    it("ends in order on a signal, with exit code 5 for what was not delivered", async () => {
      const [port] = await freePorts(1);
      const evidence = files.write("evidence.ndjson", ndjson(records(1, 100)));
      const running = await startProcess({
        command: process.execPath,
        args: [
          CLI,
          "export",
          evidence,
          "--otlp-endpoint",
          `http://127.0.0.1:${port}`,
          "--shutdown-timeout",
          "500ms",
        ].concat("--batch-age", "50ms"),
        isReady: ({ stderr }) => /ECONNREFUSED|UNAVAILABLE/.test(stderr),
      });
      const { code } = await running.stop();
      assert.equal(code, 5);
      const { stderr } = running.output();
      assert.match(stderr, /^100 read = 0 exported \+ 0 invalid \+ 0 refused \+ 100 lost$/m);
      assert.match(stderr, /^ {2}lost: undelivered 100$/m);
    });

    it("of a file that is not there is exit code 4", async () => {
      const { code, stderr } = await runCli([
        "export",
        files.path("missing"),
        "--otlp-endpoint",
        "http://127.0.0.1:1",
      ]);
      assert.equal(code, 4);
      assert.match(stderr, /missing does not exist/);
    });
  });
});
