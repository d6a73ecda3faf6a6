import assert from "node:assert/strict";
import fc from "fast-check";
import type { AnyValue } from "../../src/otlp/any-value.ts";
import { DecodedAttributes, ownAttributeKeys } from "../../src/otlp/decoded-attributes.ts";

describe("attributes of a decoded log record", () => {
  it("are what a Map of the same would be, in another order at most", () => {
    const key = fc.oneof(
      fc.constantFrom(...ownAttributeKeys),
      fc.string(),
      fc.constantFrom("__proto__", "0", "size"),
    );
    const value: fc.Arbitrary<AnyValue> = fc.oneof(fc.string(), fc.constantFrom(null, false, 0, ""));
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (entries) => {
        const attributes = new DecodedAttributes();
        for (const [name, part] of entries) attributes.set(name, part);
        const expected = new Map(entries);
        assert.equal(attributes.size, expected.size);
        assert.deepStrictEqual(new Map(attributes), expected);
        assert.deepStrictEqual(new Set(attributes.keys()), new Set(expected.keys()));
        assert.equal([...attributes.values()].length, expected.size);
        const taken = new Map<string, AnyValue>();
        attributes.forEach((part, name, map) => {
          assert.equal(map, attributes);
          taken.set(name, part);
        });
        assert.deepStrictEqual(taken, expected);
        for (const name of [...expected.keys(), "none", ...ownAttributeKeys]) {
          assert.equal(attributes.has(name), expected.has(name));
          assert.equal(attributes.get(name), expected.get(name));
        }
      }),
      { numRuns: 300 },
    );
  });
});
