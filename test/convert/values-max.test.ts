import assert from "node:assert/strict";
import fc from "fast-check";
import { hasMoreValues } from "../../src/convert/json-values.ts";
import { hasMoreProtobufValues } from "../../src/convert/protobuf-values.ts";
import { Rebuilder } from "../../src/pipeline/rebuild.ts";
import { chunked, collectStored } from "./collect.ts";

/** Members and items of a value, and of those in it. */
function countValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((sum: number, part) => sum + 1 + countValues(part), 0);
}

function field(number: number, content: Buffer): Buffer {
  assert.ok(content.length < 1 << 21);
  const length = [content.length | 0x80, (content.length >> 7) | 0x80, content.length >> 14];
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), content]);
}

const keyValue = (key: string, value: unknown): Buffer =>
  Buffer.concat([field(1, Buffer.from(key)), field(2, anyValue(value))]);

function anyValue(value: unknown): Buffer {
  if (Array.isArray(value)) return field(5, Buffer.concat(value.map((item) => field(1, anyValue(item)))));
  if (typeof value !== "object" || value === null) return field(1, Buffer.from(String(value)));
  const members = Object.entries(value).map(([key, part]) => field(1, keyValue(key, part)));
  return field(6, Buffer.concat(members));
}

/** The field of a log record with these attributes. */
function logRecord(attributes: object): Buffer {
  return field(
    2,
    Buffer.concat(Object.entries(attributes).map(([key, value]) => field(6, keyValue(key, value)))),
  );
}

/** A value of each member of an object counts as the member, and once more as the value in it. */
function countProtobufValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const each = Array.isArray(value) ? 1 : 2;
  return Object.values(value).reduce((sum: number, part) => sum + each + countProtobufValues(part), 0);
}

const tree = fc.jsonValue({ maxDepth: 5 });
const layout = fc.constantFrom(undefined, 1, "\t");

describe("the values of a record are counted before they are built", () => {
  it("those of JSON text as JSON.parse makes them", () => {
    fc.assert(
      fc.property(tree, layout, fc.nat(20), (value, space, valuesMax) => {
        const text = Buffer.from(JSON.stringify(value, undefined, space));
        assert.equal(hasMoreValues(text, valuesMax), countValues(value) > valuesMax);
      }),
      { numRuns: 500 },
    );
  });

  it("those of a log record in protobuf", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), tree), fc.nat(40), (attributes, valuesMax) => {
        const record = logRecord(attributes);
        const range = { start: 0, end: record.length };
        assert.equal(
          hasMoreProtobufValues(record, range, valuesMax),
          countProtobufValues(attributes) > valuesMax,
        );
      }),
      { numRuns: 500 },
    );
  });

  it("at the limit a record is taken; one more, and it alone is rejected with its place", async () => {
    const line = (count: number) => `{"ts_ns":1,"event":{"x":[${"1,".repeat(count - 4)}1]}}`;
    const text = [line(1000), line(1001), line(1000)].join("\n");
    const items = await collectStored(chunked(Buffer.from(text), [700]), { valuesMax: 1000 });
    const place = { offset: line(1000).length + 1, line: 2 };
    assert.deepEqual(items[1], {
      kind: "rejected",
      ...place,
      reason: "record has more than 1000 members and items",
    });
    assert.deepEqual([items[0]?.kind, items[2]?.kind], ["request", "request"]);
  });

  it("JSON text in an attribute is refused before it is parsed", () => {
    const reasons: string[] = [];
    const output = {
      bytes() {},
      line() {},
      ready: async () => {},
      failed: () => false,
      close: async () => {},
    };
    const rebuilder = new Rebuilder({
      output,
      withExtensions: false,
      keepDuplicates: false,
      valuesMax: 1000,
      onInvalid: (reason) => reasons.push(reason),
    });
    const attributes = {
      "runtime_evidence.event.type": "file_open",
      "runtime_evidence.residual": JSON.stringify({ x: new Array(2000).fill(1) }),
    };
    rebuilder.take("protobuf", field(1, field(2, logRecord(attributes))));
    assert.deepEqual(reasons, ["runtime_evidence.residual has more than 1000 members and items"]);
    assert.equal(rebuilder.counts.invalid, 1);
  });
});
