/**
 * Log records of an exporter about its own stream: loss and stream records. They stand among the evidence, in
 * the same stream and with sequence numbers of it, so that what becomes of them is known just as well. They are
 * few, so they are encoded value by value and not by the compiled table.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { JsonValue } from "../evidence/record.ts";
import { type AttributeMap, type AttributeRecord, delimitedField, encodeKeyValue } from "./any-value.ts";
import {
  ATTR_LOG_RECORD_UID,
  ATTR_RUNTIME_EVIDENCE_LOSS_REASON,
  ATTR_RUNTIME_EVIDENCE_STREAM_STATE,
  EVENT_RUNTIME_EVIDENCE_LOSS,
  EVENT_RUNTIME_EVIDENCE_STREAM,
} from "./attributes.gen.ts";
import type { RequestBuilder } from "./request-builder.ts";
import type { EncodedResource } from "./resource.ts";

/** Where a control record is written. */
export interface ControlContext {
  readonly resource: EncodedResource;
  /** When it is written, in nanoseconds since the Unix epoch. */
  readonly observedTimeUnixNano: bigint;
  /** The stream that the record is part of; 1 to 64 printable ASCII characters. */
  readonly streamId: string;
  /** Its number in that stream, taken from the same counter as those of evidence. */
  readonly sequence: number;
}

/** What a control record holds, whichever it is. */
export interface ControlContent {
  readonly eventName: string;
  /** SeverityNumber of the log data model. */
  readonly severityNumber: number;
  readonly timeUnixNano: bigint;
  /** For people; one line. */
  readonly body: string;
  readonly attributes: AttributeRecord;
}

/** LogRecord.time_unix_nano (1) and observed_time_unix_nano (11), fixed64; severity_number (2), varint. */
const timeTag = 0x09;
const observedTimeTag = 0x59;
const severityTag = 0x10;

/** Writes one record into the request that is being built. */
export function encodeControlRecord(
  builder: RequestBuilder,
  content: ControlContent,
  context: ControlContext,
): void {
  const attributes = {
    ...content.attributes,
    [ATTR_LOG_RECORD_UID]: `${context.streamId}-${context.sequence}`,
  };
  const record = delimitedField(
    2,
    fixed64(timeTag, content.timeUnixNano),
    fixed64(observedTimeTag, context.observedTimeUnixNano),
    Buffer.from([severityTag, content.severityNumber]),
    delimitedField(12, Buffer.from(content.eventName)),
    ...Object.entries(attributes).map(([key, value]) => encodeKeyValue(6, key, value)),
    delimitedField(5, delimitedField(1, Buffer.from(content.body))),
  );
  builder.use(context.resource).encoded(record);
}

function fixed64(tag: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9, tag);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value), 1);
  return bytes;
}

/** Which control record a log record is: by its event name, or by its attributes where a backend drops that. */
export function controlEventOf(eventName: string, attributes: AttributeMap): "loss" | "stream" | undefined {
  if (eventName === EVENT_RUNTIME_EVIDENCE_LOSS || attributes.has(ATTR_RUNTIME_EVIDENCE_LOSS_REASON)) {
    return "loss";
  }
  if (eventName === EVENT_RUNTIME_EVIDENCE_STREAM || attributes.has(ATTR_RUNTIME_EVIDENCE_STREAM_STATE)) {
    return "stream";
  }
  return undefined;
}

/** Members of a control record as they were read, to be checked: they may come from anybody. */
export type ControlMembers = Readonly<Record<string, JsonValue>>;

/** Text that matches `pattern`. Throws `bad-input`. */
export function checkedText(members: ControlMembers, member: string, pattern: RegExp): string {
  const value = members[member];
  if (typeof value === "string" && pattern.test(value)) return value;
  throw new RuntimeEvidenceError("bad-input", `${member} of a control record is missing or not sound`);
}

/** An integer from 0 to 2^64 - 1. Throws `bad-input`. */
export function checkedUnsigned(members: ControlMembers, member: string): bigint {
  const value = members[member];
  if (typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value))) {
    const exact = BigInt(value);
    if (exact >= 0n && exact < 2n ** 64n) return exact;
  }
  throw new RuntimeEvidenceError("bad-input", `${member} of a control record is missing or not sound`);
}

/** A safe integer from 0. Throws `bad-input`. */
export function checkedNumber(members: ControlMembers, member: string): number {
  const value = Number(checkedUnsigned(members, member));
  if (Number.isSafeInteger(value)) return value;
  throw new RuntimeEvidenceError("bad-input", `${member} of a control record is beyond 2^53`);
}

/** Texts, at most `itemsMax`; none when absent. Throws `bad-input`. */
export function checkedTexts(members: ControlMembers, member: string, itemsMax: number): readonly string[] {
  const value = members[member];
  if (value === undefined) return [];
  if (Array.isArray(value) && value.length <= itemsMax && value.every((item) => typeof item === "string")) {
    return value;
  }
  throw new RuntimeEvidenceError(
    "bad-input",
    `${member} of a control record is no list of texts or too long`,
  );
}

/** A stream id: what `log.record.uid` can hold before its hyphen. */
export const STREAM_ID_PATTERN = /^[\x21-\x7e]{1,64}$/;
/** A reason of loss or the type of a probe. Later versions may have more than this one knows. */
export const NAME_PATTERN = /^[a-z][a-z0-9_]{0,63}$/;
