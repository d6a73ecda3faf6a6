import assert from "node:assert/strict";
import fc from "fast-check";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";

/** Objects of one shape but for a name made of few characters, some of which are escaped: what V8 mixes up. */
const alike = fc.string({
  unit: fc.constantFrom("\\", '"', "n", "\n", "\r", "u", "\u0001", "0"),
  maxLength: 4,
});
const objects = fc.array(
  fc.tuple(fc.constantFrom("a", "b"), alike).map(([first, name]) => ({ [first]: 1, [name]: 2 })),
  { minLength: 1, maxLength: 20 },
);

describe("an escaped member name", () => {
  it("is read as itself, whatever was read before it", () => {
    for (const [before, text] of [
      ['{"h":0,"\\\\":0}', '{"h":0,"\\"":0}'],
      ['{"h":0,"\\\\n":0}', '{"h":0,"\\n\\n":0}'],
      ['{"h":{"i":0,"\\\\":0}}', '{"h":{"i":0,"\\r":12345678901234567890}}'],
    ] as const) {
      JSON.parse(before);
      assert.equal(stringifyEvidence(parseEvidenceJson(before)), before);
      assert.equal(stringifyEvidence(parseEvidenceJson(text)), text);
    }
  });

  it("is read as itself among objects that look alike", () => {
    fc.assert(
      fc.property(objects, (values) => {
        for (const value of values) {
          const text = JSON.stringify(value);
          assert.deepStrictEqual(parseEvidenceJson(text), value);
        }
        assert.deepStrictEqual(parseEvidenceJson(JSON.stringify(values)), values);
      }),
      { numRuns: 500 },
    );
  });

  it("leaves the rest as it is: exact integers, __proto__, every kind of value, duplicates refused", () => {
    const text =
      '{"\\"":[12345678901234567890,-0,1e2,0.5,null,true,false,"\\u00e9",{},[]],"__proto__":{"1":2,"0":3}}';
    const value = parseEvidenceJson(text) as Readonly<Record<string, JsonValue>>;
    assert.deepStrictEqual(value['"'], [12345678901234567890n, 0, 100, 0.5, null, true, false, "é", {}, []]);
    assert.deepStrictEqual(Object.getOwnPropertyDescriptor(value, "__proto__")?.value, { "0": 3, "1": 2 });
    assert.throws(
      () => parseEvidenceJson('{"\\u0061":1,"a":2}'),
      (thrown) => thrown instanceof RuntimeEvidenceError && /stands twice/.test(thrown.message),
    );
  });
});
