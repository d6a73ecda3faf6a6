/**
 * Which missing sequence numbers the loss records of a stream explain. A loss record claims that some numbers of a
 * range are lost, and how many; it explains at most so many, and only within its range.
 */

/** Numbers from `first` to `last`, both included, none of which was received. */
export interface Gap {
  readonly first: number;
  readonly last: number;
}

/** `count` numbers between `first` and `last` are lost, says a loss record. */
export interface LossClaim extends Gap {
  readonly count: number;
  readonly reason: string;
}

export interface ExplainedGaps {
  /** Numbers explained, by reason. */
  readonly explained: ReadonlyMap<string, number>;
  /** For each gap, in their order, how many of its numbers are explained. */
  readonly explainedPerGap: readonly number[];
}

interface OpenClaim {
  readonly last: number;
  readonly reason: string;
  left: number;
}

/**
 * Explains as many numbers as there are claims for: from the lowest number up, always by the claim whose range
 * ends first, because the others can still explain what comes later. `gaps` are in order and apart.
 */
export function explainGaps(gaps: readonly Gap[], claims: readonly LossClaim[]): ExplainedGaps {
  const explained = new Map<string, number>();
  const waiting = claims.toSorted((a, b) => b.first - a.first);
  /** Claims whose range has begun; the one that ends first is the last. */
  const open: OpenClaim[] = [];
  const explainedPerGap = gaps.map((gap) => {
    let explainedHere = 0;
    for (let position = gap.first; position <= gap.last; ) {
      openClaims(open, waiting, position);
      const nextFirst = waiting.at(-1)?.first ?? Number.POSITIVE_INFINITY;
      const claim = open.at(-1);
      if (claim === undefined) {
        position = nextFirst;
        continue;
      }
      const until = Math.min(gap.last, claim.last, nextFirst - 1);
      const count = Math.min(until - position + 1, claim.left);
      claim.left -= count;
      position += count;
      explainedHere += count;
      explained.set(claim.reason, (explained.get(claim.reason) ?? 0) + count);
    }
    return explainedHere;
  });
  return { explained, explainedPerGap };
}

/** Opens the claims that begin at `position` or before it, and closes those that can explain nothing more. */
function openClaims(open: OpenClaim[], waiting: LossClaim[], position: number): void {
  for (let next = waiting.at(-1); next !== undefined && next.first <= position; next = waiting.at(-1)) {
    waiting.pop();
    const { last, reason, count } = next;
    if (last < position) continue;
    open.splice(placeOf(open, last), 0, { last, reason, left: count });
  }
  for (let claim = open.at(-1); claim !== undefined; claim = open.at(-1)) {
    if (claim.left > 0 && claim.last >= position) return;
    open.pop();
  }
}

/** Where a claim that ends at `last` belongs: behind those that end later. */
function placeOf(open: readonly OpenClaim[], last: number): number {
  let low = 0;
  let high = open.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((open[middle] as OpenClaim).last > last) low = middle + 1;
    else high = middle;
  }
  return low;
}
