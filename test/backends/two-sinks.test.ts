import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  assertBooksBalance,
  booksOf,
  CLI,
  needsKernel,
  readRecords,
  runCli,
  trigger,
} from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";

/** The same work each time: opens (several requests of them), execs, connections over IPv4 and IPv6. */
const WORK = `${trigger("open-loop")} /nonexistent/x 20000; cat /etc/hostname /etc/os-release > /dev/null; ls / > /dev/null; ${trigger("tcp-pair")} 4 client; ${trigger("tcp-pair")} 6 server; printf x > "$1/r\u00e4ksm\u00f6rg\u00e5s"`;

describe("one capture, two sinks", function () {
  this.timeout(90_000);
  let collector: StartedCollector;
  let directory = "";
  before(async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    needsKernel(this);
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-two-sinks-"));
  });
  beforeEach(async () => {
    collector = await startCollector({ config: "file" });
  });
  afterEach(async () => {
    await collector?.remove();
  });
  after(() => directory !== "" && rmSync(directory, { recursive: true }));

  const byText = (ndjson: string) => ndjson.trimEnd().split("\n").sort();

  for (const { protocol, endpoint } of [
    { protocol: "grpc", endpoint: "grpcEndpoint" },
    { protocol: "http/protobuf", endpoint: "httpEndpoint" },
    { protocol: "http/json", endpoint: "httpEndpoint" },
  ] as const) {
    it(`${protocol}: what the real Collector stored converts back to what --output wrote, one for one`, async () => {
      const output = join(directory, `${protocol.replace("/", "-")}.ndjson`);
      const sinks = ["--otlp-endpoint", collector[endpoint], "--otlp-protocol", protocol, "--output", output];
      const run = await runCli([
        "capture",
        ...sinks,
        "--summary",
        "json",
        "--",
        "sh",
        "-c",
        WORK,
        "-",
        directory,
      ]);
      assert.equal(run.code, 0, run.stderr);
      const books = booksOf(run);
      assertBooksBalance(books);
      await collector.stop();
      const written = readFileSync(output, "utf8");
      const records = readRecords(written);
      assert.deepEqual(
        new Set(records.map(({ event }) => event.type)),
        new Set(["file_open", "process_exec", "tcp_state"]),
      );
      assert.equal(
        records.length,
        books.reduce((sum, { exported }) => sum + Number(exported), 0),
      );
      for (const stored of [collector.jsonPath, collector.protoPath]) {
        const converted = await runCli(["convert", stored]);
        assert.equal(converted.code, 0, converted.stderr);
        assert.deepEqual(byText(converted.stdout), byText(written), stored);
      }
    });
  }

  it("options from the environment are used", async () => {
    const output = execFileSync(process.execPath, [CLI, "capture", "--summary", "json", "--", "true"], {
      env: {
        ...process.env,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.grpcEndpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_EXPORTER_OTLP_LOGS_COMPRESSION: "gzip",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
        OTEL_SERVICE_NAME: "named-by-the-environment",
      },
      stdio: ["ignore", "pipe", "ignore"],
    });
    assert.equal(output.toString(), "", "with a collector, nothing goes to standard output");
    await collector.stop();
    const stored = readFileSync(collector.jsonPath, "utf8");
    assert.match(stored, /named-by-the-environment/);
    assert.match(stored, /deployment\.environment\.name/);
    const { stdout } = await runCli(["convert", collector.jsonPath]);
    assert.ok(readRecords(stdout).some(({ event }) => event.type === "process_exec"));
  });
});
