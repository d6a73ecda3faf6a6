/**
 * OTLP JSON of a protobuf request: 64-bit integers as text, ids in hexadecimal, default values left out
 * (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding").
 */
import { type AnyValue, type AttributeMap, DoubleValue } from "./any-value.ts";
import { decodeRequest } from "./decode-request.ts";
import type { DecodedLogRecord, DecodedResource, DecodedScope } from "./decoded-log-record.ts";

/** JSON text of an ExportLogsServiceRequest. Throws `bad-input` when `body` is no such message. */
export function requestToJson(body: Uint8Array): string {
  return recordsToJson(decodeRequest(body));
}

/** JSON text of one request with these records; neighbours of one resource or scope are put together. */
export function recordsToJson(records: readonly DecodedLogRecord[]): string {
  const resourceLogs: { resource: object; schemaUrl: string | undefined; scopeLogs: object[] }[] = [];
  let logRecords: object[] = [];
  let resource: DecodedResource | undefined;
  let scope: DecodedScope | undefined;
  for (const record of records) {
    if (record.resource !== resource) {
      resource = record.resource;
      scope = undefined;
      resourceLogs.push({
        resource: resourceObject(resource),
        schemaUrl: present(resource.schemaUrl),
        scopeLogs: [],
      });
    }
    if (record.scope !== scope) {
      scope = record.scope;
      logRecords = [];
      resourceLogs.at(-1)?.scopeLogs.push({
        scope: scopeObject(scope),
        schemaUrl: present(scope.schemaUrl),
        logRecords,
      });
    }
    logRecords.push(logRecordObject(record));
  }
  return JSON.stringify({ resourceLogs });
}

/** `undefined` members are left out of JSON, as default values are to be. */
function present<Value extends string | number>(value: Value): Value | undefined {
  return value === "" || value === 0 ? undefined : value;
}

const decimal = (value: bigint): string | undefined => (value === 0n ? undefined : String(value));

function keyValues(attributes: AttributeMap): object[] | undefined {
  const items = Array.from(attributes, ([key, value]) => ({ key, value: valueObject(value) }));
  return items.length === 0 ? undefined : items;
}

function resourceObject({ attributes, droppedAttributesCount }: DecodedResource): object {
  return {
    attributes: keyValues(attributes),
    droppedAttributesCount: present(droppedAttributesCount),
  };
}

function scopeObject({ name, version, attributes, droppedAttributesCount }: DecodedScope): object {
  return {
    name: present(name),
    version: present(version),
    attributes: keyValues(attributes),
    droppedAttributesCount: present(droppedAttributesCount),
  };
}

function logRecordObject(record: DecodedLogRecord): object {
  return {
    timeUnixNano: decimal(record.timeUnixNano),
    observedTimeUnixNano: decimal(record.observedTimeUnixNano),
    severityNumber: present(record.severityNumber),
    severityText: present(record.severityText),
    eventName: present(record.eventName),
    body: record.body === null ? undefined : valueObject(record.body),
    attributes: keyValues(record.attributes),
    droppedAttributesCount: present(record.droppedAttributesCount),
    flags: present(record.flags),
    traceId: present(record.traceId),
    spanId: present(record.spanId),
  };
}

function valueObject(value: AnyValue): object {
  if (value === null) return {};
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number" || typeof value === "bigint") return { intValue: String(value) };
  if (value instanceof DoubleValue) return { doubleValue: doubleJson(value.value) };
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString("base64") };
  if (value instanceof Map) return { kvlistValue: { values: keyValues(value) ?? [] } };
  return { arrayValue: { values: (value as readonly AnyValue[]).map(valueObject) } };
}

/** JSON has no word for these three; OTLP takes protobuf's. */
function doubleJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
