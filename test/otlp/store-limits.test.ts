/** What Loki would refuse is known to the byte; and what is not measured is far from any limit. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import type { AnyValue } from "../../src/otlp/any-value.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import {
  type DecodedLogRecord,
  emptyLogRecord,
  emptyResource,
  emptyScope,
} from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { storeRefusal, textBytesSafe } from "../../src/otlp/store-limits.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

interface Parts {
  attributes?: Record<string, AnyValue>;
  resource?: Record<string, AnyValue>;
  scope?: Record<string, AnyValue>;
  fields?: Partial<DecodedLogRecord>;
}

const map = (values: Record<string, AnyValue> = {}) => new Map(Object.entries(values));

function logRecord({ attributes, resource, scope, fields }: Parts): DecodedLogRecord {
  const own = emptyLogRecord(
    { ...emptyResource(), attributes: map(resource) },
    { ...emptyScope(), attributes: map(scope) },
  );
  return { ...own, attributes: map(attributes), ...fields };
}

const refusal = (parts: Parts) => storeRefusal("loki", logRecord(parts));
const BYTES_MAX = 64 * 1024;

describe("limits of Loki", () => {
  it("count names and values of record, resource and scope", () => {
    // Names as Loki writes them: a_b, c, d: 5 bytes.
    const parts = (bytes: number) => ({
      attributes: { "a..b": "x".repeat(bytes - 5 - 2) },
      resource: { c: "1" },
      scope: { d: 2 },
    });
    assert.equal(refusal(parts(BYTES_MAX)), undefined);
    assert.match(refusal(parts(BYTES_MAX + 1)) ?? "", /^Loki takes .* 65536 bytes, this record has 65537$/);
  });

  it("count the fields that Loki keeps, and only those that are set", () => {
    const fields = {
      timeUnixNano: 1n,
      observedTimeUnixNano: 1_737_890_000_123_456_789n,
      severityNumber: 9,
      eventName: "e",
      flags: 1,
      traceId: "t".repeat(32),
    };
    const kept =
      "observed_timestamp".length +
      19 +
      "severity_number".length +
      1 +
      "event_name".length +
      1 +
      "flags".length +
      1 +
      "trace_id".length +
      32;
    const parts = (bytes: number) => ({ attributes: { a: "x".repeat(bytes - 1 - kept) }, fields });
    assert.equal(refusal(parts(BYTES_MAX)), undefined);
    assert.notEqual(refusal(parts(BYTES_MAX + 1)), undefined);
    // Without a time of its own, a record has that of its observation, which is not kept twice.
    const untimed = { ...parts(BYTES_MAX + 37), fields: { ...fields, timeUnixNano: 0n } };
    assert.equal(refusal(untimed), undefined);
  });

  it("count values as the text that Loki makes of them", () => {
    const values: [AnyValue, number][] = [
      ["é", 2],
      ["😀", 4],
      [true, 4],
      [-12, 3],
      [2n ** 63n, 19],
      [[], 2],
      [["a", "b"], '["a","b"]'.length],
      [['"\\\n'], '["\\"\\\\\\n"]'.length],
      [["\0"], '["\\u0000"]'.length],
      [["<é>"], '["\\u003cé\\u003e"]'.length + 1],
      [null, 0],
    ];
    for (const [value, bytes] of values) {
      const parts = (rest: number) => ({
        attributes: { v: value, a: "x".repeat(BYTES_MAX - 2 - bytes + rest) },
      });
      assert.equal(refusal(parts(0)), undefined, String(value));
      assert.notEqual(refusal(parts(1)), undefined, String(value));
    }
  });

  it("take 128 entries", () => {
    const attributes = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]));
    assert.equal(refusal({ attributes: attributes(127), scope: { s: 1 } }), undefined);
    assert.match(refusal({ attributes: attributes(128), scope: { s: 1 } }) ?? "", /128 entries .* has 129$/);
  });

  it("of labels and of lines are their own", () => {
    assert.equal(refusal({ resource: { "service.name": "x".repeat(2048) } }), undefined);
    assert.match(
      refusal({ resource: { "service.name": "x".repeat(2049) } }) ?? "",
      /label service.name of 2048/,
    );
    assert.equal(refusal({ resource: { "other.name": "x".repeat(2049) } }), undefined);
    assert.equal(refusal({ fields: { body: "x".repeat(256 * 1024) } }), undefined);
    assert.match(refusal({ fields: { body: "x".repeat(256 * 1024 + 1) } }) ?? "", /line of 262144/);
  });

  it("are far from a record whose text is short, however it is written", () => {
    const base = { "service.name": "s", "host.name": "h".repeat(2000), "os.type": "linux" };
    const safe = textBytesSafe(base);
    assert.ok(safe > 2000);
    const resources = createResourceSource(base);
    const measured = (record: EvidenceRecord) => {
      const builder = new RequestBuilder();
      const meta = { resources, timeUnixNano: 1n, observedTimeUnixNano: 1n, streamId: "s", sequence: 1 };
      encodeRecord(builder, record, meta);
      return storeRefusal("loki", decodeRequest(builder.seal().body)[0] as DecodedLogRecord);
    };
    const worst = fc.constantFrom("\0", "\ufffd", "\ud800", "<", "é", "\u2028", '"', "😀", "\x7f");
    const stack = fc.array(fc.string({ unit: worst, maxLength: 200 }), { maxLength: 20 });
    const call = stack.map((frames): EvidenceRecord => {
      const event = { type: "function_call", addr: "", stack: frames } as const;
      return { ts_ns: 1, src: "", pid: 1, comm: "", event };
    });
    fc.assert(
      fc.property(fc.oneof(anyEvidenceRecord, call), (record) => {
        const text = stringifyEvidence(record as unknown as JsonValue);
        fc.pre(Buffer.byteLength(text) <= safe);
        assert.equal(measured(record), undefined);
      }),
      { numRuns: 1000 },
    );
  });

  it("are always measured where the resource leaves no room", () => {
    assert.equal(textBytesSafe({ a: "x".repeat(9000) }), 0);
    assert.equal(textBytesSafe({ "service.name": "x".repeat(2049) }), 0);
    assert.equal(textBytesSafe(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, "v"]))), 0);
  });
});
