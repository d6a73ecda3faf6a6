/**
 * Decodes OTLP's JSON (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding") as liberally as
 * the Collector does: 64-bit integers as text or number, enums by number or name, snake_case names too,
 * unknown members ignored. Integers are exact.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseDecimal, parseEvidenceJson } from "../evidence/json.ts";
import type { Integer, JsonValue } from "../evidence/record.ts";
import { type AnyValue, DoubleValue, isInt64 } from "./any-value.ts";
import {
  type DecodedLogRecord,
  type DecodedResource,
  type DecodedScope,
  emptyLogRecord,
  emptyResource,
  emptyScope,
  valueDepthMax,
} from "./decoded-log-record.ts";

type JsonObject = Readonly<Record<string, JsonValue>>;

/** All records of one ExportLogsServiceRequest or LogsData. Throws `bad-input` naming the member at fault. */
export function decodeJson(text: string): DecodedLogRecord[] {
  return decodeJsonValue(parseEvidenceJson(text));
}

/** As `decodeJson`, of JSON that `parseEvidenceJson` has read. */
export function decodeJsonValue(value: JsonValue): DecodedLogRecord[] {
  const records: DecodedLogRecord[] = [];
  for (const resourceLogs of objects(asObject(value, "the request"), "resourceLogs")) {
    const resource = decodeResource(resourceLogs);
    for (const scopeLogs of objects(resourceLogs, "scopeLogs")) {
      const scope = decodeScope(scopeLogs);
      for (const record of objects(scopeLogs, "logRecords")) {
        records.push(decodeLogRecord(record, resource, scope));
      }
    }
  }
  return records;
}

function decodeResource(resourceLogs: JsonObject): DecodedResource {
  const resource = emptyResource();
  const source = object(resourceLogs, "resource");
  resource.attributes = attributes(source);
  resource.droppedAttributesCount = uint32(source, "droppedAttributesCount");
  resource.schemaUrl = string(resourceLogs, "schemaUrl");
  return resource;
}

function decodeScope(scopeLogs: JsonObject): DecodedScope {
  const scope = emptyScope();
  const source = object(scopeLogs, "scope");
  scope.name = string(source, "name");
  scope.version = string(source, "version");
  scope.attributes = attributes(source);
  scope.droppedAttributesCount = uint32(source, "droppedAttributesCount");
  scope.schemaUrl = string(scopeLogs, "schemaUrl");
  return scope;
}

function decodeLogRecord(
  source: JsonObject,
  resource: DecodedResource,
  scope: DecodedScope,
): DecodedLogRecord {
  const record = emptyLogRecord(resource, scope);
  record.timeUnixNano = uint64(source, "timeUnixNano");
  record.observedTimeUnixNano = uint64(source, "observedTimeUnixNano");
  record.severityNumber = severityNumber(source);
  record.severityText = string(source, "severityText");
  record.body = anyValue(object(source, "body"), 0);
  record.attributes = attributes(source);
  record.droppedAttributesCount = uint32(source, "droppedAttributesCount");
  record.flags = uint32(source, "flags");
  record.traceId = hexId(source, "traceId", 32);
  record.spanId = hexId(source, "spanId", 16);
  record.eventName = string(source, "eventName");
  return record;
}

function fail(member: string, expected: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `OTLP JSON: ${member} must be ${expected}`, {
    context: { member },
  });
}

/**
 * A member by its lowerCamelCase name or, as the Collector reads too, its snake_case one; null is absent.
 * None of the names is one that plain objects inherit.
 */
function member(source: JsonObject, name: string): JsonValue | undefined {
  const value = source[name];
  if (value !== undefined && value !== null) return value;
  const snake = snakeCase(name);
  return snake === name ? undefined : (source[snake] ?? undefined);
}

const snakeNames = new Map<string, string>();

function snakeCase(name: string): string {
  let snake = snakeNames.get(name);
  if (snake === undefined) {
    snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    snakeNames.set(name, snake);
  }
  return snake;
}

function asObject(value: JsonValue | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw fail(name, "an object");
}

const nothing: JsonObject = {};

function object(source: JsonObject, name: string): JsonObject {
  const value = member(source, name);
  return value === undefined ? nothing : asObject(value, name);
}

function objects(source: JsonObject, name: string): readonly JsonObject[] {
  const value = member(source, name);
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw fail(name, "an array");
  for (const item of value) asObject(item, `an item of ${name}`);
  return value as readonly JsonObject[];
}

function string(source: JsonObject, name: string): string {
  const value = member(source, name);
  if (value === undefined) return "";
  if (typeof value !== "string") throw fail(name, "a string");
  return value;
}

function integer(value: JsonValue | undefined, name: string): Integer {
  const exact = typeof value === "string" ? parseDecimal(value) : value;
  if (typeof exact === "bigint" || Number.isSafeInteger(exact)) return exact as Integer;
  throw fail(name, "an integer");
}

function uint64(source: JsonObject, name: string): bigint {
  const value = member(source, name);
  if (value === undefined) return 0n;
  const exact = BigInt(integer(value, name));
  if (exact < 0n || exact >= 1n << 64n) throw fail(name, "an unsigned 64-bit integer");
  return exact;
}

function uint32(source: JsonObject, name: string): number {
  const value = member(source, name);
  if (value === undefined) return 0;
  const exact = integer(value, name);
  if (exact < 0 || exact > 0xffffffff) throw fail(name, "an unsigned 32-bit integer");
  return Number(exact);
}

const severityLevels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/** By number, or by a name such as SEVERITY_NUMBER_INFO or SEVERITY_NUMBER_INFO2. */
function severityNumber(source: JsonObject): number {
  const value = member(source, "severityNumber");
  if (value === undefined || value === "SEVERITY_NUMBER_UNSPECIFIED") return 0;
  const [, level = "", step = "1"] =
    /^SEVERITY_NUMBER_([A-Z]+)([2-4]?)$/.exec(typeof value === "string" ? value : "") ?? [];
  const index = severityLevels.indexOf(level);
  return index < 0 ? uint32(source, "severityNumber") : index * 4 + Number(step || "1");
}

/** An id of fixed length in hexadecimal; the empty string is absent. */
function hexId(source: JsonObject, name: string, digits: number): string {
  const id = string(source, name);
  if (id !== "" && (id.length !== digits || !/^[0-9a-fA-F]+$/.test(id))) {
    throw fail(name, `${digits} hexadecimal digits`);
  }
  return id.toLowerCase();
}

function attributes(source: JsonObject): Map<string, AnyValue> {
  return keyValues(objects(source, "attributes"), 0);
}

function keyValues(list: readonly JsonObject[], depth: number): Map<string, AnyValue> {
  const map = new Map<string, AnyValue>();
  for (const keyValue of list) map.set(string(keyValue, "key"), anyValue(object(keyValue, "value"), depth));
  return map;
}

function anyValue(source: JsonObject, depth: number): AnyValue {
  if (depth >= valueDepthMax) throw fail("a value", `nested at most ${valueDepthMax} levels`);
  for (const name in source) {
    const value = source[name];
    const read = anyValueReaders.get(name);
    if (read !== undefined && value !== undefined && value !== null) return read(value, depth);
  }
  return null;
}

type AnyValueReader = (value: JsonValue, depth: number) => AnyValue;

/** By the name of the member that says which kind of value it is. */
const camelCaseReaders: readonly (readonly [string, AnyValueReader])[] = [
  ["stringValue", (value) => ofType(value, "string", "stringValue")],
  ["intValue", readInt64],
  ["boolValue", (value) => ofType(value, "boolean", "boolValue")],
  ["doubleValue", readDouble],
  [
    "arrayValue",
    (value, depth) =>
      objects(asObject(value, "arrayValue"), "values").map((item) => anyValue(item, depth + 1)),
  ],
  ["kvlistValue", (value, depth) => keyValues(objects(asObject(value, "kvlistValue"), "values"), depth + 1)],
  ["bytesValue", readBytes],
];
const anyValueReaders: ReadonlyMap<string, AnyValueReader> = new Map(
  camelCaseReaders.flatMap(([name, read]) => [
    [name, read],
    [snakeCase(name), read],
  ]),
);

function ofType(value: JsonValue, type: "string" | "boolean", name: string): AnyValue {
  if (typeof value !== type) throw fail(name, `a ${type}`);
  return value as AnyValue;
}

function readInt64(value: JsonValue): AnyValue {
  const exact = integer(value, "intValue");
  if (!isInt64(exact)) throw fail("intValue", "a 64-bit integer");
  return exact;
}

function readDouble(value: JsonValue): AnyValue {
  if (typeof value === "number" || typeof value === "bigint") return new DoubleValue(Number(value));
  const named = value === "NaN" || value === "Infinity" || value === "-Infinity";
  if (named || (typeof value === "string" && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value))) {
    return new DoubleValue(Number(value));
  }
  throw fail("doubleValue", "a number");
}

function readBytes(value: JsonValue): AnyValue {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) {
    throw fail("bytesValue", "base64");
  }
  return new Uint8Array(Buffer.from(value, "base64"));
}
