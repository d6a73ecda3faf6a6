import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type AnyValue,
  DoubleValue,
  delimitedField,
  encodeAnyValue,
  stringField,
} from "../../src/otlp/any-value.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { ExpectedAttributes } from "../../src/otlp/expected-attributes.ts";

/** Attributes as JSON in many spellings, of few keys, so that what is expected is often almost right. */
const keys = fc.constantFrom("process.pid", "file.path", "a", "b", "k\\u0065y", "é", "\x7f", "key");
const scalars = fc.oneof(
  fc.constantFrom('"stringValue":"x"', '"stringValue":"y"', '"stringValue":""', '"stringValue":null'),
  fc.constantFrom(
    '"stringValue":"\\u0078"',
    '"stringValue":"é"',
    '"stringValue":"\x7f"',
    '"string_value":"x"',
  ),
  fc.constantFrom('"intValue":"1"', '"intValue":1', '"intValue":"9007199254740993"', '"intValue":-0'),
  fc.constantFrom('"boolValue":true', '"boolValue":false', '"doubleValue":1', '"bytesValue":"AAE="'),
  fc.constantFrom('"arrayValue":{"values":[{"stringValue":"x"}]}', '"arrayValue":{"values":[]}'),
  fc.constantFrom('"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"x"}}]}', '"other":{"a":[1]}'),
);
const jsonValues = fc.oneof(
  { weight: 4, arbitrary: scalars },
  fc.tuple(scalars, scalars).map((members) => members.join(",")),
  fc.constant(""),
);
const keyValues = fc.tuple(keys, jsonValues).chain(([key, value]) => {
  const usual = `{"key":"${key}","value":{${value}}}`;
  return fc.oneof(
    { weight: 8, arbitrary: fc.constant(usual) },
    fc.constantFrom(
      `{ "key": "${key}", "value": {${value}} }`,
      `{"key":"${key}","value":{${value}} ,"key":"b"}`,
      `{"key":"${key}","value":{${value}},"value":{"intValue":"7"},"other":null}`,
      `{"key":"${key}","value":{${value}},"value":null}`,
      `{"value":{${value}},"key":"${key}"}`,
      `{"key":"${key}"}`,
      "{}",
    ),
  );
});
const attributes = fc.array(keyValues, { maxLength: 5 });

const requestOf = (records: readonly string[]) =>
  `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${records.join(",")}]}]}]}`;
const attributesOf = (text: string) => decodeJson(text).map((record) => [...record.attributes]);

/** The same for protobuf: a KeyValue as fields, some of which stand twice, in another order, or not at all. */
const keyFields = fc
  .constantFrom("process.pid", "a", "b", "é", "\ufffd", "x".repeat(120))
  .map((key) => stringField(1, key));
const values: fc.Arbitrary<AnyValue> = fc.constantFrom<AnyValue>(
  ...["x", "y", "", "é", 1, 2, -1, 2n ** 60n, true, false, null, new DoubleValue(1), new Uint8Array([1])],
  ...[["x"], new Map([["a", "x"]])],
);
const valueFields = values.map((value) => delimitedField(2, encodeAnyValue(value)));
const strangeFields = fc.oneof(
  keyFields,
  valueFields,
  fc.constantFrom(Buffer.from([0x18, 1]), Buffer.from([0x0a, 1, 0xff]), Buffer.from([0x12, 0])),
);
const protobufAttributes = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.tuple(keyFields, valueFields).map((fields) => Buffer.concat(fields)) },
    fc.array(strangeFields, { maxLength: 4 }).map((fields) => Buffer.concat(fields)),
  ),
  { maxLength: 5 },
);

describe("attributes that look as expected", () => {
  it("are what they are by themselves in protobuf, whatever their fields are", () => {
    const requestOf = (records: readonly Buffer[]) =>
      delimitedField(1, delimitedField(2, ...records.map((record) => delimitedField(2, record))));
    fc.assert(
      fc.property(fc.array(protobufAttributes, { minLength: 1, maxLength: 3 }), (lists) => {
        const records = [...lists, ...lists, ...lists].map((list) =>
          Buffer.concat(list.map((attribute) => delimitedField(6, attribute))),
        );
        const decoded = (body: Buffer) => decodeRequest(body).map((record) => [...record.attributes]);
        const alone = records.map((record) => decoded(requestOf([record]))[0]);
        assert.deepStrictEqual(decoded(requestOf(records)), alone);
      }),
      { numRuns: 3000 },
    );
  }).timeout(60_000);

  it("are refused in protobuf where they end too early or have a field of another type", () => {
    const attribute = Buffer.concat([stringField(1, "a"), delimitedField(2, encodeAnyValue("x"))]);
    const record = delimitedField(2, delimitedField(6, attribute));
    const bodyOf = (last: Buffer) => delimitedField(1, delimitedField(2, record, record, record, last));
    assert.equal(decodeRequest(bodyOf(record)).length, 4);
    for (const change of [
      [0x08, 1],
      [...attribute.subarray(0, 3), 0x10, 1],
      attribute.subarray(0, 7),
      [...attribute, 0x0a],
    ]) {
      const bad = delimitedField(2, delimitedField(6, Buffer.from(change)));
      assert.throws(() => decodeRequest(bodyOf(bad)), { code: "bad-input", message: /at byte \d+/ });
    }
  });

  it("are what they are by themselves in JSON, in whatever order and spelling they come", () => {
    fc.assert(
      fc.property(fc.array(attributes, { minLength: 1, maxLength: 3 }), (lists) => {
        // Again and again, so that all that can be expected is.
        const records = [...lists, ...lists, ...lists].map((list) => `{"attributes":[${list.join(",")}]}`);
        const alone = records.map((record) => attributesOf(requestOf([record]))[0]);
        assert.deepStrictEqual(attributesOf(requestOf(records)), alone);
      }),
      { numRuns: 3000 },
    );
  }).timeout(60_000);

  it("are not learnt again and again where values of one key are of several kinds", () => {
    const kinds = ['"stringValue":"x"', '"intValue":"1"', '"boolValue":true', '"arrayValue":{}'];
    const record = (index: number) =>
      `{"attributes":[${kinds.map((_, at) => `{"key":"k${at}","value":{${kinds[(at + index) % 4]}}}`).join(",")}]}`;
    const texts = Array.from({ length: 200 }, (_, index) => record(index));
    const expected = texts.map((text) => attributesOf(requestOf([text]))[0]);
    assert.deepStrictEqual(attributesOf(requestOf(texts)), expected);
    const attributes = new ExpectedAttributes();
    let learnt = 0;
    const start = (key: string) => Buffer.from(`${key}${learnt++}`);
    for (let index = 0; index < 10_000; index++) {
      attributes.learn(`k${index % 3}`, index % 2 === 0 ? "intValue" : "stringValue", start);
    }
    assert.equal(learnt, 6);
    for (let index = 0; index < 4_000; index++) attributes.learn(`other${index}`, "", start);
    assert.equal(learnt, 256);
    // Those of others don't keep ours out for good.
    for (let index = 0; index < 400; index++) {
      for (const key of ["a", "b"]) attributes.learn(key, "", start);
    }
    assert.equal(learnt, 258);
    attributes.learn("a", "", start);
    assert.equal(attributes.next?.key, "b");
  });

  it("are refused where they are no JSON, with the place", () => {
    const record = '{"attributes":[{"key":"a","value":{"stringValue":"x"}}]}';
    const good = [record, record, record];
    for (const [from, to] of [
      ["}}", "}"],
      ['"x"', '"x'],
      ['"x"', "x"],
      [":{", ":{{"],
      ["}}]", "}}}]"],
    ] as const) {
      const text = requestOf([...good, record.replace(from, to)]);
      assert.throws(() => decodeJson(text), { code: "bad-input", message: /at character \d{3}/ });
    }
  });

  it("are as deep as any other", () => {
    const deep = `${'{"arrayValue":{"values":['.repeat(70)}${"]}}".repeat(70)}`;
    const record = `{"attributes":[{"key":"a","value":${deep}}]}`;
    assert.throws(() => decodeJson(requestOf([record])), /nested at most 64 levels/);
    const shallow = '{"attributes":[{"key":"a","value":{"arrayValue":{"values":[]}}}]}';
    assert.throws(() => decodeJson(requestOf([shallow, shallow, record])), /nested at most 64 levels/);
  });
});
