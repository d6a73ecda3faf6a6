/**
 * Runtime Evidence v1 records as log records of OpenTelemetry's SDK, and back.
 */
import { randomBytes } from "node:crypto";
import { uptime } from "node:os";
import type { Attributes, HrTime, SeverityNumber } from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Extensions } from "../evidence/extensions.ts";
import type { EvidenceRecord } from "../evidence/record.ts";
import { checkedStreamId } from "../otlp/log-record-writer.ts";
import { eventName } from "../otlp/mapping.ts";
import { severity } from "../otlp/projection.ts";
import { type RecordClock, readRecordTime } from "../otlp/record-clock.ts";
import { evidenceScope } from "../otlp/resource.ts";
import { type Reversed, toEvidence } from "../otlp/to-evidence.ts";
import { containerResource, defaultEvidenceResource } from "./container-resources.ts";
import { evidenceAttributes } from "./evidence-attributes.ts";
import { logBody } from "./log-body.ts";
import { fromReadable } from "./readable-log-record.ts";

/** What belongs to a log record and not to the v1 record; everything is optional. */
export interface EvidenceLogOptions {
  /**
   * What `ts_ns` counts from: "boot", "realtime" (the Unix epoch), or "auto" by the value. It decides the log
   * record's Timestamp only; `ts_ns` itself travels as it is. Default "auto".
   */
  readonly clock?: RecordClock | undefined;
  /** When the record's host booted, in nanoseconds since the Unix epoch. Default: this machine, read once. */
  readonly bootTimeUnixNano?: bigint | undefined;
  /** When the record was read, in nanoseconds since the Unix epoch. Default: now. */
  readonly observedTimeUnixNano?: bigint | undefined;
  /**
   * Makes `log.record.uid`, by which readers know a record that came twice: `streamId` is 1 to 64 printable ASCII
   * characters, `sequence` a safe integer, counted from 1. Default: a stream of this process, and the next number.
   */
  readonly uid?: { readonly streamId: string; readonly sequence: number } | undefined;
  /** Facts beyond v1, as further attributes. */
  readonly extensions?: Extensions | undefined;
}

export interface LogRecordOptions extends EvidenceLogOptions {
  /**
   * Whom the log record is about: service, host. Always pass the same object, because OpenTelemetry groups log
   * records by it. The record's container is added. Default: `service.name` = runtime-evidence.
   */
  readonly resource?: Resource | undefined;
}

const processStream = randomBytes(8).toString("hex");
let processSequence = 0;
let thisBootTimeUnixNano: bigint | undefined;
const nanosecondsPerMillisecond = 1_000_000n;
const nanosecondsPerSecond = 1_000_000_000n;

/** One object for all records: OpenTelemetry groups by identity. */
const instrumentationScope: ReadableLogRecord["instrumentationScope"] = {
  name: evidenceScope.name,
  version: evidenceScope.version,
  schemaUrl: evidenceScope.schemaUrl,
  attributes: evidenceScope.attributes as Attributes,
};

/**
 * A valid record as the log record that an exporter takes: what any serializer of OpenTelemetry makes of it
 * comes back exactly. Integers beyond 2^53 are decimal text, because the SDK's values have no bigint. The
 * Resource is one object per `resource` and container. Throws RuntimeEvidenceError: `bad-input` when there is no
 * event with a type of v1 (check records of others with `validate` first), `usage` for a `uid` that is none.
 */
export function toLogRecord(record: EvidenceRecord, options: LogRecordOptions = {}): ReadableLogRecord {
  const { container, ...content } = evidenceLog(record, options);
  return {
    ...content,
    resource: containerResource(options.resource ?? defaultEvidenceResource, container),
    instrumentationScope,
    droppedAttributesCount: 0,
  };
}

/**
 * The v1 record in a log record of the SDK, whatever processors added to it; `foreign` for a log record of
 * somebody else, `invalid` with a reason where evidence can't be rebuilt: attributes were dropped or cut. Never
 * throws. The record is not validated yet.
 */
export function fromLogRecord(logRecord: ReadableLogRecord): Reversed {
  let decoded: ReturnType<typeof fromReadable>;
  try {
    decoded = fromReadable(logRecord);
  } catch {
    // Its types say what it has; whoever made it may not have known them.
    return { kind: "invalid", reason: "no ReadableLogRecord of OpenTelemetry's SDK" };
  }
  return toEvidence(decoded);
}

/** The parts of a log record that are the record's; `container` is for the Resource. */
export interface EvidenceLog {
  readonly hrTime: HrTime;
  readonly hrTimeObserved: HrTime;
  readonly severityNumber: SeverityNumber;
  readonly body: string;
  readonly eventName: string;
  readonly attributes: Attributes;
  readonly container: Attributes;
}

export function evidenceLog(record: EvidenceRecord, options: EvidenceLogOptions): EvidenceLog {
  const { streamId, sequence } = options.uid ?? { streamId: processStream, sequence: ++processSequence };
  if (!Number.isSafeInteger(sequence) || sequence < 0) {
    throw new RuntimeEvidenceError("usage", "A sequence number is a safe integer, counted from 1.");
  }
  const uid = `${checkedStreamId(streamId)}-${sequence}`;
  const { type, attributes, container } = evidenceAttributes(record, uid, options.extensions);
  const failed = record.event.type === "net_connect" && record.event.success === false;
  const observed = options.observedTimeUnixNano ?? BigInt(Date.now()) * nanosecondsPerMillisecond;
  return {
    hrTime: toHrTime(timeOf(record, options)),
    hrTimeObserved: toHrTime(observed),
    severityNumber: failed ? severity.warn : severity.info,
    body: logBody(record),
    eventName: eventName(type),
    attributes,
    container,
  };
}

function toHrTime(unixNano: bigint): HrTime {
  return [Number(unixNano / nanosecondsPerSecond), Number(unixNano % nanosecondsPerSecond)];
}

function timeOf({ ts_ns }: EvidenceRecord, { clock = "auto", bootTimeUnixNano }: EvidenceLogOptions): bigint {
  if (typeof ts_ns !== "bigint" && !Number.isSafeInteger(ts_ns)) {
    throw new RuntimeEvidenceError("bad-input", "/ts_ns must be integer");
  }
  return readRecordTime(ts_ns, clock, bootTimeUnixNano ?? readBootTime()).timeUnixNano;
}

/** Read once, so that two records are as far apart in Timestamp as in `ts_ns`. */
function readBootTime(): bigint {
  thisBootTimeUnixNano ??= BigInt(Math.round(Date.now() - uptime() * 1000)) * nanosecondsPerMillisecond;
  return thisBootTimeUnixNano;
}
