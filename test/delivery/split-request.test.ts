import assert from "node:assert/strict";
import fc from "fast-check";
import { SplitRequest } from "../../src/delivery/split-request.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { sealedRecords, sequencesIn } from "./sealed.ts";

/** A length-delimited field with a minimal length. */
function field(number: number, ...pieces: readonly Buffer[]): Buffer {
  const value = Buffer.concat(pieces);
  const head = [number * 8 + 2];
  for (let rest = value.length; ; rest >>>= 7) {
    head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from(head), value]);
}

const text = fc.string({ maxLength: 20 }).map((value) => Buffer.from(value));
/** LogRecord: severity_text = 3 with any text, so that records can be told apart. */
const record = text.map((value) => field(2, field(3, value)));
/** A field that no schema has yet. */
const unknown = fc.option(
  text.map((value) => field(13, value)),
  { nil: Buffer.alloc(0) },
);
/** Fields of a message may stand in any order. */
const inAnyOrder = (fields: Buffer[]) =>
  fc.shuffledSubarray(fields, { minLength: fields.length, maxLength: fields.length });

const scopeLogs = fc
  .tuple(text, text, unknown, fc.array(record, { maxLength: 6 }))
  .chain(([name, url, other, records]) =>
    inAnyOrder([field(1, field(1, name)), field(3, url), other, ...records]),
  )
  .map((fields) => field(2, ...fields));

/** Resource: attributes = 1 {key = 1}. */
const resourceLogs = fc
  .tuple(text, text, unknown, fc.array(scopeLogs, { maxLength: 4 }))
  .chain(([key, url, other, scopes]) =>
    inAnyOrder([field(1, field(1, field(1, key))), field(3, url), other, ...scopes]),
  )
  .map((fields) => field(1, ...fields));

const request = fc.tuple(fc.array(resourceLogs, { maxLength: 4 }), unknown).map(([logs, other]) => {
  return Buffer.concat([...logs, other]);
});

describe("a request that is cut", () => {
  it("has all its records in its parts, in order, each with its resource, scope and schema URLs", () => {
    fc.assert(
      fc.property(request, fc.array(fc.nat(), { maxLength: 5 }), (body, marks) => {
        const split = new SplitRequest(body);
        const whole = decodeRequest(body);
        assert.equal(split.recordCount, whole.length);
        const cuts = [0, ...marks.map((mark) => mark % (whole.length + 1)), whole.length].sort(
          (a, b) => a - b,
        );
        const parts = cuts.slice(1).map((to, index) => split.part(cuts[index] as number, to));
        assert.deepEqual(parts.flatMap(decodeRequest), whole);
      }),
      { numRuns: 300 },
    );
  });

  it("keeps the bytes of each record and what no schema knows yet", () => {
    const future = field(15, Buffer.from("later"));
    const records = [
      field(2, field(3, Buffer.from("a")), future),
      field(2, field(3, Buffer.from("b")), future),
    ];
    const body = Buffer.concat([field(1, field(2, field(1, future), ...records, future), future), future]);
    const second = new SplitRequest(body).part(1, 2);
    const expected = [field(1, future, field(2, field(1, future), future, records[1] as Buffer)), future];
    assert.ok(second.equals(Buffer.concat(expected)));
  });

  it("is cut in the middle of its bytes, and no half is empty", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 2, maxLength: 40 }), (sizes) => {
        const { body } = sealedRecords(sizes.length, { pathBytes: (index) => sizes[index] as number });
        const split = new SplitRequest(body);
        const middle = split.middle(0, sizes.length);
        assert.ok(middle > 0 && middle < sizes.length);
        const largest = Math.max(...sizes) + 1000;
        const halves = [split.part(0, middle), split.part(middle, sizes.length)];
        for (const half of halves) assert.ok(half.length <= body.length / 2 + largest);
      }),
    );
  });

  it("has parts as small as what a request of their records alone would be", () => {
    const whole = sealedRecords(100, { twoResources: true });
    const split = new SplitRequest(whole.body);
    const one = split.part(7, 8);
    assert.deepEqual(sequencesIn(one), [15]);
    assert.ok(one.length < whole.body.length / 20, `${one.length} of ${whole.body.length}`);
  });

  it("is refused when it is no request, whatever it is", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          new SplitRequest(Buffer.from(bytes));
        } catch (thrown) {
          assert.ok(thrown instanceof RuntimeEvidenceError && thrown.code === "bad-input");
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("says which record has a byte", () => {
    const { body } = sealedRecords(50, { twoResources: true });
    const split = new SplitRequest(body);
    const sequences = sequencesIn(body);
    for (const [index, sequence] of sequences.entries()) {
      // The uid is the last of the attributes, and told from `stream-1` within `stream-10` by what is behind it.
      const uid = Buffer.from(`stream-${sequence}`);
      let at = body.indexOf(uid);
      while (/[0-9]/.test(String.fromCharCode(body[at + uid.length] ?? 0))) at = body.indexOf(uid, at + 1);
      assert.equal(split.recordAt(at), index, `${sequence}`);
    }
    const found = Array.from(body, (_, offset) => split.recordAt(offset)).filter(
      (index) => index !== undefined,
    );
    assert.equal(new Set(found).size, 50);
    assert.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    );
    assert.equal(split.recordAt(0), undefined, "the header is no record");
    assert.equal(split.recordAt(body.length), undefined);
  });
});
