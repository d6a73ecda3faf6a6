/** A set of sequence numbers agrees with a plain set, whatever the order, and keeps its limit. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SequenceRanges } from "../../src/convert/sequence-ranges.ts";

/** The gaps of a plain set, the slow way. */
function gapsOf(numbers: ReadonlySet<number>): { first: number; last: number }[] {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.slice(1).flatMap((next, index) => {
    const before = sorted[index] as number;
    return next === before + 1 ? [] : [{ first: before + 1, last: next - 1 }];
  });
}

function check(ranges: SequenceRanges, plain: ReadonlySet<number>): void {
  assert.equal(ranges.count, plain.size);
  const gaps = gapsOf(plain);
  assert.deepEqual(ranges.gaps(Number.POSITIVE_INFINITY), gaps);
  assert.equal(ranges.rangeCount, plain.size === 0 ? 0 : gaps.length + 1);
  assert.equal(ranges.first, plain.size === 0 ? undefined : Math.min(...plain));
  assert.equal(ranges.last, plain.size === 0 ? undefined : Math.max(...plain));
}

describe("sequence ranges", () => {
  it("are a set, in any order", () => {
    const sequence = fc.oneof(fc.nat({ max: 60 }), fc.maxSafeInteger());
    fc.assert(
      fc.property(fc.array(sequence, { maxLength: 200 }), (numbers) => {
        const ranges = new SequenceRanges();
        const plain = new Set<number>();
        for (const number of numbers) {
          assert.equal(ranges.add(number), !plain.has(number));
          plain.add(number);
        }
        check(ranges, plain);
      }),
      { numRuns: 500 },
    );
  });

  it("are a set over many blocks: thousands of ranges, then their gaps filled", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat({ max: 6000 })), (numbers) => {
        const ranges = new SequenceRanges();
        const plain = new Set<number>();
        const add = (number: number) => {
          assert.equal(ranges.add(number), !plain.has(number));
          plain.add(number);
        };
        for (let number = 6000; number >= 0; number -= 2) add(number);
        check(ranges, plain);
        for (let left = 5000; left > 0; left--) add(numbers.next().value as number);
        check(ranges, plain);
        for (let number = 0; number <= 6000; number++) add(number);
        assert.equal(ranges.rangeCount, 1);
        check(ranges, plain);
      }),
      { numRuns: 5 },
    );
  });

  it("take a million numbers in order, and newest first with gaps, in no time", () => {
    const startedMs = performance.now();
    const rising = new SequenceRanges();
    for (let number = 1; number <= 1_000_000; number++) rising.add(number);
    assert.equal(rising.rangeCount, 1);
    const falling = new SequenceRanges();
    for (let number = 1_000_000; number > 0; number -= 3) falling.add(number);
    assert.equal(falling.rangeCount, 333_334);
    assert.ok(performance.now() - startedMs < 2000, `${performance.now() - startedMs} ms`);
  });

  it("forget the lowest range at the limit, and say so", () => {
    const ranges = new SequenceRanges({ rangesMax: 3 });
    for (const number of [1, 2, 10, 20, 30]) assert.equal(ranges.add(number), true);
    assert.deepEqual([ranges.rangeCount, ranges.forgottenRanges, ranges.count], [3, 1, 3]);
    assert.deepEqual([ranges.first, ranges.last], [10, 30]);
    assert.equal(ranges.add(20), false, "what is not forgotten is still known");
    assert.equal(ranges.add(2), true, "what is forgotten counts as new");
  });

  it("give at most as many gaps as asked for", () => {
    const ranges = new SequenceRanges();
    for (const number of [1, 3, 5, 7]) ranges.add(number);
    assert.deepEqual(ranges.gaps(2), [
      { first: 2, last: 2 },
      { first: 4, last: 4 },
    ]);
  });

  it("refuse what is no safe integer", () => {
    const ranges = new SequenceRanges();
    for (const number of [1.5, Number.NaN, 2 ** 53]) assert.throws(() => ranges.add(number), RangeError);
  });
});
