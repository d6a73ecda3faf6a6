/** What is read: limits, names of formats, rejected lines, and pipes that go on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { PassThrough } from "node:stream";
import { CLI, runCli } from "../kernel/live.ts";
import { ndjson, numberedRecord, sameRecords, scratch, textOf } from "../pipeline/evidence-files.ts";
import { startProcess } from "../process.ts";

const records = [1, 2, 3].map(numberedRecord);

describe("the options of what is read", function () {
  this.timeout(60_000);
  const files = scratch();
  after(() => files.remove());

  const stored = async (): Promise<string> => {
    const { code, stdout } = await runCli(["convert", "-", "--to", "otlp-json"], ndjson(records));
    assert.equal(code, 0);
    return stdout;
  };

  it("limit records, messages and values; what is beyond is named with the limit", async () => {
    const long = { ...numberedRecord(2), x: "y".repeat(2000) };
    const wide = { ...numberedRecord(2), x: new Array(3000).fill(1) };
    for (const [record, option, words] of [
      [long, ["--line-bytes-max", "1KiB"], /-:2: message of \d+ bytes is over the limit of 1024 bytes/],
      [wide, ["--values-max", "1000"], /-:2: record has more than 1000 members and items/],
    ] as const) {
      const input = ndjson([records[0], record, records[2]] as never);
      const args = ["convert", "-", "--to", "otlp-json", "--output", "/dev/null"];
      const { code, stderr } = await runCli([...args, ...option], input);
      assert.equal(code, 3);
      assert.match(stderr.replace("standard input", "-"), words);
      assert.match(stderr, /^2 records, 1 not valid$/m);
      assert.equal((await runCli(args, input)).code, 0);
    }
    const message = await stored();
    const over = message.replace("{", `{"x":"${"y".repeat(70_000)}",`);
    for (const command of ["convert", "verify"]) {
      const { stderr } = await runCli([command, "-", "--message-bytes-max", "64KiB"], `${message}${over}`);
      assert.match(stderr, /standard input:2: message of \d+ bytes is over the limit of 65536 bytes/);
    }
  });

  it("are refused where they make no sense", async () => {
    for (const [option, value, words] of [
      ["--line-bytes-max", "10", /from 1KiB to 256MiB/],
      ["--message-bytes-max", "1GiB", /from 1KiB to 256MiB/],
      ["--message-bytes-max", "large", /64KiB/],
      ["--values-max", "0", /whole number from 1 up/],
    ] as const) {
      const { code, stderr } = await runCli(["convert", "x", option, value]);
      assert.equal(code, 2);
      assert.match(stderr, words);
    }
  });

  it("say that nothing of an input is of the format that was named", async () => {
    const v1 = ndjson(records);
    for (const [args, input, words] of [
      [["convert", "-", "--from", "otlp-json"], v1, "no message of the input is otlp-json; it looks like v1"],
      [["verify", "-", "--from", "otlp-json"], v1, "no message of the input is otlp-json; it looks like v1"],
      [["convert", "-", "--from", "loki"], v1, "no message of the input is loki; it looks like v1"],
      [
        ["export", "-", "--from", "v1", "--otlp-endpoint", "http://127.0.0.1:1"],
        await stored(),
        "no message of the input is v1; it looks like otlp-json",
      ],
    ] as const) {
      const { code, stderr } = await runCli(args, input);
      assert.equal(code, 3, stderr);
      assert.ok(stderr.includes(`standard input: ${words}\n`), stderr);
    }
  });

  it("reject lines that are no OTLP among those that are, and pass over other signals", async () => {
    const message = await stored();
    const input = `${message}{"resourceSpans":[]}\n{}\n${ndjson(records)}${message}`;
    for (const command of ["convert", "verify"]) {
      const { code, stderr } = await runCli([command, "-"], input);
      assert.equal(code, 3, stderr);
      const places = stderr.match(/standard input:\d+: .*with resourceLogs/g) ?? [];
      assert.deepEqual(
        places.map((line) => line.split(":")[1]),
        ["4", "5", "6"],
        stderr,
      );
    }
  });

  it("are named in each error, also where their name is a word of it", () => {
    files.write("gz", Buffer.from("1f8b0800000000000003ffffffff", "hex"));
    const options = { cwd: files.path("."), encoding: "utf8", timeout: 50_000 } as const;
    const { status, stderr } = spawnSync(process.execPath, [CLI, "convert", "gz"], options);
    assert.equal(status, 3, stderr);
    assert.match(stderr, /^gz: the input is damaged gzip/m);
  });

  it("name the first rejected records of each input, count all of them, and keep all of them", async () => {
    const bad = Array.from({ length: 30 }, (_, index) => `{"ts_ns":1,"event":${index}}\n`).join("");
    const inputs = ["a", "b"].map((name) => files.write(name, `${textOf(numberedRecord(1))}\n${bad}`));
    const rejects = files.path("rejects");
    const args = ["convert", ...inputs, "--to", "otlp-json", "--output", "/dev/null", "--rejects", rejects];
    for (const [more, shown] of [
      [[], 20],
      [["--show-rejected", "3"], 3],
      [["--show-rejected", "100"], 30],
    ] as const) {
      const { code, stderr } = await runCli([...args, ...more]);
      assert.equal(code, 3);
      assert.match(stderr, /^2 records, 60 not valid$/m);
      for (const input of inputs) {
        const lines = stderr.split("\n").filter((line) => line.startsWith(input));
        const rest = `${input}: more is rejected, which is only counted from here on`;
        assert.equal(lines.length, shown === 30 ? 30 : shown + 1);
        assert.equal(lines.at(-1) === rest, shown !== 30);
      }
      assert.equal(files.read("rejects"), bad + bad);
    }
  });

  it("read a pipe that goes on: what came is converted, and delivered, before its end", async () => {
    const input = new PassThrough();
    input.write(ndjson(records));
    const back = files.path("back.ndjson");
    const receiver = await startProcess({
      command: process.execPath,
      args: [CLI, "receive", "--grpc", "127.0.0.1:0", "--http", "none", "--output", back],
      isReady: ({ stderr }) => stderr.includes("OTLP/gRPC on"),
    });
    try {
      const [, address] = /gRPC on (\S+?);/.exec(receiver.output().stderr) ?? [];
      const running = await startProcess({
        command: process.execPath,
        args: [CLI, "export", "-", "--otlp-endpoint", `http://${address}`, "--otlp-protocol", "grpc"],
        input,
        isReady: () => files.read("back.ndjson").split("\n").length > records.length,
      });
      sameRecords(files.read("back.ndjson"), records);
      input.end();
      assert.equal((await running.exited).code, 0);
    } finally {
      await receiver.stop();
    }
  });
});
