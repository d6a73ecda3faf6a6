/**
 * Limits of stores, asked before sending: a store answers a whole request with an error for one record that is
 * too large, and says at best which one it was. Only reads a record; how it was made does not matter.
 */
import type { AnyValue, AttributeMap, AttributeRecord } from "./any-value.ts";
import type { DecodedLogRecord } from "./decoded-log-record.ts";
import { utf8Size } from "./protobuf-writer.ts";

/** Stores whose limits are known. */
export const LIMITED_STORES = ["loki"] as const;
export type LimitedStore = (typeof LIMITED_STORES)[number];

/**
 * Defaults of Loki 3 (pkg/validation/limits.go): `max_structured_metadata_size`, `..._entries_count`,
 * `max_line_size` and `max_label_value_length`; sizes in bytes.
 */
const loki = {
  metadataBytesMax: 64 * 1024,
  metadataEntriesMax: 128,
  lineBytesMax: 256 * 1024,
  labelValueBytesMax: 2048,
} as const;

/** Resource attributes that Loki makes labels of by default (pkg/loghttp/push/otlp_config.go). */
const lokiLabels: ReadonlySet<string> = new Set([
  "service.name",
  "service.namespace",
  "service.instance.id",
  "deployment.environment",
  "deployment.environment.name",
  "cloud.region",
  "cloud.availability_zone",
  "container.name",
  ...["cluster", "namespace", "pod", "container", "replicaset", "deployment", "statefulset", "daemonset"].map(
    (kind) => `k8s.${kind}.name`,
  ),
  "k8s.cronjob.name",
  "k8s.job.name",
]);

/** Why the store would refuse this log record, as one sentence; nothing when it would take it. */
export function storeRefusal(store: LimitedStore, record: DecodedLogRecord): string | undefined {
  const reasons = { loki: lokiRefusal } satisfies Record<LimitedStore, unknown>;
  return reasons[store](record);
}

/**
 * Loki keeps with each line its attributes, those of resource and scope, and some fields, all of them as text
 * (pkg/loghttp/push/otlp.go), and measures names and values (pkg/util/entry_size.go). Which attributes are labels
 * instead is configurable; this is the default. `event_name` is kept since 3.8, and counted always.
 */
function lokiRefusal(record: DecodedLogRecord): string | undefined {
  const lineBytes = textSize(record.body);
  if (lineBytes > loki.lineBytesMax) return over("line", lineBytes, loki.lineBytesMax);
  for (const [key, value] of record.resource.attributes) {
    const valueBytes = textSize(value);
    if (lokiLabels.has(key) && valueBytes > loki.labelValueBytesMax) {
      return over(`label ${key}`, valueBytes, loki.labelValueBytesMax);
    }
  }
  const metadata = [...metadataSizes(record)];
  if (metadata.length > loki.metadataEntriesMax) {
    return `Loki takes ${loki.metadataEntriesMax} entries of structured metadata, this record has ${metadata.length}`;
  }
  const metadataBytes = metadata.reduce((sum, size) => sum + size, 0);
  if (metadataBytes > loki.metadataBytesMax) {
    return over("structured metadata", metadataBytes, loki.metadataBytesMax);
  }
  return undefined;
}

function over(what: string, bytes: number, bytesMax: number): string {
  return `Loki takes a ${what} of ${bytesMax} bytes, this record has ${bytes}`;
}

/** Bytes of each entry of structured metadata, name and value. */
function* metadataSizes(record: DecodedLogRecord): Generator<number> {
  const { resource, scope } = record;
  yield* attributeSizes(record.attributes);
  for (const [key, value] of resource.attributes) {
    if (!lokiLabels.has(key)) yield labelName(key).length + textSize(value);
  }
  yield* attributeSizes(scope.attributes);
  const hasTime = record.timeUnixNano !== 0n;
  const fields: readonly (readonly [string, AnyValue])[] = [
    ["scope_name", scope.name],
    ["scope_version", scope.version],
    ["observed_timestamp", hasTime ? record.observedTimeUnixNano : 0n],
    ["severity_number", record.severityNumber],
    ["severity_text", record.severityText],
    ["flags", record.flags],
    ["trace_id", record.traceId],
    ["span_id", record.spanId],
    ["event_name", record.eventName],
  ];
  for (const [name, value] of fields) {
    // Fields that are not set are not kept; attributes are, empty ones too.
    if (value !== "" && value !== 0 && value !== 0n) yield name.length + textSize(value);
  }
}

function* attributeSizes(attributes: AttributeMap): Generator<number> {
  for (const [key, value] of attributes) yield labelName(key).length + textSize(value);
}

/** Each run of other characters becomes one underscore (github.com/prometheus/otlptranslator, strconv.go). */
function labelName(key: string): string {
  const name = key.replace(/[^A-Za-z0-9]+/g, "_");
  return /^\d/.test(name) ? `key_${name}` : name;
}

/** Bytes of a value as text (go.opentelemetry.io/collector/pdata, Value.AsString). */
function textSize(value: AnyValue): number {
  if (value === null) return 0;
  if (typeof value === "string") return utf8Size(value);
  if (value instanceof Uint8Array) return Math.ceil(value.length / 3) * 4;
  return Array.isArray(value) ? goJsonSize(value) : String(value).length;
}

/** Bytes of an array as Go writes it in JSON: `<`, `>`, `&`, U+2028 and U+2029 are escaped, too. */
function goJsonSize(items: readonly AnyValue[]): number {
  const sizes = items.map((item) => {
    if (typeof item !== "string") return textSize(item);
    const escaped = JSON.stringify(item.toWellFormed()).replace(/[<>&\u2028\u2029]/g, "\\u0000");
    return utf8Size(escaped);
  });
  return 2 + Math.max(0, items.length - 1) + sizes.reduce((sum, size) => sum + size, 0);
}

/** Room that is left for a resource, and for what is the same in every record: names of attributes and fields. */
const resourceBytesSafe = 8 * 1024;
const resourceEntriesSafe = 48;
/** A character of a record's JSON takes this many bytes at most, in an array and in the residual together. */
const growthMax = 12;

/**
 * JSON of a record of at most so many bytes is within the limits of every store: it need not be measured. 0 where
 * the resource, which is kept with each record, leaves too little room to say so.
 */
export function textBytesSafe(resource: AttributeRecord): number {
  const sizes = Object.entries(resource).map(([key, value]) => ({ key, bytes: textSize(value) }));
  const bytes = sizes.reduce((sum, entry) => sum + entry.key.length + entry.bytes, 0);
  const fits =
    bytes <= resourceBytesSafe &&
    sizes.length <= resourceEntriesSafe &&
    sizes.every((entry) => entry.bytes <= loki.labelValueBytesMax);
  return fits ? Math.floor((loki.metadataBytesMax - 2 * resourceBytesSafe) / growthMax) : 0;
}
