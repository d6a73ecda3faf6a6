import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeJson } from "../../src/otlp/decode-json.ts";

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
const values = fc.oneof(
  { weight: 4, arbitrary: scalars },
  fc.tuple(scalars, scalars).map((members) => members.join(",")),
  fc.constant(""),
);
const keyValues = fc.tuple(keys, values).chain(([key, value]) => {
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

describe("attributes that look as expected", () => {
  it("are what they are by themselves, in whatever order and spelling they come", () => {
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
