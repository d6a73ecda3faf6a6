import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { type ExporterStatus, probeStatusOf } from "../../src/health/exporter-status.ts";
import { Ledger } from "../../src/health/ledger.ts";
import * as registered from "../../src/health/metrics.gen.ts";
import { OBSERVED_METRICS, registerSelfMetrics, type TimedAttempt } from "../../src/health/self-metrics.ts";
import { standardMetrics } from "../../src/health/standard-metrics.ts";
import { statusJson } from "../../src/health/status-json.ts";

const BEYOND_DOUBLES = 2n ** 60n + 1n;

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

function ledgerOfOneProbe(): Ledger {
  const ledger = new Ledger(["file_open"]);
  const lost = new Map([["ring_full", 4n]]);
  ledger.kernel("file_open", { seen: 100n, emitted: 90n, filtered: 6n, lost });
  ledger.exported("file_open", 80);
  ledger.lost("file_open", "refused", 3);
  return ledger;
}

/** Every part is there, and no two values are the same. */
function wholeStatus(): ExporterStatus {
  return {
    probes: ledgerOfOneProbe().balances().map(probeStatusOf),
    pipe: { bytesRead: 11, framesDamaged: 12, blockedMs: 13_000, probeRestarts: 14 },
    stream: { streamId: "s", lastSequence: 21, lossesPending: 22 },
    queue: {
      type: "disk",
      requests: 31,
      records: 32,
      oldestAgeMs: 33_000,
      room: [
        { type: "disk", bytes: 34, bytesMax: 35 },
        { type: "memory", bytes: 36, bytesMax: 37 },
      ],
      recordsDropped: new Map([["queue_full", 38]]),
    },
    spool: {
      bytesWritten: 41,
      recordsRecovered: 42,
      damagedFiles: 43,
      failures: new Map([["write EIO", 44]]),
    },
    sender: {
      type: "otlp_grpc_log_exporter",
      recordsInFlight: 51,
      recordsAccepted: 52,
      recordsFailed: new Map([["refused", 53]]),
      recordsDeadLettered: 54,
      requestsAccepted: 55,
      attemptsFailed: new Map([["grpc UNAVAILABLE", 56]]),
      retries: 57,
      requestsSplit: 58,
      bytesAccepted: 59,
    },
    process: { uptimeMs: 61_000, rssBytes: 62, cpuUserMs: 63_000, cpuSystemMs: 64_000 },
  };
}

async function collect(
  status: ExporterStatus,
  attempts: readonly TimedAttempt[] = [],
): Promise<ResourceMetrics> {
  const reader = new Reader();
  const provider = new MeterProvider({ readers: [reader] });
  const record = registerSelfMetrics(provider.getMeter("test"), () => status);
  for (const attempt of attempts) record(attempt);
  const { resourceMetrics, errors } = await reader.collect();
  assert.deepEqual(errors, []);
  await provider.shutdown();
  return resourceMetrics;
}

const serialize = (metrics: ResourceMetrics): string =>
  new PrometheusSerializer("", false, undefined, true, true).serialize(metrics);

const ONE_OF_EACH = [{ senderType: "otlp_grpc_log_exporter", durationMs: 20 }];

describe("self-metrics", () => {
  it("measure what the registry lists, all of it and nothing else", () => {
    const inRegistry = Object.values(registered).map((one) => (typeof one === "string" ? one : one.name));
    const measured = OBSERVED_METRICS.map(({ definition }) => definition.name);
    assert.deepEqual([...measured, standardMetrics.duration.name].sort(), inRegistry.sort());
  });

  it("have the values of the status, each under its own attributes", async () => {
    const lines = new Set(serialize(await collect(wholeStatus(), ONE_OF_EACH)).split("\n"));
    const probe = 'runtime_evidence_probe_type="file_open"';
    const sender =
      'otel_component_name="otlp_grpc_log_exporter/0",otel_component_type="otlp_grpc_log_exporter"';
    const queue =
      'otel_component_name="runtime_evidence.queue/0",otel_component_type="runtime_evidence.queue"';
    const disk = 'runtime_evidence_queue_type="disk"';
    for (const line of [
      `runtime_evidence_kernel_event_seen_total{${probe}} 100`,
      `runtime_evidence_kernel_event_filtered_total{${probe}} 6`,
      `runtime_evidence_kernel_event_emitted_total{${probe}} 90`,
      `runtime_evidence_event_exported_total{${probe}} 80`,
      `runtime_evidence_event_lost_total{${probe},runtime_evidence_loss_reason="ring_full"} 4`,
      `runtime_evidence_event_lost_total{${probe},runtime_evidence_loss_reason="refused"} 3`,
      `runtime_evidence_event_pending{${probe}} 7`,
      "runtime_evidence_pipe_io_total 11",
      "runtime_evidence_pipe_frame_damaged_total 12",
      "runtime_evidence_pipe_blocked_total 13",
      "runtime_evidence_probe_restart_total 14",
      "runtime_evidence_stream_record_total 21",
      "runtime_evidence_loss_pending 22",
      `runtime_evidence_queue_request_count{${disk}} 31`,
      `otel_sdk_processor_log_queue_size{${queue}} 32`,
      `runtime_evidence_queue_age{${disk}} 33`,
      `runtime_evidence_queue_usage{${disk}} 34`,
      `runtime_evidence_queue_limit{${disk}} 35`,
      'runtime_evidence_queue_usage{runtime_evidence_queue_type="memory"} 36',
      'runtime_evidence_queue_limit{runtime_evidence_queue_type="memory"} 37',
      `otel_sdk_processor_log_processed_total{${queue},error_type="queue_full"} 38`,
      `otel_sdk_processor_log_processed_total{${queue}} ${52 + 53}`,
      "runtime_evidence_spool_io_total 41",
      "runtime_evidence_spool_recovered_total 42",
      "runtime_evidence_spool_damaged_total 43",
      'runtime_evidence_spool_error_total{error_type="write EIO"} 44',
      `otel_sdk_exporter_log_inflight{${sender}} 51`,
      `otel_sdk_exporter_log_exported_total{${sender}} 52`,
      `otel_sdk_exporter_log_exported_total{${sender},error_type="refused"} 53`,
      "runtime_evidence_dead_letter_record_total 54",
      "runtime_evidence_sender_request_sent_total 55",
      'runtime_evidence_sender_request_sent_total{error_type="grpc UNAVAILABLE"} 56',
      "runtime_evidence_sender_retry_total 57",
      "runtime_evidence_sender_split_total 58",
      "runtime_evidence_sender_io_total 59",
      "process_uptime 61",
      "process_memory_usage 62",
      'process_cpu_time_total{cpu_mode="user"} 63',
      'process_cpu_time_total{cpu_mode="system"} 64',
      `otel_sdk_exporter_operation_duration_sum{${sender}} 0.02`,
      `otel_sdk_exporter_operation_duration_bucket{${sender},le="0.025"} 1`,
    ]) {
      assert.ok(lines.has(line), `${line}\nis none of\n${[...lines].join("\n")}`);
    }
  });

  it("leave out what a run has nothing of", async () => {
    const { probes, process } = wholeStatus();
    const text = serialize(await collect({ probes, process }));
    assert.match(text, /^runtime_evidence_event_exported_total\{/m);
    assert.doesNotMatch(text, /queue|sender|spool|pipe|sdk/);
  });

  it("of an event that was exported before the kernel told of it are never below zero", () => {
    const ledger = new Ledger(["file_open"]);
    ledger.exported("file_open", 5);
    assert.equal(ledger.balances()[0]?.pending, -5n);
    assert.equal(ledger.balances().map(probeStatusOf)[0]?.pending, 0n);
  });

  it("round counts beyond 2^53, which the status as JSON does not", async () => {
    const ledger = new Ledger(["file_open"]);
    const kernel = { seen: BEYOND_DOUBLES, emitted: 0n, filtered: 0n, lost: new Map() };
    ledger.kernel("file_open", kernel);
    const status = { ...wholeStatus(), probes: ledger.balances().map(probeStatusOf) };
    assert.match(serialize(await collect(status)), /event_seen_total\{.*\} 1152921504606847000$/m);
    assert.ok(JSON.stringify(statusJson(status)).includes('"seen":"1152921504606846977"'));
  });

  it("are those that the alerts of the documentation ask for", async () => {
    const guide = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    const queries = /```promql\n(.*?)```/s.exec(guide)?.[1]?.replace(/^#.*$/gm, "") ?? "";
    const named = [...new Set(queries.match(/\b(?:runtime_evidence|otel|process)_\w+/g))];
    assert.ok(named.length >= 6, `${named}`);
    const exposed = serialize(await collect(wholeStatus(), ONE_OF_EACH));
    for (const name of named) assert.match(exposed, new RegExp(`^# TYPE ${name} `, "m"), name);
    for (const label of queries.match(/(?<=[{(,] *)\w+(?=[!=]=?")/g) ?? []) {
      assert.ok(exposed.includes(`${label}="`), label);
    }
  });
});
