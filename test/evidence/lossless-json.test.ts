import assert from "node:assert/strict";
import fc from "fast-check";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { parseDecimal, parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";
import { anyEvidenceRecord } from "./record-arbitrary.ts";

const refusal = (text: string): RuntimeEvidenceError => {
  try {
    parseEvidenceJson(text);
  } catch (thrown) {
    assert.ok(thrown instanceof RuntimeEvidenceError);
    assert.equal(thrown.code, "bad-input");
    assert.doesNotMatch(thrown.message, /[^\x20-\x7e]/);
    return thrown;
  }
  assert.fail(`accepted ${text.slice(0, 40)}`);
};

describe("lossless JSON", () => {
  for (const [text, value] of [
    ["1737890000123456789", 1737890000123456789n],
    ["-1737890000123456789", -1737890000123456789n],
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", 9007199254740993n],
    ["9007199254740993.0", 9007199254740993n],
    ["900719925474099.3e1", 9007199254740993n],
    ["9007199254740993000e-3", 9007199254740993n],
    ["1e20", 10n ** 20n],
    ["1E+2", 100],
    ["18446744073709551616", 2n ** 64n],
    ["1.0", 1],
    ["-0", 0],
    ["-0.0e5", 0],
    ["0e999999", 0],
    ["1.5", 1.5],
    ["1e-7", 1e-7],
    ["0.1", 0.1],
    ["123456789.25", 123456789.25],
  ] as const) {
    it(`reads ${text} exactly, wherever it stands`, () => {
      assert.deepStrictEqual(parseEvidenceJson(`[${text}]`), [value]);
      assert.deepStrictEqual(parseEvidenceJson(`{"a": ${text} }`), { a: parseEvidenceJson(text) });
      assert.equal(parseEvidenceJson(text), value);
    });
  }

  it("gives back every integer of up to the limit of digits, and refuses longer ones", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 999n), max: 10n ** 999n }), (value) => {
        assert.equal(BigInt(parseEvidenceJson(String(value)) as bigint), value);
      }),
    );
    assert.match(refusal("1".repeat(1001)).message, /more than 1000 digits/);
    assert.match(refusal("1e1000000000").message, /more than 1000 digits/);
  });

  it("gives back every record that it has written, and writes the same text again", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const value = record as unknown as JsonValue;
        const text = stringifyEvidence(value);
        assert.doesNotMatch(text, /\n/);
        assert.deepStrictEqual(parseEvidenceJson(text), value);
        assert.equal(stringifyEvidence(parseEvidenceJson(text)), text);
      }),
      { numRuns: 500 },
    );
  }).timeout(20_000);

  it("writes an integer beyond doubles wherever it stands", () => {
    const big = 10n ** 20n;
    for (const value of [
      big,
      [big, -big],
      { a: big, b: 0, c: "0" },
      { '"a': big },
      { a: big, b: [{ c: big }] },
      { a: 1, b: big },
      JSON.parse('{"__proto__":1}'),
      Object.defineProperty({ b: 1 }, "__proto__", { value: big, enumerable: true }),
    ] as JsonValue[]) {
      assert.deepStrictEqual(parseEvidenceJson(stringifyEvidence(value)), value);
    }
    assert.equal(stringifyEvidence({ a: big, b: 0 }), '{"a":100000000000000000000,"b":0}');
  });

  it("leaves digits within text alone", () => {
    const text = '{"a":"x: 12345678901234567890","12345678901234567890":[1e2,"1e400"]}';
    assert.deepStrictEqual(parseEvidenceJson(text), {
      a: "x: 12345678901234567890",
      "12345678901234567890": [100, "1e400"],
    });
  });

  for (const text of ["", "{", "[1,]", "{'a':1}", "01", "nul", "\u001b[31m", '{"a":1}x', "NaN", '"\n"']) {
    it(`refuses ${JSON.stringify(text)} with one line`, () => {
      assert.match(refusal(text).message, /^not JSON: ./);
    });
  }

  it("refuses nesting beyond its limit, also where it would exhaust the stack", () => {
    assert.ok(parseEvidenceJson("[".repeat(300) + "]".repeat(300)));
    for (const depth of [301, 200_000]) {
      assert.match(refusal("[".repeat(depth) + "]".repeat(depth)).message, /nested deeper/);
      assert.match(refusal(`${"[".repeat(depth)}1e20${"]".repeat(depth)}`).message, /nested deeper/);
    }
  });

  it("reads decimal text only where it is an integer", () => {
    assert.equal(parseDecimal("-9223372036854775809"), -(2n ** 63n) - 1n);
    assert.equal(parseDecimal("-0"), 0);
    for (const text of ["", "-", "1.0", "1e3", "0x1", " 1", "1".repeat(2000)])
      assert.equal(parseDecimal(text), undefined);
  });
});
