import assert from "node:assert/strict";
import fc from "fast-check";
import type { Extensions } from "../../src/evidence/extensions.ts";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { type AnyValue, DoubleValue } from "../../src/otlp/any-value.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";
import {
  anyEvidenceRecord,
  evidenceRecords,
  schemaEventTypes,
  schemaText,
} from "../evidence/record-arbitrary.ts";
import { request, reversed } from "./there-and-back.ts";

const validate = createValidator();
const event = { type: "file_open", path: "/p", flags: 0 } as const;

describe("a v1 record sent as OTLP and rebuilt", () => {
  for (const type of schemaEventTypes) {
    it(`is the same ${type} through protobuf and through JSON`, () => {
      let count = 0;
      fc.assert(
        fc.property(fc.array(evidenceRecords(type), { minLength: 1, maxLength: 8 }), (records) => {
          for (const record of records)
            assert.deepEqual(validate(record as unknown as JsonValue), { valid: true, record });
          const body = request(records);
          assert.deepStrictEqual(reversed(decodeRequest(body)), records);
          assert.deepStrictEqual(reversed(decodeJson(requestToJson(body))), records);
          count += records.length;
        }),
        { numRuns: 250 },
      );
      // 5,000 of all types.
      assert.ok(count >= 834, `only ${count} records`);
    }).timeout(60_000);
  }

  it("is the same for the schema's own examples, digit by digit", () => {
    const schema = parseEvidenceJson(schemaText) as unknown as { examples: readonly EvidenceRecord[] };
    assert.equal(schema.examples.length, 3);
    const body = request(schema.examples);
    const rebuilt = reversed(decodeRequest(body));
    assert.deepStrictEqual(rebuilt, schema.examples);
    assert.deepStrictEqual(reversed(decodeJson(requestToJson(body))), schema.examples);
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

  it("does not take over what others added to the log record or its resource, or made of what is for people", () => {
    // As attributes, k8sattributes, resourcedetection and transform of a Collector do.
    const added: [string, AnyValue][] = [
      ...["k8s.pod.name", "k8s.container.name", "container.image.name", "tid", "ts_ns", "event.name"].map(
        (key): [string, AnyValue] => [key, "other"],
      ),
      ["container.id", "0".repeat(64)],
      ["container.runtime.name", "other"],
      ["oci.manifest.digest", "sha256:0"],
      ["network.transport", "udp"],
      ["network.connection.state", "closed"],
      ["error.type", "other"],
      ["runtime_evidence.truncated", "perhaps"],
    ];
    const ofResource: [string, AnyValue][] = [
      ...added,
      ["process.pid", 1],
      ["process.command", "other"],
      ["file.path", "/other"],
      ["runtime_evidence.record.timestamp", 1],
    ];
    fc.assert(
      fc.property(anyEvidenceRecord, fc.subarray(added), fc.subarray(ofResource), (record, mine, theirs) => {
        const [decoded] = decodeRequest(request([record]));
        assert.ok(decoded);
        decoded.attributes = new Map([...decoded.attributes, ...mine]);
        decoded.resource.attributes = new Map([...decoded.resource.attributes, ...theirs]);
        decoded.body = "changed";
        decoded.severityNumber = 0;
        decoded.severityText = "other";
        decoded.timeUnixNano += 1n;
        decoded.observedTimeUnixNano = 0n;
        decoded.eventName = "";
        assert.deepStrictEqual(reversed([decoded]), [record]);
      }),
      { numRuns: 300 },
    );
  }).timeout(30_000);

  it("is refused rather than rebuilt wrongly when a value lost digits or its kind on the way", () => {
    const record = { ts_ns: 10n ** 18n + 1n, src: "s", pid: 1, comm: "c", event } as const;
    for (const [key, value] of [
      ["runtime_evidence.record.timestamp", new DoubleValue(1e18)],
      ["runtime_evidence.record.timestamp", "1e+18"],
      ["process.pid", true],
      ["process.pid", null],
      ["file.path", new Map([["a", "b"]])],
      ["file.path", new Uint8Array(2)],
      ["runtime_evidence.residual", "[]"],
      ["runtime_evidence.residual", '{"a":1,"a":2}'],
      ["runtime_evidence.residual", 5],
      ["runtime_evidence.event.type", "file_close"],
    ] as [string, AnyValue][]) {
      const [decoded] = decodeRequest(request([record]));
      assert.ok(decoded);
      decoded.attributes = new Map([...decoded.attributes, [key, value]]);
      assert.equal(toEvidence(decoded).kind, "invalid", `${key} ${String(value)}`);
    }
  });

  it("takes whole doubles where integers were, as tools that have no integers write them", () => {
    const record = { ts_ns: 2 ** 52, src: "s", pid: 7, comm: "c", event } as const;
    const [decoded] = decodeRequest(request([record]));
    assert.ok(decoded);
    decoded.attributes = new Map(
      [...decoded.attributes].map(([key, value]) => [
        key,
        typeof value === "number" ? new DoubleValue(value) : value,
      ]),
    );
    assert.deepStrictEqual(reversed([decoded]), [record]);
  });

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

  it("is refused before anything is written when it is nested deeper than can be read back", () => {
    let labels: JsonValue = [];
    for (let depth = 0; depth < 1000; depth++) labels = [labels];
    const record = { ts_ns: 1, src: "s", pid: 1, comm: "c", event, labels };
    assert.throws(() => request([record]), { code: "bad-input", message: /nested deeper than 1000 levels/ });
  });

  it("leaves log records of others alone", () => {
    const [decoded] = decodeJson(
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hi"}}]}]}]}',
    );
    assert.ok(decoded);
    assert.deepStrictEqual(toEvidence(decoded), { kind: "foreign" });
  });
});
