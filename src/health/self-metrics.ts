/**
 * What an exporter measures of itself, as instruments of OpenTelemetry's metrics API. All but one are observed:
 * when a reader collects, they read a status that is kept anyway, so that nothing is counted twice and metrics that
 * nobody asked for cost nothing.
 *
 * The values of OpenTelemetry's JavaScript are doubles: counts beyond 2^53 (9,007,199,254,740,992) are rounded to
 * 53 significant bits. The status as JSON and the summary are exact.
 */
import { type Attributes, type Histogram, type Meter, type Observable, ValueType } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_RUNTIME_EVIDENCE_LOSS_REASON,
  ATTR_RUNTIME_EVIDENCE_PROBE_TYPE,
  ATTR_RUNTIME_EVIDENCE_QUEUE_TYPE,
} from "../otlp/attributes.gen.ts";
import type { ExporterStatus, ProbeStatus, QueueStatus, SenderStatus } from "./exporter-status.ts";
import * as ours from "./metrics.gen.ts";
import {
  ATTR_OTEL_COMPONENT_NAME,
  ATTR_OTEL_COMPONENT_TYPE,
  type MetricDefinition,
  standardMetrics,
} from "./standard-metrics.ts";

/** The values of a metric at a moment, one for each set of attributes. */
type Points = readonly (readonly [value: number, attributes?: Attributes])[];

/** A metric that is read from a status. */
export interface ObservedMetric {
  readonly definition: MetricDefinition;
  readonly read: (status: ExporterStatus) => Points;
}

/** The type of what keeps records until they are acknowledged, as a processor of OpenTelemetry's model. */
const QUEUE_COMPONENT = "runtime_evidence.queue";

/** For durations of requests in seconds, as semantic conventions have them for HTTP. */
const DURATION_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const perProbe =
  (read: (probe: ProbeStatus) => bigint | undefined) =>
  ({ probes }: ExporterStatus): Points =>
    probes.flatMap((probe) => {
      const count = read(probe);
      return count === undefined ? [] : [[Number(count), probeOf(probe)] as const];
    });

const probeOf = ({ probe }: ProbeStatus): Attributes => ({ [ATTR_RUNTIME_EVIDENCE_PROBE_TYPE]: probe });

/** One value of a part that not every run has. */
const one = <Part>(part: Part | undefined, read: (part: Part) => number): Points =>
  part === undefined ? [] : [[read(part)]];

const byReason = (counts: ReadonlyMap<string, number>, attributes: Attributes = {}): Points =>
  Array.from(counts, ([reason, count]) => [count, { ...attributes, [ATTR_ERROR_TYPE]: reason }]);

const room = (queue: QueueStatus | undefined, read: (room: QueueStatus["room"][number]) => number): Points =>
  (queue?.room ?? []).map((part) => [read(part), { [ATTR_RUNTIME_EVIDENCE_QUEUE_TYPE]: part.type }]);

const queueOf = (queue: QueueStatus | undefined, read: (queue: QueueStatus) => number): Points =>
  queue === undefined ? [] : [[read(queue), { [ATTR_RUNTIME_EVIDENCE_QUEUE_TYPE]: queue.type }]];

/** One component of each type is in a run. */
const component = (type: string): Attributes => ({
  [ATTR_OTEL_COMPONENT_NAME]: `${type}/0`,
  [ATTR_OTEL_COMPONENT_TYPE]: type,
});

function exportedRecords({ sender }: ExporterStatus): Points {
  if (sender === undefined) return [];
  const attributes = component(sender.type);
  return [[sender.recordsAccepted, attributes], ...byReason(sender.recordsFailed, attributes)];
}

/** A record is processed when the sender is done with it, or when it was dropped before it was sent. */
function processedRecords({ sender, queue }: ExporterStatus): Points {
  if (sender === undefined || queue === undefined) return [];
  const attributes = component(QUEUE_COMPONENT);
  const failed = [...sender.recordsFailed.values()].reduce((sum, count) => sum + count, 0);
  return [[sender.recordsAccepted + failed, attributes], ...byReason(queue.recordsDropped, attributes)];
}

const lostEvents = ({ probes }: ExporterStatus): Points =>
  probes.flatMap((probe) =>
    Array.from(probe.lost, ([reason, count]) => {
      return [Number(count), { ...probeOf(probe), [ATTR_RUNTIME_EVIDENCE_LOSS_REASON]: reason }] as const;
    }),
  );

const attempts = (sender: SenderStatus | undefined): Points =>
  sender === undefined ? [] : [[sender.requestsAccepted], ...byReason(sender.attemptsFailed)];

const observed = (definition: MetricDefinition, read: ObservedMetric["read"]): ObservedMetric => ({
  definition,
  read,
});

/** All metrics but the duration of a request, which is recorded when it happens. */
export const OBSERVED_METRICS: readonly ObservedMetric[] = [
  observed(
    ours.METRIC_RUNTIME_EVIDENCE_KERNEL_EVENT_SEEN,
    perProbe(({ kernel }) => kernel?.seen),
  ),
  observed(
    ours.METRIC_RUNTIME_EVIDENCE_KERNEL_EVENT_FILTERED,
    perProbe(({ kernel }) => kernel?.filtered),
  ),
  observed(
    ours.METRIC_RUNTIME_EVIDENCE_KERNEL_EVENT_EMITTED,
    perProbe(({ kernel }) => kernel?.emitted),
  ),
  observed(
    ours.METRIC_RUNTIME_EVIDENCE_EVENT_EXPORTED,
    perProbe(({ exported }) => exported),
  ),
  observed(ours.METRIC_RUNTIME_EVIDENCE_EVENT_LOST, lostEvents),
  observed(
    ours.METRIC_RUNTIME_EVIDENCE_EVENT_PENDING,
    perProbe(({ pending }) => pending),
  ),
  observed(ours.METRIC_RUNTIME_EVIDENCE_STREAM_RECORD, ({ stream }) => one(stream, (s) => s.lastSequence)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_LOSS_PENDING, ({ stream }) => one(stream, (s) => s.lossesPending)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_PIPE_IO, ({ pipe }) => one(pipe, (p) => p.bytesRead)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_PIPE_FRAME_DAMAGED, ({ pipe }) => one(pipe, (p) => p.framesDamaged)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_PIPE_BLOCKED, ({ pipe }) => one(pipe, (p) => p.blockedMs / 1000)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_PROBE_RESTART, ({ pipe }) => one(pipe, (p) => p.probeRestarts)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_QUEUE_USAGE, ({ queue }) => room(queue, (part) => part.bytes)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_QUEUE_LIMIT, ({ queue }) => room(queue, (part) => part.bytesMax)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_QUEUE_REQUEST_COUNT, ({ queue }) =>
    queueOf(queue, (q) => q.requests),
  ),
  observed(ours.METRIC_RUNTIME_EVIDENCE_QUEUE_AGE, ({ queue }) =>
    queueOf(queue, (q) => q.oldestAgeMs / 1000),
  ),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SPOOL_IO, ({ spool }) => one(spool, (s) => s.bytesWritten)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SPOOL_RECOVERED, ({ spool }) =>
    one(spool, (s) => s.recordsRecovered),
  ),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SPOOL_DAMAGED, ({ spool }) => one(spool, (s) => s.damagedFiles)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SPOOL_ERROR, ({ spool }) => byReason(spool?.failures ?? new Map())),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SENDER_REQUEST_SENT, ({ sender }) => attempts(sender)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SENDER_RETRY, ({ sender }) => one(sender, (s) => s.retries)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SENDER_IO, ({ sender }) => one(sender, (s) => s.bytesAccepted)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_SENDER_SPLIT, ({ sender }) => one(sender, (s) => s.requestsSplit)),
  observed(ours.METRIC_RUNTIME_EVIDENCE_DEAD_LETTER_RECORD, ({ sender }) =>
    one(sender, (s) => s.recordsDeadLettered),
  ),
  observed(standardMetrics.queueSize, ({ queue }) =>
    queue === undefined ? [] : [[queue.records, component(QUEUE_COMPONENT)]],
  ),
  observed(standardMetrics.processed, processedRecords),
  observed(standardMetrics.inflight, ({ sender }) =>
    sender === undefined ? [] : [[sender.recordsInFlight, component(sender.type)]],
  ),
  observed(standardMetrics.exported, exportedRecords),
  observed(standardMetrics.memoryUsage, ({ process }) => [[process.rssBytes]]),
  observed(standardMetrics.uptime, ({ process }) => [[process.uptimeMs / 1000]]),
  observed(standardMetrics.cpuTime, ({ process }) => [
    [process.cpuUserMs / 1000, { "cpu.mode": "user" }],
    [process.cpuSystemMs / 1000, { "cpu.mode": "system" }],
  ]),
];

/** One attempt to send, as the histogram of durations sees it. */
export interface TimedAttempt {
  /** As `SenderStatus.type`. */
  readonly senderType: string;
  readonly durationMs: number;
  /** Why it failed; nothing when the request was accepted. */
  readonly failure?: string | undefined;
}

/**
 * Makes the instruments on `meter`; whenever it is read, `statusOf` is asked once.
 * @returns what to call for each attempt to send.
 */
export function registerSelfMetrics(
  meter: Meter,
  statusOf: () => ExporterStatus,
): (attempt: TimedAttempt) => void {
  const instruments = OBSERVED_METRICS.map(({ definition, read }) => ({
    instrument: observableOf(meter, definition),
    read,
  }));
  meter.addBatchObservableCallback(
    (result) => {
      const status = statusOf();
      for (const { instrument, read } of instruments) {
        for (const [value, attributes] of read(status)) result.observe(instrument, value, attributes);
      }
    },
    instruments.map(({ instrument }) => instrument),
  );
  const durations = durationHistogram(meter);
  return ({ senderType, durationMs, failure }) => {
    const attributes = component(senderType);
    durations.record(
      durationMs / 1000,
      failure === undefined ? attributes : { ...attributes, [ATTR_ERROR_TYPE]: failure },
    );
  };
}

function observableOf(meter: Meter, { name, instrument, unit, description }: MetricDefinition): Observable {
  // Whatever is counted in seconds has fractions; bytes and things have none.
  const options = { unit, description, valueType: unit === "s" ? ValueType.DOUBLE : ValueType.INT };
  switch (instrument) {
    case "counter":
      return meter.createObservableCounter(name, options);
    case "updowncounter":
      return meter.createObservableUpDownCounter(name, options);
    case "gauge":
      return meter.createObservableGauge(name, options);
    default:
      throw new TypeError(`${name}: a ${instrument} can't be observed`);
  }
}

function durationHistogram(meter: Meter): Histogram {
  const { name, unit, description } = standardMetrics.duration;
  return meter.createHistogram(name, {
    unit,
    description,
    advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
  });
}
