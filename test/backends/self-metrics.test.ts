import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FrameFlag } from "../../src/frames/layout.gen.ts";
import { metricValues } from "../cli/metric-values.ts";
import { countersFrame, fileOpenFrame, helloFrame } from "../frames/build-frame.ts";
import { booksOf, runCli } from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";

const EVENTS = 1000;
const PROTOCOLS = ["grpc", "http/protobuf", "http/json"] as const;
const SENDERS = {
  grpc: "otlp_grpc_log_exporter",
  "http/protobuf": "otlp_http_log_exporter",
  "http/json": "otlp_http_json_log_exporter",
};

describe("self-metrics in a real Collector", function () {
  this.timeout(60_000);
  let collector: StartedCollector;
  let directory = "";
  before(async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-metrics-"));
    collector = await startCollector({ config: "metrics" });
  });
  after(async () => {
    await collector?.remove();
    if (directory !== "") rmSync(directory, { recursive: true });
  });

  it("are the books of the run at its end, over each protocol, under the stream's id", async () => {
    const recording = join(directory, "recording");
    const counters = { seen: BigInt(EVENTS) + 3n, emitted: BigInt(EVENTS), filtered: 3n };
    const frames = new Array<Buffer>(EVENTS).fill(fileOpenFrame());
    writeFileSync(
      recording,
      Buffer.concat([helloFrame(), ...frames, countersFrame({ 0: counters }, FrameFlag.FINAL)]),
    );
    for (const protocol of PROTOCOLS) {
      const { grpcEndpoint, httpEndpoint } = collector;
      const to = ["--otlp-endpoint", protocol === "grpc" ? grpcEndpoint : httpEndpoint];
      const how = ["--otlp-protocol", protocol, "--metrics", "otlp", "--summary", "json"];
      const run = await runCli(["replay", recording, ...to, ...how]);
      assert.equal(run.code, 0, run.stderr);
      assert.doesNotMatch(run.stderr, /^metrics:/m);
      assert.equal(booksOf(run)[0]?.exported, String(EVENTS));
    }
    await collector.stop();
    const stored = readFileSync(join(collector.directory, "metrics.jsonl"), "utf8").trim().split("\n");
    const received = stored.map((line) => metricValues(JSON.parse(line)));
    assert.equal(received.length, PROTOCOLS.length);
    for (const [index, protocol] of PROTOCOLS.entries()) {
      const { values, resource, counters: grows } = received[index] as (typeof received)[0];
      const probe = "{runtime_evidence.probe.type=file_open}";
      assert.equal(values.get(`runtime_evidence.kernel.event.seen${probe}`), EVENTS + 3);
      assert.equal(values.get(`runtime_evidence.kernel.event.filtered${probe}`), 3);
      assert.equal(values.get(`runtime_evidence.event.exported${probe}`), EVENTS);
      assert.equal(values.get(`runtime_evidence.event.pending${probe}`), 0);
      const sender = `{otel.component.name=${SENDERS[protocol]}/0,otel.component.type=${SENDERS[protocol]}}`;
      // With the first record of the stream and its last.
      assert.equal(values.get(`otel.sdk.exporter.log.exported${sender}`), EVENTS + 2);
      assert.equal(values.get("runtime_evidence.stream.record"), EVENTS + 2);
      assert.ok((values.get("process.cpu.time{cpu.mode=user}") ?? 0) > 0);
      assert.ok(grows.has("runtime_evidence.sender.io") && !grows.has("runtime_evidence.loss.pending"));
      assert.match(resource.get("service.instance.id") ?? "", /^[0-9a-f]{16}$/);
      assert.equal(resource.get("service.name"), "runtime-evidence");
    }
    const runs = new Set(received.map(({ resource }) => resource.get("service.instance.id")));
    assert.equal(runs.size, PROTOCOLS.length);
  });
});
