/** As many missing numbers are explained as any assignment of loss claims to them could explain, and no more. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { explainGaps, type Gap, type LossClaim } from "../../src/pipeline/explain-gaps.ts";

/** The best assignment of numbers to claims, by augmenting paths: slow and plainly right. */
function bestAssignment(gaps: readonly Gap[], claims: readonly LossClaim[]): number {
  const places = claims.flatMap(({ first, last, count }) =>
    Array.from({ length: count }, () => ({ first, last })),
  );
  const takenBy = new Map<number, number>();
  const numbers = gaps.flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, at) => first + at),
  );
  const assign = (number: number, tried: Set<number>): boolean => {
    for (const [index, { first, last }] of places.entries()) {
      if (number < first || number > last || tried.has(index)) continue;
      tried.add(index);
      const holder = takenBy.get(index);
      if (holder === undefined || assign(holder, tried)) {
        takenBy.set(index, number);
        return true;
      }
    }
    return false;
  };
  return numbers.filter((number) => assign(number, new Set())).length;
}

const gaps = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 })), { maxLength: 6 })
  .map((steps) => {
    let position = 0;
    return steps.map(([skip, size]) => {
      const first = position + skip + 1;
      position = first + size - 1;
      return { first, last: position };
    });
  });

const claims = fc.array(
  fc
    .tuple(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 15 }),
      fc.nat(),
      fc.constantFrom("a", "b"),
    )
    .map(([first, more, pick, reason]) => ({
      first,
      last: first + more,
      count: 1 + (pick % (more + 1)),
      reason,
    })),
  { maxLength: 6 },
);

const sum = (counts: Iterable<number>) => [...counts].reduce((total, count) => total + count, 0);

describe("explaining gaps", () => {
  it("explains as many numbers as the best assignment", () => {
    fc.assert(
      fc.property(gaps, claims, (someGaps, someClaims) => {
        const { explained, explainedPerGap } = explainGaps(someGaps, someClaims);
        assert.equal(sum(explainedPerGap), bestAssignment(someGaps, someClaims));
        assert.equal(sum(explained.values()), sum(explainedPerGap));
        for (const [index, { first, last }] of someGaps.entries()) {
          assert.ok((explainedPerGap[index] as number) <= last - first + 1);
        }
        for (const [reason, count] of explained) {
          const claimed = sum(someClaims.flatMap((claim) => (claim.reason === reason ? [claim.count] : [])));
          assert.ok(count <= claimed, `${reason}: ${count} of ${claimed}`);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("takes ranges as wide as sequence numbers can be, without looking at each number", () => {
    const last = Number.MAX_SAFE_INTEGER;
    const { explained } = explainGaps(
      [{ first: 1, last }],
      [
        { first: 1, last, count: 2 ** 52, reason: "wide" },
        { first: 2 ** 33, last: 2 ** 34, count: 7, reason: "narrow" },
      ],
    );
    assert.deepEqual(
      explained,
      new Map([
        ["wide", 2 ** 52],
        ["narrow", 7],
      ]),
    );
  });

  it("stays quick when hostile loss records claim everything", () => {
    const count = 50_000;
    const many = Array.from({ length: count }, (_, index) => [
      { first: 1, last: 200_000 - index, count: 1, reason: "x" },
      { first: 1 + index, last: 500_000 + index, count: 1, reason: "x" },
    ]).flat();
    const startMs = performance.now();
    const { explained } = explainGaps([{ first: 1, last: 1_000_000 }], many);
    assert.equal(explained.get("x"), 2 * count);
    assert.ok(performance.now() - startMs < 10_000);
  });
});
