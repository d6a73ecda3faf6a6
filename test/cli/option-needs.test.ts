import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { addSinkOptions, resolveSinks } from "../../src/cli/capture-options.ts";
import { addTelemetryOptions } from "../../src/cli/telemetry-options.ts";
import { runCli } from "../kernel/live.ts";

const ENDPOINT = ["--otlp-endpoint", "http://localhost:4318"];
const DISCARD = ["--discard"];

/** Each option, and what it is given for a value. */
const CONNECTION = {
  "--otlp-protocol": "grpc",
  "--otlp-header": "a=b",
  "--otlp-headers-file": "headers",
  "--otlp-compression": "gzip",
  "--otlp-timeout": "1s",
  "--otlp-insecure": undefined,
};
const SENDING = {
  "--batch-age": "1s",
  "--in-flight": "2",
  "--max-age": "1h",
  "--dead-letter": "dead.bin",
  "--queue": "disk",
  "--spool-dir": "spool",
  "--when-full": "drop-oldest",
  "--loss-interval": "1s",
};
const ENCODING = { "--queue-bytes": "1MiB", "--batch-bytes": "1MiB" };
const SPOOL = { "--spool-bytes": "1GiB", "--fsync": "interval", "--fsync-interval": "1s" };

function resolve(words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const command = addTelemetryOptions(addSinkOptions(new Command())).exitOverride();
  command.configureOutput({ writeErr: () => {} }).parse([...words], { from: "user" });
  return resolveSinks(command.opts(), () => {}, environment).sinks;
}

const wordsOf = (options: Readonly<Record<string, string | undefined>>): string[][] =>
  Object.entries(options).map(([name, value]) => (value === undefined ? [name] : [name, value]));

const refused = (words: readonly string[], message: RegExp): void =>
  assert.throws(() => resolve(words), { code: "usage", message }, words.join(" "));

describe("options that need others", () => {
  it("of the connection, the queue and the spool are refused where there is no collector", () => {
    for (const words of wordsOf({ ...CONNECTION, ...SENDING, ...ENCODING, ...SPOOL })) {
      refused(words, new RegExp(`^${words[0]} needs a collector: add --otlp-endpoint URL`));
      refused([...words, "--output", "x.ndjson"], /needs a collector/);
      const needed = words[0] !== undefined && words[0] in SPOOL ? ["--queue", "disk"] : [];
      resolve([...ENDPOINT, ...needed, ...words]);
      resolve([...needed, ...words], { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "http://localhost:4318/v1/logs" });
    }
  });

  it("are refused beside --discard, but for those it obeys", () => {
    for (const words of wordsOf({
      "--otlp-endpoint": "http://c:4318",
      ...CONNECTION,
      ...SENDING,
      ...SPOOL,
    })) {
      refused([...DISCARD, ...words], /^--\S+ needs evidence to be sent, and --discard sends none/);
    }
    for (const words of wordsOf(ENCODING)) resolve([...DISCARD, ...words]);
  });

  it("of the connection go with metrics alone, too", () => {
    for (const words of wordsOf(CONNECTION)) resolve(["--metrics", "otlp", ...words]);
    resolve([...DISCARD, "--metrics", "otlp", ...ENDPOINT]);
    refused(["--metrics", "otlp", "--queue", "disk"], /^--queue needs a collector/);
  });

  it("of the spool are refused without a queue on disk", () => {
    for (const words of wordsOf(SPOOL)) {
      refused([...ENDPOINT, ...words], new RegExp(`^${words[0]} needs --queue disk$`));
      refused([...ENDPOINT, "--queue", "memory", ...words], /needs --queue disk$/);
    }
    refused([...ENDPOINT, "--queue", "memory", "--spool-dir", "spool"], /^--spool-dir needs --queue disk$/);
    for (const fsync of ["always", "never"]) {
      const words = [...ENDPOINT, "--queue", "disk", "--fsync", fsync, "--fsync-interval", "1s"];
      refused(words, /^--fsync-interval needs --fsync interval$/);
    }
  });

  it("of v1 are refused where none is written", () => {
    refused([...ENDPOINT, "--extensions"], /^--extensions needs v1 output: add --output FILE$/);
    assert.equal(resolve(["--extensions"]).withExtensions, true);
  });

  it("are named together, in one line, with exit code 2, and nothing is made", async () => {
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-needs-"));
    try {
      const spool = ["--queue", "disk", "--spool-dir", join(directory, "spool")];
      const { code, stdout, stderr } = await runCli([
        "capture",
        ...spool,
        "--",
        "touch",
        join(directory, "ran"),
      ]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^error: --queue, --spool-dir need a collector: add --otlp-endpoint URL.*\n$/);
      const converted = await runCli(["convert", "--stream-id", "x", directory]);
      assert.match(converted.stderr, /^error: --stream-id needs OTLP to be made: add --to otlp-json\n$/);
      const exported = await runCli(["export", "--spool-bytes", "1GiB", directory]);
      assert.match(exported.stderr, /^error: --spool-bytes needs --queue disk\n$/);
      assert.deepEqual([converted.code, exported.code], [2, 2]);
      assert.deepEqual(readdirSync(directory), []);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
