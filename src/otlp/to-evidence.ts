/**
 * Rebuilds the exact v1 record from a log record, wherever that has been: values are read by what the schema
 * says of a member, because some backends keep everything as text. What others added is left alone.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Extensions } from "../evidence/extensions.ts";
import { parseDecimal, parseEvidenceJson } from "../evidence/json.ts";
import type { EventType, EvidenceRecord, JsonValue } from "../evidence/record.ts";
import { type AnyValue, type AttributeMap, DoubleValue } from "./any-value.ts";
import { ATTR_LOG_RECORD_UID, ATTR_RUNTIME_EVIDENCE_RESIDUAL } from "./attributes.gen.ts";
import { controlEventOf } from "./control-record.ts";
import type { DecodedLogRecord } from "./decoded-log-record.ts";
import { type LossRecord, lossFields, lossFromMembers } from "./loss-record.ts";
import {
  eventFields,
  eventName,
  eventTypeKey,
  eventTypes,
  extensionFields,
  type FieldMapping,
  fieldsAfterContainer,
  fieldsBeforeContainer,
  isEventType,
  recordFields,
  resourceFields,
} from "./mapping.ts";
import { applyResidual, type JsonObject } from "./residual.ts";
import { type StreamRecord, streamFields, streamFromMembers } from "./stream-record.ts";

/** What a log record turned out to be. */
export type Reversed =
  | {
      readonly kind: "evidence";
      /** As the original was, not yet validated. */
      readonly record: EvidenceRecord;
      /** `log.record.uid`; see `parseUid`. */
      readonly uid?: string;
      readonly extensions: Extensions;
      /** Nanoseconds since the Unix epoch. */
      readonly timeUnixNano: bigint;
    }
  /** What an exporter says of its own stream; no evidence. */
  | ControlRecord
  /** A log record of somebody else. */
  | { readonly kind: "foreign" }
  /** Evidence that cannot be rebuilt; the reason is one line. */
  | { readonly kind: "invalid"; readonly reason: string };

/** A loss or stream record. `uid` is its own place in the stream that it is part of. */
export type ControlRecord = { readonly kind: "control"; readonly uid?: string } & (
  | { readonly event: "loss"; readonly loss: LossRecord }
  | { readonly event: "stream"; readonly stream: StreamRecord }
);

const typesByEventName = new Map(eventTypes.map((type) => [eventName(type), type]));

/** Rebuilds one record. Never throws. */
export function toEvidence(decoded: DecodedLogRecord): Reversed {
  const { attributes, resource } = decoded;
  const typeValue = attributes.get(eventTypeKey);
  // Some backends keep the attribute and not the event name, others the other way round.
  const type = typeValue ?? typesByEventName.get(decoded.eventName);
  if (type === undefined) return readControl(decoded);
  if (!isEventType(type)) return { kind: "invalid", reason: `${eventTypeKey} is not an event type of v1` };
  const dropped = decoded.droppedAttributesCount + resource.droppedAttributesCount;
  if (dropped > 0) return { kind: "invalid", reason: `${dropped} attributes were dropped on the way` };
  try {
    const record = readRecord(attributes, resource.attributes, type);
    const uid = attributes.get(ATTR_LOG_RECORD_UID);
    return {
      kind: "evidence",
      record: record as unknown as EvidenceRecord,
      ...(typeof uid === "string" && { uid }),
      extensions: readExtensions(attributes),
      timeUnixNano: decoded.timeUnixNano,
    };
  } catch (thrown) {
    return { kind: "invalid", reason: RuntimeEvidenceError.from(thrown, "bad-input").message };
  }
}

function readControl(decoded: DecodedLogRecord): Reversed {
  const { attributes, timeUnixNano } = decoded;
  const event = controlEventOf(decoded.eventName, attributes);
  if (event === undefined) return { kind: "foreign" };
  try {
    const uid = attributes.get(ATTR_LOG_RECORD_UID);
    const identity = typeof uid === "string" ? { uid } : {};
    const members: JsonObject = {};
    readFields(attributes, event === "loss" ? lossFields : streamFields, members);
    return event === "loss"
      ? { kind: "control", event, loss: lossFromMembers(members), ...identity }
      : { kind: "control", event, stream: streamFromMembers(members, timeUnixNano), ...identity };
  } catch (thrown) {
    return { kind: "invalid", reason: RuntimeEvidenceError.from(thrown, "bad-input").message };
  }
}

function readRecord(attributes: AttributeMap, resource: AttributeMap, type: EventType): JsonObject {
  const record: JsonObject = {};
  const event: JsonObject = { type };
  readFields(attributes, fieldsBeforeContainer, record);
  readFields(resource, resourceFields, record);
  // A Logger of OpenTelemetry's SDK has one resource: what it emits has its container among its attributes.
  readFields(attributes, resourceFields, record);
  readFields(attributes, fieldsAfterContainer, record);
  readFields(attributes, eventFields[type], event);
  record.event = event;
  const residual = attributes.get(ATTR_RUNTIME_EVIDENCE_RESIDUAL);
  if (typeof residual === "string") applyResidual(residual, record, event);
  else if (residual !== undefined) throw unreadable(ATTR_RUNTIME_EVIDENCE_RESIDUAL, "text");
  requireMembers(recordFields, record);
  requireMembers(eventFields[type], event);
  return record;
}

function requireMembers(fields: readonly FieldMapping[], target: JsonObject): void {
  for (const { member, key, required } of fields) {
    if (required && target[member] === undefined) {
      throw new RuntimeEvidenceError("bad-input", `${key} is missing`);
    }
  }
}

function readFields(attributes: AttributeMap, fields: readonly FieldMapping[], target: JsonObject): void {
  for (const field of fields) {
    const value = attributes.get(field.key);
    if (value !== undefined) target[field.member] = readField(field, value);
  }
}

function unreadable(key: string, expected: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `${key} is not ${expected}`);
}

function readField(field: FieldMapping, value: AnyValue): JsonValue {
  switch (field.type) {
    case "integer":
      return readInteger(field.key, value);
    case "string":
      return readString(field, value);
    case "boolean":
      if (typeof value === "boolean") return value;
      if (value === "true" || value === "false") return value === "true";
      throw unreadable(field.key, "a boolean");
    case "string-array":
      return readStringArray(field.key, value);
  }
}

function readInteger(key: string, value: AnyValue): JsonValue {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (value instanceof DoubleValue && Number.isSafeInteger(value.value)) return value.value;
  const exact = typeof value === "string" ? parseDecimal(value) : undefined;
  if (exact === undefined) throw unreadable(key, "an integer");
  return exact;
}

function readString({ key, values }: FieldMapping, value: AnyValue): JsonValue {
  if (typeof value !== "string") throw unreadable(key, "text");
  if (values === undefined) return value;
  for (const member in values) {
    if (values[member] === value) return member;
  }
  throw unreadable(key, `one of ${Object.values(values).join(", ")}`);
}

/** An array, or its JSON text, which is how Loki keeps one. */
function readStringArray(key: string, value: AnyValue): JsonValue {
  const items = typeof value === "string" ? parseEvidenceJson(value) : value;
  if (Array.isArray(items) && items.every((item) => typeof item === "string")) return items;
  throw unreadable(key, "an array of text");
}

/** Extensions are extra: one that cannot be read is left out, and the record stays what it is. */
function readExtensions(attributes: AttributeMap): Extensions {
  const extensions: JsonObject = {};
  for (const field of extensionFields) {
    const value = attributes.get(field.key);
    if (value === undefined) continue;
    try {
      extensions[field.member] = readField(field, value);
    } catch {}
  }
  return extensions as Extensions;
}

/** Splits a `log.record.uid` of ours into stream and sequence number; nothing when it is not of ours. */
export function parseUid(uid: string): { readonly streamId: string; readonly sequence: number } | undefined {
  const hyphen = uid.lastIndexOf("-");
  const sequence = parseDecimal(uid.slice(hyphen + 1));
  if (hyphen < 1 || typeof sequence !== "number" || sequence < 0) return undefined;
  return { streamId: uid.slice(0, hyphen), sequence };
}
