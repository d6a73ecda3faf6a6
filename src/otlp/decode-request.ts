/**
 * Decodes protobuf of ExportLogsServiceRequest or LogsData (logs_service.proto, logs.proto), which are the
 * same on the wire. Unknown fields are passed over; of a field that may stand once the last one counts.
 */
import { byteWords } from "../evidence/byte-words.ts";
import { type AnyValue, DoubleValue } from "./any-value.ts";
import type { DecodedAttributes } from "./decoded-attributes.ts";
import {
  type DecodedLogRecord,
  type DecodedResource,
  type DecodedScope,
  emptyLogRecord,
  emptyResource,
  emptyScope,
  valueDepthMax,
} from "./decoded-log-record.ts";
import { ProtobufReader, wireType } from "./protobuf-reader.ts";

const { varint, fixed64, fixed32, delimited } = wireType;
const tagOf = (field: number, wire: number): number => field * 8 + wire;

/**
 * All records of one request. Throws `bad-input` with the byte offset when the bytes are not such a message,
 * or when a value is nested deeper than `valueDepthMax`. Allocates in proportion to `body`, which the
 * caller limits.
 */
export function decodeRequest(body: Uint8Array): DecodedLogRecord[] {
  const reader = new ProtobufReader(body);
  const records: DecodedLogRecord[] = [];
  readFields(reader, requestFields, records);
  return records;
}

/** Reads one field into the target. By tag, so that a known field with another wire type is no known field. */
type FieldReaders<Target> = ReadonlyMap<number, (reader: ProtobufReader, target: Target) => void>;

function readFields<Target>(reader: ProtobufReader, readers: FieldReaders<Target>, target: Target): void {
  while (reader.more) {
    const tag = reader.tag();
    const read = readers.get(tag);
    if (read !== undefined) read(reader, target);
    else skipUnknown(reader, readers, tag);
  }
}

function skipUnknown<Target>(reader: ProtobufReader, readers: FieldReaders<Target>, tag: number): void {
  for (const known of readers.keys()) {
    if (known >>> 3 === tag >>> 3) throw reader.error(`field ${tag >>> 3} has wire type ${tag & 7}`);
  }
  reader.skip(tag);
}

function readMessage<Target>(reader: ProtobufReader, readers: FieldReaders<Target>, target: Target): void {
  const outerEnd = reader.enter();
  readFields(reader, readers, target);
  reader.leave(outerEnd);
}

const requestFields: FieldReaders<DecodedLogRecord[]> = new Map([
  [
    tagOf(1, delimited),
    (reader, records) => readMessage(reader, resourceLogsFields, { records, resource: emptyResource() }),
  ],
]);

interface ResourceLogs {
  readonly records: DecodedLogRecord[];
  readonly resource: DecodedResource;
}

const resourceLogsFields: FieldReaders<ResourceLogs> = new Map([
  [tagOf(1, delimited), (reader, { resource }) => readMessage(reader, resourceFields, resource)],
  [
    tagOf(2, delimited),
    (reader, { records, resource }) =>
      readMessage(reader, scopeLogsFields, { records, resource, scope: emptyScope() }),
  ],
  [
    tagOf(3, delimited),
    (reader, { resource }) => {
      resource.schemaUrl = reader.key();
    },
  ],
]);

interface ScopeLogs extends ResourceLogs {
  readonly scope: DecodedScope;
}

const scopeLogsFields: FieldReaders<ScopeLogs> = new Map([
  [tagOf(1, delimited), (reader, { scope }) => readMessage(reader, scopeFields, scope)],
  [
    tagOf(2, delimited),
    (reader, { records, resource, scope }) => {
      const record = emptyLogRecord(resource, scope);
      readLogRecord(reader, record);
      records.push(record);
    },
  ],
  [
    tagOf(3, delimited),
    (reader, { scope }) => {
      scope.schemaUrl = reader.key();
    },
  ],
]);

interface Attributed {
  attributes: ReadonlyMap<string, AnyValue>;
  droppedAttributesCount: number;
}

const readAttribute = (reader: ProtobufReader, { attributes }: Attributed): void =>
  readKeyValue(reader, attributes as DecodedAttributes, 0);

const readDropped = (reader: ProtobufReader, target: Attributed): void => {
  target.droppedAttributesCount = reader.uint32();
};

const resourceFields: FieldReaders<DecodedResource> = new Map([
  [tagOf(1, delimited), readAttribute],
  [tagOf(2, varint), readDropped],
]);

const scopeFields: FieldReaders<DecodedScope> = new Map<
  number,
  (reader: ProtobufReader, scope: DecodedScope) => void
>([
  [
    tagOf(1, delimited),
    (reader, scope) => {
      scope.name = reader.key();
    },
  ],
  [
    tagOf(2, delimited),
    (reader, scope) => {
      scope.version = reader.key();
    },
  ],
  [tagOf(3, delimited), readAttribute],
  [tagOf(4, varint), readDropped],
]);

/** Fields of LogRecord; those that are not here are of a later version. */
const logRecordFieldMax = 12;

/** Spelled out, and not a table, because it is run for each attribute of each record. */
function readLogRecord(reader: ProtobufReader, record: DecodedLogRecord): void {
  const outerEnd = reader.enter();
  const attributes = record.attributes as DecodedAttributes;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === tagOf(6, delimited)) readRecordAttribute(reader, attributes);
    else readLogRecordField(reader, record, tag);
  }
  reader.leave(outerEnd);
}

function readLogRecordField(reader: ProtobufReader, record: DecodedLogRecord, tag: number): void {
  switch (tag) {
    case tagOf(1, fixed64):
      record.timeUnixNano = reader.fixed64();
      return;
    case tagOf(2, varint):
      record.severityNumber = reader.uint32();
      return;
    case tagOf(3, delimited):
      record.severityText = reader.key();
      return;
    case tagOf(5, delimited):
      record.body = readAnyValue(reader, 0);
      return;
    case tagOf(7, varint):
      record.droppedAttributesCount = reader.uint32();
      return;
    case tagOf(8, fixed32):
      record.flags = reader.fixed32();
      return;
    case tagOf(9, delimited):
      record.traceId = reader.hex();
      return;
    case tagOf(10, delimited):
      record.spanId = reader.hex();
      return;
    case tagOf(11, fixed64):
      record.observedTimeUnixNano = reader.fixed64();
      return;
    case tagOf(12, delimited):
      record.eventName = reader.key();
      return;
    default:
      // Field 4 was in use once (logs.proto: reserved) and is no field of another wire type.
      if (tag >>> 3 <= logRecordFieldMax && tag >>> 3 !== 4) {
        throw reader.error(`field ${tag >>> 3} has wire type ${tag & 7}`);
      }
      reader.skip(tag);
  }
}

/** What attributes are put into, and the members of a map. */
type AttributeTarget = DecodedAttributes | Map<string, AnyValue>;

/** The attribute that is expected, or any other. */
function readRecordAttribute(reader: ProtobufReader, attributes: DecodedAttributes): void {
  const { expected } = reader;
  const attribute = expected.next;
  if (attribute?.same !== undefined && reader.pass(attribute.same)) {
    expected.found(attribute);
    attributes.set(attribute.key, attribute.value);
    return;
  }
  const start = reader.position;
  const outerEnd = reader.enter();
  if (attribute === undefined || !reader.pass(attribute.start)) {
    const { key, value } = readMembers(reader, { key: "", value: null }, 0);
    attributes.set(key, value);
    expected.learn(key, "", startOf);
  } else {
    expected.found(attribute);
    const value = readAnyValue(reader, 0);
    if (reader.more) {
      const last = readMembers(reader, { key: attribute.key, value }, 0);
      attributes.set(last.key, last.value);
    } else {
      attributes.set(attribute.key, value);
      if (expected.keep(attribute, value, reader.position - start)) {
        attribute.same = byteWords(reader.bytesSince(start));
      }
    }
  }
  reader.leave(outerEnd);
}

/** KeyValue.key, which is short ASCII, and the tag of KeyValue.value. */
function startOf(key: string): Uint8Array {
  return Buffer.from([tagOf(1, delimited), key.length, ...Buffer.from(key), tagOf(2, delimited)]);
}

function readKeyValue(reader: ProtobufReader, attributes: AttributeTarget, depth: number): void {
  const outerEnd = reader.enter();
  const { key, value } = readMembers(reader, { key: "", value: null }, depth);
  reader.leave(outerEnd);
  attributes.set(key, value);
}

interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

/** Reads the rest of a KeyValue over what was read before: of a field that stands twice the last counts. */
function readMembers(reader: ProtobufReader, before: KeyValue, depth: number): KeyValue {
  let { key, value } = before;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === tagOf(1, delimited)) key = reader.key();
    else if (tag === tagOf(2, delimited)) value = readAnyValue(reader, depth);
    else if (tag >>> 3 <= 2) throw reader.error(`field ${tag >>> 3} has wire type ${tag & 7}`);
    else reader.skip(tag);
  }
  return { key, value };
}

function readAnyValue(reader: ProtobufReader, depth: number): AnyValue {
  if (depth >= valueDepthMax) throw reader.error(`a value nested deeper than ${valueDepthMax} levels`);
  const outerEnd = reader.enter();
  let value: AnyValue = null;
  while (reader.more) value = readOneOf(reader, reader.tag(), value, depth);
  reader.leave(outerEnd);
  return value;
}

function readOneOf(reader: ProtobufReader, tag: number, before: AnyValue, depth: number): AnyValue {
  switch (tag) {
    case tagOf(1, delimited):
      return reader.string();
    case tagOf(2, varint):
      return reader.boolean();
    case tagOf(3, varint):
      return reader.int64();
    case tagOf(4, fixed64):
      return new DoubleValue(reader.double());
    case tagOf(5, delimited):
      return readArray(reader, depth + 1);
    case tagOf(6, delimited):
      return readKeyValueList(reader, depth + 1);
    case tagOf(7, delimited):
      return reader.bytes();
    default:
      if (tag >>> 3 <= 7) throw reader.error(`field ${tag >>> 3} has wire type ${tag & 7}`);
      reader.skip(tag);
      return before;
  }
}

function readArray(reader: ProtobufReader, depth: number): AnyValue {
  const outerEnd = reader.enter();
  const items: AnyValue[] = [];
  while (reader.more) {
    const tag = reader.tag();
    if (tag === tagOf(1, delimited)) items.push(readAnyValue(reader, depth));
    else if (tag >>> 3 === 1) throw reader.error(`field 1 has wire type ${tag & 7}`);
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  return items;
}

function readKeyValueList(reader: ProtobufReader, depth: number): AnyValue {
  const outerEnd = reader.enter();
  const members = new Map<string, AnyValue>();
  while (reader.more) {
    const tag = reader.tag();
    if (tag === tagOf(1, delimited)) readKeyValue(reader, members, depth);
    else if (tag >>> 3 === 1) throw reader.error(`field 1 has wire type ${tag & 7}`);
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  return members;
}
