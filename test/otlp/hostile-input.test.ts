import assert from "node:assert/strict";
import fc from "fast-check";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { DoubleValue } from "../../src/otlp/any-value.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";

function sampleRequest(): Buffer {
  const builder = new RequestBuilder();
  encodeRecord(
    builder,
    {
      ts_ns: 2n ** 63n,
      src: "uprobe:function_entry",
      pid: 1,
      comm: "é",
      event: { type: "function_call", addr: "0x1", stack: ["0x1", "0x2"], symbol: "" },
    },
    {
      resources: createResourceSource({ "service.name": "test" }),
      timeUnixNano: 1n,
      observedTimeUnixNano: 2n,
      streamId: "stream",
      sequence: 1,
    },
  );
  return builder.seal().body;
}

/** Runs all that a receiver would do; the only way to fail is an error of ours with the code `bad-input`. */
function receive(decode: () => ReturnType<typeof decodeRequest>): RuntimeEvidenceError | undefined {
  try {
    for (const record of decode()) toEvidence(record);
    return undefined;
  } catch (thrown) {
    assert.ok(thrown instanceof RuntimeEvidenceError, String(thrown));
    assert.equal(thrown.code, "bad-input");
    assert.doesNotMatch(thrown.message, /[\r\n]/);
    return thrown;
  }
}

const delimited = (field: number, ...bytes: readonly number[]): number[] => [
  field * 8 + 2,
  bytes.length,
  ...bytes,
];
/** A request with one record that has these bytes. */
const withRecord = (...bytes: readonly number[]): Buffer =>
  Buffer.from(delimited(1, ...delimited(2, ...delimited(2, ...bytes))));

describe("decoding protobuf that nobody vouches for", () => {
  it("names the byte when a request ends too early, wherever it is cut", () => {
    const body = sampleRequest();
    for (let length = 1; length < body.length; length++) {
      const error = receive(() => decodeRequest(body.subarray(0, length)));
      assert.match(error?.message ?? "", /at byte \d+$/, `cut at ${length}`);
    }
  });

  it("never fails in any other way on random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        receive(() => decodeRequest(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  it("never fails in any other way on a request with bytes changed", () => {
    const body = sampleRequest();
    const change = fc.tuple(fc.nat(body.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = Buffer.from(body);
        for (const [index, byte] of changes) changed[index] = byte;
        receive(() => decodeRequest(changed));
      }),
      { numRuns: 3000 },
    );
  });

  for (const [what, body, message] of [
    ["a known field of another wire type", withRecord(0x08, 1), /field 1 has wire type 0 at byte/],
    ["a group", withRecord(0x6b), /wire type 3, which is not in use at byte 6/],
    ["a field number of 0", withRecord(0x00), /field number out of range at byte 6/],
    ["a length beyond the end", withRecord(0x32, 0x7f), /a length beyond the end of the message at byte 7/],
    [
      "a number of eleven bytes",
      withRecord(0x10, ...Array(10).fill(0x80), 1),
      /more than ten bytes at byte 7/,
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.match(receive(() => decodeRequest(body))?.message ?? "", message);
    });
  }

  it("refuses a value nested deeper than the limit, and takes one within it", () => {
    const nested = (levels: number): Buffer => {
      let value: Buffer = Buffer.from([0x10, 1]);
      for (let level = 0; level < levels; level++) value = field(5, field(1, value));
      return field(1, field(2, field(2, field(5, value))));
    };
    assert.equal(decodeRequest(nested(63)).length, 1);
    assert.match(receive(() => decodeRequest(nested(64)))?.message ?? "", /nested deeper than 64 levels/);
    assert.match(receive(() => decodeRequest(nested(1000)))?.message ?? "", /nested deeper than 64 levels/);
  });

  it("passes over fields of a later version", () => {
    const record = [...delimited(6, ...delimited(1, 0x6b), ...delimited(2, 0x18, 5)), 0xa0, 0x06, 7];
    const [decoded] = decodeRequest(withRecord(...record, ...delimited(99 & 15, 1, 2)));
    assert.deepStrictEqual([...(decoded?.attributes ?? [])], [["k", 5]]);
  });
});

function field(number: number, content: Buffer): Buffer {
  const length: number[] = [];
  let rest = content.length;
  for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length, rest]), content]);
}

describe("decoding JSON that nobody vouches for", () => {
  const ofRecord = (record: string): string =>
    `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${record}]}]}]}`;

  it("gives one clear line when a request is cut, wherever", () => {
    const text = requestToJson(sampleRequest());
    for (let length = 0; length < text.length; length++) {
      assert.ok(
        receive(() => decodeJson(text.slice(0, length))),
        `cut at ${length}`,
      );
    }
  });

  it("never fails in any other way on any JSON", () => {
    const names = fc.constantFrom(
      "resourceLogs",
      "scopeLogs",
      "logRecords",
      "attributes",
      "value",
      "key",
      "body",
      "__proto__",
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom(null, 1, -1, "x", true),
        fc.array(tie("any"), { maxLength: 2 }),
        fc.dictionary(names, tie("any")),
      ),
    })).any;
    fc.assert(
      fc.property(value, (json) => {
        receive(() => decodeJson(JSON.stringify(json)));
      }),
      { numRuns: 2000 },
    );
  });

  for (const [record, message] of [
    ['{"timeUnixNano":"-1"}', "OTLP JSON: timeUnixNano must be an unsigned 64-bit integer"],
    ['{"timeUnixNano":18446744073709551616}', "OTLP JSON: timeUnixNano must be an unsigned 64-bit integer"],
    ['{"timeUnixNano":1.5}', "OTLP JSON: timeUnixNano must be an integer"],
    ['{"traceId":"xyz"}', "OTLP JSON: traceId must be 32 hexadecimal digits"],
    ['{"attributes":{}}', "OTLP JSON: attributes must be an array"],
    ['{"attributes":[1]}', "OTLP JSON: an item of attributes must be an object"],
    ['{"body":{"intValue":"9223372036854775808"}}', "OTLP JSON: intValue must be a 64-bit integer"],
    ['{"body":{"bytesValue":"***"}}', "OTLP JSON: bytesValue must be base64"],
    ['{"severityNumber":"SEVERITY_NUMBER_LOUD"}', "OTLP JSON: severityNumber must be a severity number"],
  ] as const) {
    it(`says what is wrong with ${record}`, () => {
      const error = receive(() => decodeJson(ofRecord(record)));
      const offset = ofRecord(record).lastIndexOf(":") + 1;
      assert.equal(error?.message, `${message}, at character ${offset + (record.includes("[1]") ? 1 : 0)}`);
      assert.ok(Number(error?.context.characterOffset) >= offset);
    });
  }

  it("refuses deep nesting, however deep", () => {
    const nested = (levels: number): string =>
      ofRecord(`{"body":${'{"arrayValue":{"values":['.repeat(levels)}{}${"]}}".repeat(levels)}}`);
    assert.equal(decodeJson(nested(63)).length, 1);
    assert.ok(receive(() => decodeJson(nested(64))));
    assert.ok(receive(() => decodeJson("[".repeat(200_000) + "]".repeat(200_000))));
    assert.ok(receive(() => decodeJson(`${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`)));
  });
});

describe("decoding JSON as servers and SDKs write it", () => {
  it("takes names in snake case, enums by name, numbers as text or number, ids in any case", () => {
    const [decoded] = decodeJson(
      `{"resource_logs":[{"resource":{"attributes":[{"key":"a","value":{"string_value":"b"}}]},"schema_url":"u",
        "scope_logs":[{"log_records":[{"time_unix_nano":1737890000123456789,"observed_time_unix_nano":"5",
        "severity_number":"SEVERITY_NUMBER_WARN2","trace_id":"ABCDEF00ABCDEF00ABCDEF00ABCDEF00","spanId":"",
        "body":{},"unknown":{"x":[1]},"attributes":[
          {"key":"i","value":{"intValue":-9223372036854775808}},{"key":"j","value":{"int_value":"9223372036854775807"}},
          {"key":"d","value":{"doubleValue":"-Infinity"}},{"key":"e","value":{"doubleValue":1}},
          {"key":"b","value":{"bytesValue":"AQI="}},{"key":"l","value":{"arrayValue":{}}},
          {"key":"m","value":{"kvlistValue":{"values":[{"key":"n"}]}}}]}]}]}]}`,
    );
    assert.ok(decoded);
    assert.equal(decoded.timeUnixNano, 1_737_890_000_123_456_789n);
    assert.equal(decoded.observedTimeUnixNano, 5n);
    assert.equal(decoded.severityNumber, 14);
    assert.equal(decoded.traceId, "abcdef00abcdef00abcdef00abcdef00");
    assert.equal(decoded.spanId, "");
    assert.equal(decoded.body, null);
    assert.equal(decoded.resource.schemaUrl, "u");
    assert.deepEqual([...decoded.resource.attributes], [["a", "b"]]);
    assert.equal(decoded.attributes.get("i"), -(2n ** 63n));
    assert.equal(decoded.attributes.get("j"), 2n ** 63n - 1n);
    assert.deepEqual(decoded.attributes.get("d"), new DoubleValue(Number.NEGATIVE_INFINITY));
    assert.deepEqual(decoded.attributes.get("e"), new DoubleValue(1));
    assert.deepEqual(decoded.attributes.get("b"), new Uint8Array([1, 2]));
    assert.deepEqual(decoded.attributes.get("l"), []);
    assert.deepEqual(decoded.attributes.get("m"), new Map([["n", null]]));
  });
});
