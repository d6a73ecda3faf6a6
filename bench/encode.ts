/**
 * What encoding costs: a file_open with all its attributes to protobuf, written field by field (as frames
 * are), from a v1 record, from v1 JSON, and by OpenTelemetry's serializer from the same attributes.
 *
 *     node bench/encode.ts [--records 500000] [--rounds 3] [--json]
 */
import { fileURLToPath } from "node:url";
import type { Attributes, SeverityNumber } from "@opentelemetry/api";
import { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { stringifyEvidence } from "../src/evidence/json.ts";
import type { EvidenceRecord, Integer, JsonValue } from "../src/evidence/record.ts";
import { constantAttribute, eventSlots, recordSlots } from "../src/otlp/attribute-slot.ts";
import { decodeRequest } from "../src/otlp/decode-request.ts";
import { encodeRecord } from "../src/otlp/encode-record.ts";
import { RequestBuilder } from "../src/otlp/request-builder.ts";
import { createResourceSource, evidenceScope } from "../src/otlp/resource.ts";
import { createEvidenceReader } from "../src/pipeline/evidence-reader.ts";
import { type BenchCase, runCases } from "./case-runner.ts";

const requestBytesMax = 3_500_000;
/** `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` as it is by default. */
const sdkRequestRecords = 512;
const clockBootNs = 81_234_567_890_123;
const clockEpochNs = 1_737_890_000_123_456_789n;
const streamId = "0123456789abcdef";
const resources = createResourceSource({ "service.name": "runtime-evidence", "host.name": "bench" });

const sample = (index: number, firstNs: Integer = clockBootNs): EvidenceRecord => ({
  ts_ns: typeof firstNs === "bigint" ? firstNs + BigInt(index) : firstNs + index,
  src: "sys_enter_openat",
  pid: 1000 + (index % 30_000),
  tid: 1001 + (index % 30_000),
  cgroup_id: 12_345,
  comm: "nginx",
  event: {
    type: "file_open",
    path: "/etc/ssl/certs/ca-bundle.crt",
    flags: 524_288,
    access: "read",
    dfd: -100,
  },
});

/** Seals whenever a request is full, as the exporter does. */
function sealed(records: number, write: (builder: RequestBuilder, index: number) => void): number {
  const builder = new RequestBuilder();
  let bytes = 0;
  for (let index = 0; index < records; index++) {
    write(builder, index);
    if (builder.byteLength > requestBytesMax) bytes += builder.seal().body.length;
  }
  return bytes + builder.seal().body.length;
}

function fields(records: number): number {
  const { file_open } = eventSlots;
  const host = resources.resourceFor(undefined, undefined);
  const comm = Buffer.from("nginx");
  const path = Buffer.from("/etc/ssl/certs/ca-bundle.crt");
  const src = constantAttribute(recordSlots.src, "sys_enter_openat");
  const access = constantAttribute(file_open.access, "read");
  return sealed(records, (builder, index) => {
    const writer = builder.use(host);
    writer.begin("file_open", index, 400_000_000, index, 400_000_000, 9);
    writer.unsigned(recordSlots.ts_ns, index, 18_914);
    writer.constant(src);
    writer.integer(recordSlots.pid, 1000 + (index % 30_000), 0);
    writer.integer(recordSlots.tid, 1001 + (index % 30_000), 0);
    writer.unsigned(recordSlots.cgroup_id, 12_345, 0);
    writer.ascii(recordSlots.comm, comm, 0, comm.length);
    writer.ascii(file_open.path, path, 0, path.length);
    writer.unsigned(file_open.flags, 524_288, 0);
    writer.constant(access);
    writer.integer(file_open.dfd, -100, -1);
    writer.uid(streamId, index);
    writer.end();
  });
}

const meta = (index: number) => ({
  resources,
  timeUnixNano: clockEpochNs,
  observedTimeUnixNano: 1_737_890_000_223_456_789n,
  streamId,
  sequence: index,
});

function records(count: number): number {
  const samples = Array.from({ length: 1000 }, (_, index) => sample(index));
  return sealed(count, (builder, index) => {
    encodeRecord(builder, samples[index % 1000] as EvidenceRecord, meta(index));
  });
}

function v1Lines(firstNs: Integer): Buffer[] {
  return Array.from({ length: 1000 }, (_, index) =>
    Buffer.from(stringifyEvidence(sample(index, firstNs) as unknown as JsonValue)),
  );
}

/** Lines of v1 JSON to requests, as `export` does: parse, validate, encode. */
function fromJson(firstNs: Integer): BenchCase {
  const lines = v1Lines(firstNs);
  const read = createEvidenceReader();
  return (count) =>
    sealed(count, (builder, index) => {
      const validation = read(lines[index % 1000] as Buffer);
      if (!validation.valid) throw new Error(validation.errors[0]);
      encodeRecord(builder, validation.record, meta(index));
    });
}

/** For scale: `JSON.parse` and `JSON.stringify` of the same lines, which lose digits. */
function plainJson(count: number): number {
  const lines = v1Lines(clockEpochNs);
  let bytes = 0;
  for (let index = 0; index < count; index++) {
    bytes += JSON.stringify(JSON.parse((lines[index % 1000] as Buffer).toString())).length;
  }
  return bytes;
}

/** The records of one request of ours as the SDK would hand them to its serializer. */
function sdkRecords(): ReadableLogRecord[] {
  const builder = new RequestBuilder();
  for (let index = 0; index < sdkRequestRecords; index++) encodeRecord(builder, sample(index), meta(index));
  const decoded = decodeRequest(builder.seal().body);
  const resource = resourceFromAttributes(
    Object.fromEntries(decoded[0]?.resource.attributes ?? []) as Attributes,
  );
  const instrumentationScope = { ...evidenceScope, attributes: evidenceScope.attributes as Attributes };
  return decoded.map(({ attributes, body, eventName, severityNumber }, index) => ({
    hrTime: [1_795_000_000, index],
    hrTimeObserved: [1_795_000_001, index],
    severityNumber: severityNumber as SeverityNumber,
    eventName,
    body: body as string,
    resource,
    instrumentationScope,
    attributes: Object.fromEntries(attributes) as Attributes,
    droppedAttributesCount: 0,
  }));
}

const batch = sdkRecords();

function sdk(count: number): number {
  let bytes = 0;
  for (let done = 0; done < count; done += batch.length) {
    bytes += ProtobufLogsSerializer.serializeRequest(batch)?.length ?? 0;
  }
  return bytes * (count / (Math.ceil(count / batch.length) * batch.length));
}

runCases(fileURLToPath(import.meta.url), {
  "ours, field by field": fields,
  "ours, from a v1 record": records,
  "OpenTelemetry's serializer, from records that are there": sdk,
  "v1 NDJSON: parse, validate, encode": fromJson(clockBootNs),
  "v1 NDJSON: parse, validate, encode, epoch times": fromJson(clockEpochNs),
  "JSON.parse and JSON.stringify of the same NDJSON": plainJson,
});
