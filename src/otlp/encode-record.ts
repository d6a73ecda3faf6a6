/**
 * Writes a Runtime Evidence v1 record as an OTLP log record, losing nothing.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Extensions } from "../evidence/extensions.ts";
import type { EventType, EvidenceRecord, Integer, JsonValue } from "../evidence/record.ts";
import { isInt64 } from "./any-value.ts";
import {
  type AttributeSlot,
  connectionStateAttributes,
  errorTypeSlot,
  eventSlots,
  extensionSlots,
  recordSlots,
  residualSlot,
} from "./attribute-slot.ts";
import type { LogRecordWriter } from "./log-record-writer.ts";
import {
  eventFields,
  eventTypes,
  extensionFields,
  type FieldMapping,
  isEventType,
  recordFields,
  resourceFields,
} from "./mapping.ts";
import { errorType, severity } from "./projection.ts";
import type { RequestBuilder } from "./request-builder.ts";
import { isExactText, Residual } from "./residual.ts";
import type { ResourceSource } from "./resource.ts";

/** What belongs to a log record and not to the v1 record. */
export interface RecordMeta {
  /** Where the record's resource comes from. */
  readonly resources: ResourceSource;
  /** When it happened, in nanoseconds since the Unix epoch. */
  readonly timeUnixNano: bigint;
  /** When it was read, in nanoseconds since the Unix epoch; the same on every attempt to deliver it. */
  readonly observedTimeUnixNano: bigint;
  readonly streamId: string;
  /** A safe integer that grows by one per record of the stream. */
  readonly sequence: number;
  readonly extensions?: Extensions;
}

interface FieldWriter {
  readonly field: FieldMapping;
  readonly slot: AttributeSlot;
}

type Members = Readonly<Record<string, JsonValue | undefined>>;

function fieldWriters(
  fields: readonly FieldMapping[],
  slots: Readonly<Record<string, AttributeSlot>>,
): FieldWriter[] {
  return fields.map((field) => ({ field, slot: slots[field.member] as AttributeSlot }));
}

const recordWriters = fieldWriters(recordFields, recordSlots);
const extensionWriters = fieldWriters(extensionFields, extensionSlots);
const eventWriters = perEventType((type) => fieldWriters(eventFields[type], eventSlots[type]));

const resourceMembers = new Set<string>(resourceFields.map(({ member }) => member));
const topMembers = new Set<string>(["event", ...recordFields.map(({ member }) => member)]);
const eventMembers = perEventType(
  (type) => new Set<string>(["type", ...eventFields[type].map(({ member }) => member)]),
);

function perEventType<Value>(create: (type: EventType) => Value): Readonly<Record<EventType, Value>> {
  return Object.fromEntries(eventTypes.map((type) => [type, create(type)])) as Record<EventType, Value>;
}

/** The value of a resource attribute; what no attribute holds exactly goes into the residual instead. */
function resourceText(value: unknown): string | undefined {
  return typeof value === "string" && isExactText(value) ? value : undefined;
}

/**
 * Writes one valid record. Throws `bad-input` when its event has no type of v1; the builder is then as before.
 */
export function encodeRecord(builder: RequestBuilder, record: EvidenceRecord, meta: RecordMeta): void {
  const { type } = record.event;
  if (!isEventType(type)) throw new RuntimeEvidenceError("bad-input", "/event/type is not of v1");
  const writer = builder.use(
    meta.resources.resourceFor(resourceText(record.container_id), resourceText(record.image_digest)),
  );
  const time = meta.timeUnixNano;
  const observed = meta.observedTimeUnixNano;
  const failed = record.event.type === "net_connect" && record.event.success === false;
  writer.begin(
    type,
    low(time),
    high(time),
    low(observed),
    high(observed),
    failed ? severity.warn : severity.info,
  );
  try {
    writeContent(writer, record, type, meta);
  } catch (thrown) {
    writer.abort();
    throw thrown;
  }
  writer.end();
}

function writeContent(
  writer: LogRecordWriter,
  record: EvidenceRecord,
  type: EventType,
  { extensions, streamId, sequence }: RecordMeta,
): void {
  const residual = new Residual();
  const top = record as unknown as Members;
  const event = record.event as unknown as Members;
  let known = 1;
  for (const { field, slot } of recordWriters) {
    const value = top[field.member];
    if (value === undefined) continue;
    known++;
    if (!writeField(writer, slot, field, value)) residual.addTop(field.member, value);
  }
  if (known !== memberCount(top)) addUnwritten(top, topMembers, residual);
  known = 1;
  for (const { field, slot } of eventWriters[type]) {
    const value = event[field.member];
    if (value === undefined) continue;
    known++;
    if (!writeField(writer, slot, field, value)) residual.addEvent(field.member, value);
  }
  if (known !== memberCount(event)) addUnwrittenEvent(event, eventMembers[type], residual);
  writeProjections(writer, record);
  if (extensions !== undefined) writeExtensions(writer, extensions);
  writer.uid(streamId, sequence);
  const text = residual.toText();
  if (text !== undefined) writer.text(residualSlot, text);
}

function memberCount(members: Members): number {
  let count = 0;
  for (const _ in members) count++;
  return count;
}

/** Members at the top that are neither attributes of the log record nor, exactly, of the resource. */
function addUnwritten(top: Members, known: ReadonlySet<string>, residual: Residual): void {
  for (const member of Object.keys(top)) {
    const value = top[member];
    if (value === undefined || known.has(member)) continue;
    if (resourceMembers.has(member) && resourceText(value) !== undefined) continue;
    residual.addTop(member, value);
  }
}

function addUnwrittenEvent(event: Members, known: ReadonlySet<string>, residual: Residual): void {
  for (const member of Object.keys(event)) {
    const value = event[member];
    if (value !== undefined && !known.has(member)) residual.addEvent(member, value);
  }
}

function writeProjections(writer: LogRecordWriter, { event }: EvidenceRecord): void {
  if (event.type === "tcp_state") {
    const state = connectionStateAttributes.get(event.newstate);
    if (state !== undefined) writer.constant(state);
  } else if (event.type === "net_connect" && event.success === false) {
    writer.text(errorTypeSlot, errorType(event.error));
  }
}

/** Writes extensions, those that are absent left out. After the event's fields and projections. */
export function writeExtensions(writer: LogRecordWriter, extensions: Extensions): void {
  const members = extensions as Members;
  for (const { field, slot } of extensionWriters) {
    const value = members[field.member];
    if (value !== undefined) writeField(writer, slot, field, value);
  }
}

/** Writes what an attribute can show of a value; false when it does not hold the value exactly. */
function writeField(
  writer: LogRecordWriter,
  slot: AttributeSlot,
  { type, values }: FieldMapping,
  value: JsonValue,
): boolean {
  switch (type) {
    case "integer":
      if (typeof value === "bigint" || Number.isInteger(value))
        return writeInteger(writer, slot, value as Integer);
      return false;
    case "string": {
      if (typeof value !== "string") return false;
      const text = values === undefined ? value : Object.hasOwn(values, value) ? values[value] : undefined;
      if (text === undefined) return false;
      if (writer.plain(slot, text)) return true;
      writer.text(slot, text);
      return isExactText(text);
    }
    case "boolean":
      if (typeof value === "boolean") writer.boolean(slot, value);
      return typeof value === "boolean";
    case "string-array":
      if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) return false;
      writer.textArray(slot, value);
      return value.every(isExactText);
  }
}

function writeInteger(writer: LogRecordWriter, slot: AttributeSlot, value: Integer): boolean {
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    writer.integer(slot, value | 0, Math.floor(value / 0x1_0000_0000) | 0);
    return true;
  }
  const exact = BigInt(value);
  if (isInt64(exact)) writer.integer(slot, low(exact) | 0, high(exact) | 0);
  else writer.text(slot, String(exact));
  return true;
}

/** Splits 64-bit integers without making smaller bigints on the way. */
const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);
const [lowHalf, highHalf] = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? [0, 1] : [1, 0];

function low(value: bigint): number {
  whole[0] = value;
  return halves[lowHalf] as number;
}

function high(value: bigint): number {
  whole[0] = value;
  return halves[highHalf] as number;
}
