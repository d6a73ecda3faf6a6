/**
 * Decodes OTLP's JSON (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"), names in
 * lowerCamelCase or, as the Collector reads too, in snake_case; unknown members are passed over, `null` is
 * absent. Read straight from the text: building all of its small objects first takes longer than the rest.
 */
import { byteWords } from "../evidence/byte-words.ts";
import { nameBytesMax } from "../evidence/json-scanner.ts";
import { StringTable } from "../evidence/string-table.ts";
import type { AnyValue } from "./any-value.ts";
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
import { JsonReader } from "./json-reader.ts";

/**
 * Most log records of one text: an empty one has three characters and takes some hundred bytes when it is decoded.
 * Large stored text comes in pieces; where it does not, so many records have next to nothing in them.
 */
const recordsMax = 100_000;

/** How the member of each signal starts: logs, spans, metrics and profiles may stand in one file. */
const signalPrefix = "resource";

/** All names, so that those read are these very strings. */
const memberNames = new StringTable(nameBytesMax, [
  ...["resourceLogs", "resource_logs", "resource", "scopeLogs", "scope_logs", "scope", "logRecords"],
  ...["log_records", "schemaUrl", "schema_url", "name", "version", "attributes", "droppedAttributesCount"],
  ...["dropped_attributes_count", "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "key", "value"],
  ...[
    "observed_time_unix_nano",
    "severityNumber",
    "severity_number",
    "severityText",
    "severity_text",
    "body",
  ],
  ...[
    "flags",
    "traceId",
    "trace_id",
    "spanId",
    "span_id",
    "eventName",
    "event_name",
    "stringValue",
    "values",
  ],
  ...["string_value", "intValue", "int_value", "boolValue", "bool_value", "doubleValue", "double_value"],
  ...["arrayValue", "array_value", "kvlistValue", "kvlist_value", "bytesValue", "bytes_value"],
]);

/**
 * All records of one ExportLogsServiceRequest or LogsData. Throws `bad-input` with the member and the character
 * at fault, also where there are more than `recordsMax` log records, and for an object of something else: one that
 * has members, but none of any signal of OTLP, such as a v1 record.
 */
export function decodeJson(text: string): DecodedLogRecord[] {
  const reader = new JsonReader(text, memberNames);
  const records: DecodedLogRecord[] = [];
  let isEmpty = true;
  let isOtlp = false;
  readObject(reader, "the request", (name) => {
    isEmpty = false;
    isOtlp ||= name.startsWith(signalPrefix);
    if (name !== "resourceLogs" && name !== "resource_logs") return false;
    readArray(reader, name, () => readResourceLogs(reader, records));
    return true;
  });
  reader.end();
  if (!isEmpty && !isOtlp) throw reader.unlike("the request", "an object with resourceLogs", 0);
  return records;
}

/** Reads the members of an object; `member` reads the value of one that it knows, or returns false. */
function readObject(reader: JsonReader, what: string, member: (name: string) => boolean): void {
  for (let name = reader.firstName(what); name !== undefined; name = reader.nextName()) {
    if (!reader.null() && !member(name)) reader.skip();
  }
}

function readArray(reader: JsonReader, what: string, item: () => void): void {
  if (!reader.enterArray(what)) return;
  do item();
  while (reader.moreItems());
}

function readResourceLogs(reader: JsonReader, records: DecodedLogRecord[]): void {
  const resource = emptyResource();
  readObject(reader, "an item of resourceLogs", (name) => {
    switch (name) {
      case "resource":
        readObject(reader, name, (inner) => readAttributed(reader, inner, resource));
        return true;
      case "scopeLogs":
      case "scope_logs":
        readArray(reader, name, () => readScopeLogs(reader, records, resource));
        return true;
      case "schemaUrl":
      case "schema_url":
        resource.schemaUrl = reader.key(name);
        return true;
      default:
        return false;
    }
  });
}

function readScopeLogs(reader: JsonReader, records: DecodedLogRecord[], resource: DecodedResource): void {
  const scope = emptyScope();
  readObject(reader, "an item of scopeLogs", (name) => {
    switch (name) {
      case "scope":
        readObject(reader, name, (inner) => readScopeMember(reader, inner, scope));
        return true;
      case "logRecords":
      case "log_records":
        readArray(reader, name, () => {
          if (records.length === recordsMax)
            throw reader.error(`more than ${recordsMax} log records in one request`);
          records.push(readLogRecord(reader, resource, scope));
        });
        return true;
      case "schemaUrl":
      case "schema_url":
        scope.schemaUrl = reader.key(name);
        return true;
      default:
        return false;
    }
  });
}

function readScopeMember(reader: JsonReader, name: string, scope: DecodedScope): boolean {
  if (name === "name") scope.name = reader.key(name);
  else if (name === "version") scope.version = reader.key(name);
  else return readAttributed(reader, name, scope);
  return true;
}

interface Attributed {
  attributes: ReadonlyMap<string, AnyValue>;
  droppedAttributesCount: number;
}

function readAttributed(reader: JsonReader, name: string, target: Attributed): boolean {
  switch (name) {
    case "attributes":
      readKeyValues(reader, name, target.attributes as DecodedAttributes, 0);
      return true;
    case "droppedAttributesCount":
    case "dropped_attributes_count":
      target.droppedAttributesCount = reader.uint32(name);
      return true;
    default:
      return false;
  }
}

/** Without `readObject`, as are key-values and values: they are run for each record or attribute. */
function readLogRecord(reader: JsonReader, resource: DecodedResource, scope: DecodedScope): DecodedLogRecord {
  const record = emptyLogRecord(resource, scope);
  for (let name = reader.firstName("an item of logRecords"); name !== undefined; name = reader.nextName()) {
    if (!reader.null()) readLogRecordMember(reader, name, record);
  }
  return record;
}

function readLogRecordMember(reader: JsonReader, name: string, record: DecodedLogRecord): void {
  switch (name) {
    case "timeUnixNano":
    case "time_unix_nano":
      record.timeUnixNano = reader.uint64(name);
      return;
    case "observedTimeUnixNano":
    case "observed_time_unix_nano":
      record.observedTimeUnixNano = reader.uint64(name);
      return;
    case "severityNumber":
    case "severity_number":
      record.severityNumber = reader.severityNumber(name);
      return;
    case "severityText":
    case "severity_text":
      record.severityText = reader.key(name);
      return;
    case "body":
      record.body = readAnyValue(reader, name, 0);
      return;
    case "flags":
      record.flags = reader.uint32(name);
      return;
    case "traceId":
    case "trace_id":
      record.traceId = reader.hexId(name, 32);
      return;
    case "spanId":
    case "span_id":
      record.spanId = reader.hexId(name, 16);
      return;
    case "eventName":
    case "event_name":
      record.eventName = reader.key(name);
      return;
    default:
      if (!readAttributed(reader, name, record)) reader.skip();
  }
}

function readKeyValues(reader: JsonReader, what: string, attributes: AttributeTarget, depth: number): void {
  if (!reader.enterArray(what)) return;
  do readKeyValue(reader, what, attributes, depth);
  while (reader.moreItems());
}

/** What attributes are put into, and the members of a map. */
type AttributeTarget = DecodedAttributes | Map<string, AnyValue>;

function readKeyValue(reader: JsonReader, what: string, attributes: AttributeTarget, depth: number): void {
  if (depth === 0 && readExpected(reader, attributes)) return;
  const first = reader.firstName(`an item of ${what}`);
  const { key, value } = readMembers(reader, attributes, first, { key: "", value: null }, depth);
  if (depth === 0) learn(reader, key, value);
}

const closing = byteWords(Buffer.from("}}"));

/** Reads the attribute that is expected; false, and nothing is read, where another stands here. */
function readExpected(reader: JsonReader, attributes: AttributeTarget): boolean {
  const attribute = reader.expected.next;
  if (attribute === undefined || !reader.enterObjects(attribute.start, 2)) return false;
  reader.expected.found(attribute);
  const { key, kind, same } = attribute;
  if (same !== undefined && reader.leaveObjects(same, 2)) {
    attributes.set(key, attribute.value);
    return true;
  }
  const start = reader.position;
  const value = reader.null() ? null : readOneOf(reader, kind, null, 0);
  if (reader.leaveObjects(closing, 2)) {
    if (reader.expected.keep(attribute, value, reader.position - start)) {
      const bytes = reader.plainBytes(start);
      attribute.same = bytes && byteWords(bytes);
    }
    attributes.set(key, value);
  } else {
    const last = readMoreOf(reader, reader.nextName(), value, 0);
    readMembers(reader, attributes, reader.nextName(), { key, value: last }, 0);
  }
  return true;
}

function learn(reader: JsonReader, key: string, value: AnyValue): void {
  const name = memberOf(value);
  if (name === undefined) return;
  // As writers of compact JSON write it.
  const start = () => Buffer.from(`{"key":${JSON.stringify(key)},"value":{"${name}":`);
  reader.expected.learn(key, name, start);
}

/** The member of the AnyValue that holds such a value, for the values that are worth expecting. */
function memberOf(value: AnyValue): string | undefined {
  switch (typeof value) {
    case "string":
      return "stringValue";
    case "number":
    case "bigint":
      return "intValue";
    case "boolean":
      return "boolValue";
    default:
      return Array.isArray(value) ? "arrayValue" : undefined;
  }
}

/** Reads the members from `first` on, over what was read `before`: of a name that stands twice the last counts. */
function readMembers(
  reader: JsonReader,
  attributes: AttributeTarget,
  first: string | undefined,
  before: KeyValue,
  depth: number,
): KeyValue {
  let { key, value } = before;
  for (let name = first; name !== undefined; name = reader.nextName()) {
    if (reader.null()) continue;
    if (name === "key") key = reader.key(name);
    else if (name === "value") value = readAnyValue(reader, name, depth);
    else reader.skip();
  }
  attributes.set(key, value);
  return { key, value };
}

interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

function readAnyValue(reader: JsonReader, what: string, depth: number): AnyValue {
  if (depth >= valueDepthMax) throw reader.unlike("a value", `nested at most ${valueDepthMax} levels`);
  return readMoreOf(reader, reader.firstName(what), null, depth);
}

/** Reads the members from `first` on; of several the last one counts. */
function readMoreOf(
  reader: JsonReader,
  first: string | undefined,
  before: AnyValue,
  depth: number,
): AnyValue {
  let value = before;
  for (let name = first; name !== undefined; name = reader.nextName()) {
    if (!reader.null()) value = readOneOf(reader, name, value, depth);
  }
  return value;
}

function readOneOf(reader: JsonReader, name: string, before: AnyValue, depth: number): AnyValue {
  switch (name) {
    case "stringValue":
    case "string_value":
      return reader.stringValue(name);
    case "intValue":
    case "int_value":
      return reader.int64(name);
    case "boolValue":
    case "bool_value":
      return reader.boolean(name);
    case "doubleValue":
    case "double_value":
      return reader.double(name);
    case "arrayValue":
    case "array_value":
      return readList(reader, name, depth + 1);
    case "kvlistValue":
    case "kvlist_value":
      return readKeyValueList(reader, name, depth + 1);
    case "bytesValue":
    case "bytes_value":
      return reader.bytesValue(name);
    default:
      reader.skip();
      return before;
  }
}

function readList(reader: JsonReader, what: string, depth: number): AnyValue {
  const items: AnyValue[] = [];
  readObject(reader, what, (name) => {
    if (name !== "values") return false;
    readArray(reader, name, () => items.push(readAnyValue(reader, "an item of values", depth)));
    return true;
  });
  return items;
}

function readKeyValueList(reader: JsonReader, what: string, depth: number): AnyValue {
  const members = new Map<string, AnyValue>();
  readObject(reader, what, (name) => {
    if (name !== "values") return false;
    readKeyValues(reader, name, members, depth);
    return true;
  });
  return members;
}
