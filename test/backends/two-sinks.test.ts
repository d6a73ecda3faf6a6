import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;
const OPEN_LOOP = join(REPOSITORY, "build/triggers/open-loop");
const PROBE = join(REPOSITORY, "native/target/release/runtime-evidence-probe");
/** Enough for several requests of the default size. */
const OPENS = 20_000;
/** Documented in --help: this kernel or user does not allow it. */
const EXIT_NOT_PERMITTED = 4;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function runtimeEvidence(...args: string[]): Promise<Ended> {
  const limits = { cwd: REPOSITORY, timeout: 60_000, maxBuffer: 256 * 1024 * 1024 };
  return new Promise((resolve) => {
    execFile(process.execPath, ["src/cli/main.ts", ...args], limits, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "eBPF needs root";
  for (const path of [PROBE, OPEN_LOOP]) if (!existsSync(path)) return `${path} is not built`;
  return collectorMissing();
}

describe("one capture, two sinks", function () {
  this.timeout(120_000);
  let directory: string;
  let collector: StartedCollector | undefined;

  before(async function () {
    const reason = missing();
    if (reason !== undefined) skip(this, reason);
    const { code, stderr } = await runtimeEvidence("capture", "--output", "/dev/null", "--", "true");
    if (code === EXIT_NOT_PERMITTED) skip(this, stderr.trim());
  });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "runtime-evidence-two-sinks-"));
  });

  afterEach(async () => {
    await collector?.remove();
    collector = undefined;
    await rm(directory, { recursive: true, force: true });
  });

  for (const protocol of ["grpc", "http/protobuf", "http/json"]) {
    it(`over ${protocol}, a real Collector's files convert to what --output wrote, one for one`, async () => {
      collector = await startCollector({ config: "file" });
      const endpoint = protocol === "grpc" ? collector.grpcEndpoint : collector.httpEndpoint;
      const output = join(directory, "direct.ndjson");
      const sinks = ["--otlp-endpoint", endpoint, "--otlp-protocol", protocol, "--output", output];
      const captured = await runtimeEvidence(
        "capture",
        ...sinks,
        "--",
        OPEN_LOOP,
        "/nonexistent/file",
        `${OPENS}`,
      );
      assert.equal(captured.code, 0, captured.stderr);
      await collector.stop();

      const direct = (await readFile(output, "utf8")).trimEnd().split("\n");
      const opens = direct.filter((line) => line.includes('"/nonexistent/file"')).length;
      assert.equal(opens, OPENS);
      for (const stored of [collector.jsonPath, collector.protoPath]) {
        const converted = await runtimeEvidence("convert", stored, "--output", "-");
        assert.equal(converted.code, 0, converted.stderr);
        // Requests in flight at once may be stored in another order than they were sent.
        const lines = converted.stdout.trimEnd().split("\n");
        assert.equal(lines.length, direct.length);
        assert.ok(lines.sort().join("\n") === direct.toSorted().join("\n"), `${stored} differs`);
      }
    });
  }
});
