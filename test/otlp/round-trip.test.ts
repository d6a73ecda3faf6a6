import assert from "node:assert/strict";
import fc from "fast-check";
import type { Extensions } from "../../src/evidence/extensions.ts";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { parseUid, toEvidence } from "../../src/otlp/to-evidence.ts";
import {
  anyEvidenceRecord,
  evidenceRecords,
  schemaEventTypes,
  schemaText,
} from "../evidence/record-arbitrary.ts";

const resources = createResourceSource({ "service.name": "test", "host.name": "host" });
const validate = createValidator();

function request(records: readonly EvidenceRecord[], extensions?: Extensions): Buffer {
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
function reversed(decoded: readonly DecodedLogRecord[]): JsonValue[] {
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

describe("a v1 record sent as OTLP and rebuilt", () => {
  for (const type of schemaEventTypes) {
    it(`is the same ${type} through protobuf and through JSON`, () => {
      fc.assert(
        fc.property(fc.array(evidenceRecords(type), { minLength: 1, maxLength: 6 }), (records) => {
          for (const record of records)
            assert.deepEqual(validate(record as unknown as JsonValue), { valid: true, record });
          const body = request(records);
          assert.deepStrictEqual(reversed(decodeRequest(body)), records);
          assert.deepStrictEqual(reversed(decodeJson(requestToJson(body))), records);
        }),
        { numRuns: 300 },
      );
    }).timeout(60_000);
  }

  it("is the same for the schema's own examples, digit by digit", () => {
    const schema = parseEvidenceJson(schemaText) as unknown as { examples: readonly EvidenceRecord[] };
    assert.equal(schema.examples.length, 3);
    const rebuilt = reversed(decodeRequest(request(schema.examples)));
    assert.deepStrictEqual(rebuilt, schema.examples);
    assert.match(stringifyEvidence(rebuilt[0] as JsonValue), /"ts_ns":1737890000123456789,/);
  });

  it("is the same after a backend that keeps everything as text and drops empty text", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const decoded = decodeRequest(request([record]));
        for (const logRecord of decoded) {
          logRecord.eventName = "";
          logRecord.attributes = new Map(
            [...logRecord.attributes]
              .map(
                ([key, value]) =>
                  [key, Array.isArray(value) ? JSON.stringify(value) : String(value)] as const,
              )
              .filter(([, value]) => value !== "")
              .map(([key, value]) => [key, value.replace(/[\0\ufffd]/g, " ")] as const),
          );
        }
        assert.deepStrictEqual(reversed(decoded), [record]);
      }),
      { numRuns: 500 },
    );
  }).timeout(30_000);

  it("does not take over what others added to the log record or its resource", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const [decoded] = decodeRequest(request([record]));
        assert.ok(decoded);
        decoded.attributes = new Map([
          ...decoded.attributes,
          ["k8s.pod.name", "pod"],
          ["container.id", "other"],
        ]);
        decoded.resource.attributes = new Map([
          ...decoded.resource.attributes,
          ["container.id", "other"],
          ["tid", 7],
        ]);
        decoded.body = "changed";
        assert.deepStrictEqual(reversed([decoded]), [record]);
      }),
      { numRuns: 200 },
    );
  }).timeout(30_000);

  it("keeps extensions out of the record and gives them beside it", () => {
    const record = {
      ts_ns: 1,
      src: "s",
      pid: 1,
      comm: "c",
      event: { type: "file_open", path: "/p" },
    } as const;
    const extensions: Extensions = {
      pathRead: "exit",
      pathRaw: "L3RtcC//",
      namespacePid: 3,
      startTime: 2n ** 62n,
      attribution: "owner",
      stackSymbols: ["main+0x1c (app)", "", "JS:*f\u00fc /a.js:1:13"],
      truncated: true,
    };
    const [decoded] = decodeRequest(request([record], extensions));
    assert.ok(decoded);
    const result = toEvidence(decoded);
    assert.equal(result.kind, "evidence");
    if (result.kind !== "evidence") return;
    assert.deepStrictEqual(result.record, record);
    assert.deepStrictEqual(result.extensions, extensions);
    assert.equal(result.timeUnixNano, 1_737_890_000_123_456_789n);
  });

  it("is refused with a reason when the way lost attributes", () => {
    const record = {
      ts_ns: 1,
      src: "s",
      pid: 1,
      comm: "c",
      event: { type: "file_open", path: "/p" },
    } as const;
    const [decoded] = decodeRequest(request([record]));
    assert.ok(decoded);
    decoded.droppedAttributesCount = 2;
    assert.deepStrictEqual(toEvidence(decoded), {
      kind: "invalid",
      reason: "2 attributes were dropped on the way",
    });
    decoded.droppedAttributesCount = 0;
    const without = new Map(decoded.attributes);
    without.delete("process.pid");
    decoded.attributes = without;
    assert.deepStrictEqual(toEvidence(decoded), { kind: "invalid", reason: "process.pid is missing" });
  });

  it("leaves log records of others alone", () => {
    const [decoded] = decodeJson(
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}',
    );
    assert.ok(decoded);
    assert.deepStrictEqual(toEvidence(decoded), { kind: "foreign" });
  });
});
