/**
 * Requests made of records, and the records made of them again.
 */
import assert from "node:assert/strict";
import type { Extensions } from "../../src/evidence/extensions.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { parseUid, toEvidence } from "../../src/otlp/to-evidence.ts";

const resources = createResourceSource({ "service.name": "test", "host.name": "host" });

/** One OTLP request with the records, each with its place as its sequence number. */
export function request(records: readonly EvidenceRecord[], extensions?: Extensions): Buffer {
  const builder = new RequestBuilder({ capacityBytes: 1024 });
  for (const [sequence, record] of records.entries()) {
    encodeRecord(builder, record, {
      resources,
      timeUnixNano: 1_737_890_000_123_456_789n,
      observedTimeUnixNano: 1_737_890_000_223_456_789n,
      streamId: "stream",
      sequence,
      ...(extensions && { extensions }),
    });
  }
  const { byteLength } = builder;
  const { body, recordCount } = builder.seal();
  assert.equal(recordCount, records.length);
  assert.equal(body.length, byteLength);
  return body;
}

/** What came back, in the order in which it was sent: a request groups records by resource. */
export function reversed(decoded: readonly DecodedLogRecord[]): JsonValue[] {
  const bySequence: JsonValue[] = [];
  for (const logRecord of decoded) {
    const result = toEvidence(logRecord);
    assert.equal(result.kind, "evidence", result.kind === "invalid" ? result.reason : "");
    if (result.kind !== "evidence") continue;
    const uid = parseUid(result.uid ?? "");
    assert.equal(uid?.streamId, "stream");
    bySequence[uid?.sequence ?? -1] = result.record as unknown as JsonValue;
  }
  return bySequence;
}
