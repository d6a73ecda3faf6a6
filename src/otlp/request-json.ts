/**
 * OTLP JSON of a protobuf request: 64-bit integers as text, ids in hexadecimal, default values left out
 * (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding").
 */
import { jsonString } from "../evidence/json-string.ts";
import { type AnyValue, type AttributeMap, DoubleValue } from "./any-value.ts";
import { decodeRequest } from "./decode-request.ts";
import { ownAttributeKeys } from "./decoded-attributes.ts";
import type { DecodedLogRecord, DecodedResource, DecodedScope } from "./decoded-log-record.ts";

/** JSON text of an ExportLogsServiceRequest. Throws `bad-input` when `body` is no such message. */
export function requestToJson(body: Uint8Array): string {
  return recordsToJson(decodeRequest(body));
}

/** JSON text of one request with these records; neighbours of one resource or scope are put together. */
export function recordsToJson(records: readonly DecodedLogRecord[]): string {
  const resourceLogs: string[] = [];
  for (const ofResource of runs(records, ({ resource }) => resource)) {
    const { resource } = ofResource[0] as DecodedLogRecord;
    const scopeLogs = runs(ofResource, ({ scope }) => scope).map((ofScope) => {
      const { scope } = ofScope[0] as DecodedLogRecord;
      return objectText(
        member("scope", scopeText(scope)),
        member("schemaUrl", stringText(scope.schemaUrl)),
        member("logRecords", `[${ofScope.map(logRecordText).join(",")}]`),
      );
    });
    resourceLogs.push(
      objectText(
        member("resource", resourceText(resource)),
        member("schemaUrl", stringText(resource.schemaUrl)),
        member("scopeLogs", `[${scopeLogs.join(",")}]`),
      ),
    );
  }
  return `{"resourceLogs":[${resourceLogs.join(",")}]}`;
}

/** The records in order, those beside each other that belong to the same together. */
function runs(
  records: readonly DecodedLogRecord[],
  owner: (record: DecodedLogRecord) => unknown,
): DecodedLogRecord[][] {
  const result: DecodedLogRecord[][] = [];
  let current: unknown;
  for (const record of records) {
    if (owner(record) === current && result.length > 0) result.at(-1)?.push(record);
    else result.push([record]);
    current = owner(record);
  }
  return result;
}

/** JSON text; nothing for a default value, which is left out. */
type Text = string | undefined;

const member = (name: string, text: Text): Text => (text === undefined ? undefined : `"${name}":${text}`);
const objectText = (...members: readonly Text[]): string =>
  `{${members.filter((text) => text !== undefined).join(",")}}`;
const stringText = (value: string): Text => (value === "" ? undefined : jsonString(value));
const numberText = (value: number): Text => (value === 0 ? undefined : String(value));
const longText = (value: bigint): Text => (value === 0n ? undefined : `"${value}"`);

function resourceText({ attributes, droppedAttributesCount }: DecodedResource): string {
  return objectText(
    member("attributes", keyValuesText(attributes)),
    member("droppedAttributesCount", numberText(droppedAttributesCount)),
  );
}

function scopeText({ name, version, attributes, droppedAttributesCount }: DecodedScope): string {
  return objectText(
    member("name", stringText(name)),
    member("version", stringText(version)),
    member("attributes", keyValuesText(attributes)),
    member("droppedAttributesCount", numberText(droppedAttributesCount)),
  );
}

function logRecordText(record: DecodedLogRecord): string {
  return objectText(
    member("timeUnixNano", longText(record.timeUnixNano)),
    member("observedTimeUnixNano", longText(record.observedTimeUnixNano)),
    member("severityNumber", numberText(record.severityNumber)),
    member("severityText", stringText(record.severityText)),
    member("eventName", stringText(record.eventName)),
    member("body", record.body === null ? undefined : valueText(record.body)),
    member("attributes", keyValuesText(record.attributes)),
    member("droppedAttributesCount", numberText(record.droppedAttributesCount)),
    member("flags", numberText(record.flags)),
    member("traceId", stringText(record.traceId)),
    member("spanId", stringText(record.spanId)),
  );
}

function keyValuesText(attributes: AttributeMap): Text {
  let text = "";
  attributes.forEach((value, key) => {
    text += `${text === "" ? "[" : ","}${keyText(key)}${valueText(value)}}`;
  });
  return text === "" ? undefined : `${text}]`;
}

const ownKeyTexts = new Map(ownAttributeKeys.map((key) => [key, `{"key":"${key}","value":`]));

function keyText(key: string): string {
  return ownKeyTexts.get(key) ?? `{"key":${jsonString(key)},"value":`;
}

function valueText(value: AnyValue): string {
  if (value === null) return "{}";
  if (typeof value === "string") return `{"stringValue":${jsonString(value)}}`;
  if (typeof value === "boolean") return `{"boolValue":${value}}`;
  if (typeof value === "number" || typeof value === "bigint") return `{"intValue":"${value}"}`;
  if (value instanceof DoubleValue) return `{"doubleValue":${JSON.stringify(doubleJson(value.value))}}`;
  if (value instanceof Uint8Array) return `{"bytesValue":"${Buffer.from(value).toString("base64")}"}`;
  if (value instanceof Map) return `{"kvlistValue":{"values":${keyValuesText(value) ?? "[]"}}}`;
  const items = (value as readonly AnyValue[]).map(valueText);
  return `{"arrayValue":{"values":[${items.join(",")}]}}`;
}

/** JSON has no word for these three; OTLP takes protobuf's. */
function doubleJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
