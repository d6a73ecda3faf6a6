import assert from "node:assert/strict";
import type { AnyValue as ApiAnyValue, Attributes, SeverityNumber } from "@opentelemetry/api";
import { JsonLogsSerializer, ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import fc from "fast-check";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import type { AnyValue } from "../../src/otlp/any-value.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource, evidenceScope } from "../../src/otlp/resource.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

const base = { "service.name": "test", "host.name": "häst", "process.pid": 7 };
const resources = createResourceSource(base);

function encoded(record: EvidenceRecord): Buffer {
  const builder = new RequestBuilder();
  encodeRecord(builder, record, {
    resources,
    timeUnixNano: 1_737_890_000_123_456_789n,
    observedTimeUnixNano: 1_737_890_001_000_000_001n,
    streamId: "stream",
    sequence: 1,
  });
  return builder.seal().body;
}

const hrTime = (nanoseconds: bigint): [number, number] => [
  Number(nanoseconds / 1_000_000_000n),
  Number(nanoseconds % 1_000_000_000n),
];

/** The same log record as OpenTelemetry's SDK would hand it to its exporters. */
function readable(decoded: DecodedLogRecord): ReadableLogRecord {
  const resource = resourceFromAttributes(Object.fromEntries(decoded.resource.attributes) as Attributes, {
    schemaUrl: decoded.resource.schemaUrl,
  });
  const { name, version, schemaUrl, attributes } = evidenceScope;
  return {
    hrTime: hrTime(decoded.timeUnixNano),
    hrTimeObserved: hrTime(decoded.observedTimeUnixNano),
    severityNumber: decoded.severityNumber as SeverityNumber,
    body: decoded.body as ApiAnyValue,
    eventName: decoded.eventName,
    resource,
    instrumentationScope: { name, version, schemaUrl, attributes: attributes as Attributes },
    attributes: Object.fromEntries(decoded.attributes) as Attributes,
    droppedAttributesCount: decoded.droppedAttributesCount,
  };
}

/** OpenTelemetry's serializer has no integers beyond doubles: both sides are compared on records without. */
const withoutBigInts = anyEvidenceRecord.filter((record) =>
  [...Object.values(record), ...Object.values(record.event)].every((value) => typeof value !== "bigint"),
);

describe("our protobuf", () => {
  it("means the same as what OpenTelemetry's own serializer makes of the same record", () => {
    fc.assert(
      fc.property(withoutBigInts, (record) => {
        const [ours] = decodeRequest(encoded(record));
        assert.ok(ours);
        const theirs = ProtobufLogsSerializer.serializeRequest([readable(ours)]);
        assert.ok(theirs);
        assert.deepStrictEqual(decodeRequest(theirs), [ours]);
      }),
      { numRuns: 500 },
    );
  }).timeout(30_000);

  it("takes as many bytes for a record as theirs, but for the default value that they write", () => {
    fc.assert(
      fc.property(withoutBigInts, (record) => {
        const body = encoded(record);
        const [ours] = decodeRequest(body);
        assert.ok(ours);
        const theirs = ProtobufLogsSerializer.serializeRequest([readable(ours)]);
        // dropped_attributes_count = 0 of the resource and of the record: two bytes each, and no more than
        // one byte for each of the four lengths around them.
        const more = (theirs?.length ?? 0) - body.length;
        assert.ok(more >= 4 && more <= 8, `${more} bytes more`);
      }),
      { numRuns: 200 },
    );
  }).timeout(30_000);
});

describe("our JSON", () => {
  it("decodes to what the protobuf decodes to", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const body = encoded(record);
        assert.deepStrictEqual(decodeJson(requestToJson(body)), decodeRequest(body));
      }),
      { numRuns: 300 },
    );
  }).timeout(30_000);

  it("is understood as OpenTelemetry's JSON serializer writes it", () => {
    fc.assert(
      fc.property(withoutBigInts, (record) => {
        const [ours] = decodeRequest(encoded(record));
        assert.ok(ours);
        const theirs = JsonLogsSerializer.serializeRequest([readable(ours)]);
        const [decoded] = decodeJson(Buffer.from(theirs ?? []).toString());
        assert.ok(decoded);
        // Their JSON leaves out the schema URL of the scope where its attributes are given.
        decoded.scope.schemaUrl = ours.scope.schemaUrl;
        assert.deepStrictEqual(withWellFormedText(decoded), withWellFormedText(ours));
      }),
      { numRuns: 300 },
    );
  }).timeout(30_000);
});

/** JSON can hold lone surrogates and UTF-8 cannot. */
function withWellFormedText(record: DecodedLogRecord): DecodedLogRecord {
  const attributes = new Map<string, AnyValue>();
  for (const [key, value] of record.attributes) {
    attributes.set(key, typeof value === "string" ? value.toWellFormed() : value);
  }
  return { ...record, attributes };
}
