/**
 * Decodes log records that Loki gives back, in both forms of its HTTP API (pkg/util/marshal/query.go), and as
 * Grafana downloads them. Every value is text there; `toEvidence` reads it by what the schema says.
 *
 *     categorised   { "stream": labels of the stream, "values": [[time, line, { "structuredMetadata", "parsed" }]] }
 *     merged        { "stream": all of them,          "values": [[time, line]] }
 *     Grafana       { "timestamp", "line", "fields": all of them }
 *
 * What the query itself has parsed out of lines is no evidence: lines repeat hostile text, such as paths.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseDecimal, parseEvidenceJson } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";
import type { AnyValue } from "./any-value.ts";
import { DecodedAttributes } from "./decoded-attributes.ts";
import { type DecodedLogRecord, emptyLogRecord, emptyResource, emptyScope } from "./decoded-log-record.ts";
import { attributesByLabel, type LabelledAttribute } from "./loki-labels.ts";

type JsonObject = Readonly<Record<string, JsonValue>>;

/** Gives the value of an attribute that Loki keeps under `label`; nothing where it has none. */
type LabelReader = (label: string, attribute: LabelledAttribute) => AnyValue | undefined;

/**
 * Stands for a label that two sources have claimed with two values: no field can be read from it, so that the
 * record is refused instead of rebuilt wrongly.
 */
const ambiguous: AnyValue = new Map();

/** Shared by all that have none. */
const noResource = emptyResource();
const noScope = emptyScope();

/**
 * The log records of one element of `data.result` in a `query_range` response: one stream. Throws `bad-input`
 * naming the member at fault.
 */
export function decodeLoki(text: string): DecodedLogRecord[] {
  const element = asObject(parseEvidenceJson(text), "an element of the result");
  const stream = asObject(element.stream, "stream");
  if (!Array.isArray(element.values)) throw fail("values", "an array");
  return element.values.map((entry: JsonValue) => {
    if (!Array.isArray(entry)) throw fail("an item of values", "an array");
    const [time, line, categories] = entry as readonly JsonValue[];
    if (categories === undefined) return decodeMerged(time, line, stream);
    return decodeCategorised(time, line, stream, asObject(categories, "the third item of an entry"));
  });
}

/** The log record of one row of Grafana's download. Throws `bad-input` naming the member at fault. */
export function decodeGrafanaRow(text: string): DecodedLogRecord {
  const row = asObject(parseEvidenceJson(text), "a row");
  return decodeMerged(row.timestamp, row.line, asObject(row.fields ?? row.labels, "fields"));
}

function decodeCategorised(
  time: JsonValue | undefined,
  line: JsonValue | undefined,
  stream: JsonObject,
  categories: JsonObject,
): DecodedLogRecord {
  const metadata = asObject(categories.structuredMetadata ?? {}, "structuredMetadata");
  return decodeEntry(time, line, metadata, (label, { extracted, indexable }) => {
    const own = metadata[label] ?? metadata[extracted];
    return asText(own ?? (indexable ? stream[label] : undefined), label);
  });
}

/**
 * Here a suffixed label is either metadata beside a label of the stream, or parsed out of the line beside
 * metadata. Nothing tells which, so two values that differ are `ambiguous`.
 */
function decodeMerged(
  time: JsonValue | undefined,
  line: JsonValue | undefined,
  labels: JsonObject,
): DecodedLogRecord {
  return decodeEntry(time, line, labels, (label, { extracted }) => {
    const suffixed = labels[extracted];
    if (suffixed !== undefined && suffixed !== labels[label]) return ambiguous;
    return asText(labels[label], label);
  });
}

function decodeEntry(
  time: JsonValue | undefined,
  line: JsonValue | undefined,
  labels: JsonObject,
  read: LabelReader,
): DecodedLogRecord {
  const attributes = new DecodedAttributes();
  let resource = noResource;
  for (const [label, attribute] of attributesByLabel) {
    const value = read(label, attribute);
    if (value === undefined) continue;
    if (attribute.of === "record") attributes.set(attribute.key, value);
    else {
      if (resource === noResource) resource = { ...noResource, attributes: new DecodedAttributes() };
      (resource.attributes as DecodedAttributes).set(attribute.key, value);
    }
  }
  const record = emptyLogRecord(resource, noScope);
  record.attributes = attributes;
  record.timeUnixNano = nanoseconds(time);
  record.body = asText(line, "line") ?? null;
  // Loki's own names for fields of a log record (pkg/loghttp/push/otlp.go; event_name from 3.8).
  record.observedTimeUnixNano = nanoseconds(labels.observed_timestamp);
  record.eventName = asText(labels.event_name, "event_name") ?? "";
  record.droppedAttributesCount = Number(labels.dropped_attributes_count ?? 0) || 0;
  return record;
}

/** Nanoseconds since the Unix epoch in decimal; 0 for anything else, as the time of the event is an attribute. */
function nanoseconds(value: JsonValue | undefined): bigint {
  const exact = typeof value === "string" ? parseDecimal(value) : value;
  return typeof exact === "bigint" || Number.isSafeInteger(exact) ? BigInt(exact as bigint) : 0n;
}

/** Text, or what tools on the way have made a number or a boolean of; null is absent. */
function asText(value: JsonValue | undefined, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object") throw fail(name, "text");
  return String(value);
}

function asObject(value: JsonValue | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw fail(name, "an object");
}

function fail(member: string, expected: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `Loki: ${member} must be ${expected}`, {
    context: { member },
  });
}
