import assert from "node:assert/strict";
import fc from "fast-check";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { jsonDepthMax, parseDecimal, parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";
import { spellingChoices, spellJson } from "./json-spelling.ts";
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
    ["0.1000000000000000000001", 0.1],
    ["9007199254740993.5", 9007199254740994],
    ["1e-400", 0],
    ["-1e-400", 0],
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

  it("takes no longer than its length for a number of a million digits", () => {
    const zeros = "0".repeat(1_000_000);
    assert.match(refusal(`1${zeros}1`).message, /more than 1000 digits at character 0/);
    assert.match(
      refusal(`[1${zeros}.${zeros}1e5]`).message,
      /fraction that is beyond doubles at character 1/,
    );
    assert.equal(parseEvidenceJson(`1.${zeros}`), 1);
    assert.equal(parseEvidenceJson(`0.${zeros}1`), 0);
    assert.equal(parseEvidenceJson(`12${zeros}e-1000000`), 12);
  }).timeout(5000);

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

  it("reads the same record, whatever way its JSON is spelled", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, spellingChoices, (record, choices) => {
        const text = spellJson(record as unknown as JsonValue, choices);
        assert.deepStrictEqual(parseEvidenceJson(text), record);
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

  for (const [what, text, name, characterOffset] of [
    ["at the top", '{"a":1,"b":2,"a":1}', "a", 13],
    ["deep down", '{"a":[{"b":{"c":1, "c" : 2}}]}', "c", 19],
    ["behind an escape", '{"aé":1,"a\\u00e9":2}', "a?", 8],
    ["called __proto__", '{"__proto__":1,"__proto__":2}', "__proto__", 15],
    ["like an index", '[{"1":1,"0":2,"1":12345678901234567890}]', "1", 14],
  ] as const) {
    it(`refuses a member that stands twice, ${what}, and says where`, () => {
      const error = refusal(text);
      assert.match(error.message, new RegExp(`^the member "${name.replace("?", "\\?")}" stands twice`));
      assert.equal(error.context.characterOffset, characterOffset);
    });
  }

  it("takes the same name in different objects, and colons within text", () => {
    const text = '{"a":{"a":":\\":"},"b":[{"a:":1},{"a:":"a:b"}]}';
    assert.deepStrictEqual(parseEvidenceJson(text), JSON.parse(text));
  });

  it("puts exact integers in their places, also among names that objects put in another order", () => {
    const text = '{"2":12345678901234567890,"1":[98765432109876543210,1e30],"a":-1e19,"0":0.5}';
    assert.deepStrictEqual(parseEvidenceJson(text), {
      "2": 12345678901234567890n,
      "1": [98765432109876543210n, 10n ** 30n],
      a: -(10n ** 19n),
      "0": 0.5,
    });
  });

  it("reads whatever JSON.parse reads, numbers exactly, and refuses whatever it refuses, with the place", () => {
    const fragment = fc.constantFrom(
      ...'{}[],:"\\ \n09-.eE'.split(""),
      ...[
        '"a"',
        '"1"',
        "true",
        "false",
        "null",
        "nul",
        "1e3",
        "-0",
        "\\u00",
        '"\\ud800"',
        "12345678901234567",
        "é",
      ],
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(fragment),
          fc.json().map((text) => [text]),
        ),
        (fragments) => {
          const text = fragments.join("");
          let expected: unknown;
          try {
            expected = JSON.parse(text);
          } catch {
            const { characterOffset } = refusal(text).context;
            assert.ok(Number(characterOffset) <= text.length, `${characterOffset}`);
            return;
          }
          let ours: unknown;
          try {
            ours = parseEvidenceJson(text);
          } catch (thrown) {
            assert.match(String(thrown), /stands twice|more than 1000 digits/);
            return;
          }
          assert.equal(
            JSON.stringify(ours, (_, part) => (typeof part === "bigint" ? Number(part) : part)),
            JSON.stringify(expected),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("refuses nesting beyond its limit, also where it would exhaust the stack", () => {
    assert.ok(parseEvidenceJson("[".repeat(jsonDepthMax) + "]".repeat(jsonDepthMax)));
    for (const depth of [jsonDepthMax + 1, 50_000]) {
      for (const [open, inside, close] of [
        ["[", "", "]"],
        ["[", "1e20", "]"],
        ['{"1":', "1e20", "}"],
      ]) {
        const error = refusal(`${open?.repeat(depth)}${inside}${close?.repeat(depth)}`);
        assert.match(error.message, /nested deeper than 1000 levels/);
        assert.equal(error.context.characterOffset, jsonDepthMax * (open?.length ?? 0));
      }
    }
    assert.match(refusal("[".repeat(1_000_000)).message, /nested deeper/);
    assert.match(refusal("[".repeat(1_000_000) + "]".repeat(1_000_000)).message, /nested deeper/);
  });

  it("writes what is nested as deep as the limit, and refuses what is deeper", () => {
    for (const inside of [[], [10n ** 20n]]) {
      let value: JsonValue = inside;
      for (let depth = 1; depth < jsonDepthMax; depth++) value = [value];
      assert.deepStrictEqual(parseEvidenceJson(stringifyEvidence(value)), value);
      assert.throws(() => stringifyEvidence([value]), { code: "bad-input", message: /nested deeper/ });
    }
  });

  it("writes no number that JSON has not", () => {
    for (const value of [
      Number.NaN,
      [1n, Number.POSITIVE_INFINITY],
      { a: 10n ** 20n, b: { c: -Infinity } },
    ]) {
      assert.throws(() => stringifyEvidence(value), { code: "bad-input", message: /is no JSON value/ });
    }
  });

  it("reads decimal text only where it is an integer", () => {
    assert.equal(parseDecimal("-9223372036854775809"), -(2n ** 63n) - 1n);
    assert.equal(parseDecimal("-0"), 0);
    for (const text of ["", "-", "1.0", "1e3", "0x1", " 1", "1".repeat(2000)])
      assert.equal(parseDecimal(text), undefined);
  });
});
