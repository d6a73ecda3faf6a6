/**
 * Where in a stream records were lost, as few ranges as are allowed. A range says how many of its numbers were
 * lost, so that a wide one explains no more than that.
 */
import type { LostSequences } from "../otlp/loss-record.ts";

/**
 * Adds a range to sorted ones that do not overlap. It becomes one with those that it overlaps or touches; above
 * `rangesMax` the two with the least between them become one.
 */
export function addSequences(ranges: LostSequences[], range: LostSequences, rangesMax: number): void {
  let start = ranges.length;
  while (start > 0 && (ranges[start - 1] as LostSequences).last + 1 >= range.first) start--;
  let end = start;
  let joined = range;
  while (end < ranges.length && (ranges[end] as LostSequences).first <= joined.last + 1) {
    joined = join(ranges[end] as LostSequences, joined);
    end++;
  }
  ranges.splice(start, end - start, joined);
  if (ranges.length > rangesMax) joinNearest(ranges);
}

function join(one: LostSequences, other: LostSequences): LostSequences {
  const first = Math.min(one.first, other.first);
  const last = Math.max(one.last, other.last);
  // More than all of them cannot be lost, whoever says so twice.
  return { first, last, count: Math.min(one.count + other.count, last - first + 1) };
}

function joinNearest(ranges: LostSequences[]): void {
  let nearest = 0;
  let nearestBetween = Number.POSITIVE_INFINITY;
  for (let index = 0; index + 1 < ranges.length; index++) {
    const between = (ranges[index + 1] as LostSequences).first - (ranges[index] as LostSequences).last;
    if (between < nearestBetween) {
      nearest = index;
      nearestBetween = between;
    }
  }
  const joined = join(ranges[nearest] as LostSequences, ranges[nearest + 1] as LostSequences);
  ranges.splice(nearest, 2, joined);
}
