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
  /** Claims whose range has begun. */
  const open = new OpenClaims();
  const explainedPerGap = gaps.map((gap) => {
    let explainedHere = 0;
    for (let position = gap.first; position <= gap.last; ) {
      openUntil(position, waiting, open);
      const nextFirst = waiting.at(-1)?.first ?? Number.POSITIVE_INFINITY;
      const claim = open.next(position);
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

function openUntil(position: number, waiting: LossClaim[], open: OpenClaims): void {
  for (let next = waiting.at(-1); next !== undefined && next.first <= position; next = waiting.at(-1)) {
    waiting.pop();
    open.add({ last: next.last, reason: next.reason, left: next.count });
  }
}

/** A binary heap, the claim that ends first at its top: loss records may come from anybody, and be many. */
class OpenClaims {
  readonly #claims: OpenClaim[] = [];

  add(claim: OpenClaim): void {
    const claims = this.#claims;
    let index = claims.length;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (this.#lastOf(parent) <= claim.last) break;
      claims[index] = claims[parent] as OpenClaim;
      index = parent;
    }
    claims[index] = claim;
  }

  /** The claim that ends first and can still explain a number from `position` on. */
  next(position: number): OpenClaim | undefined {
    for (;;) {
      const [claim] = this.#claims;
      if (claim === undefined || (claim.left > 0 && claim.last >= position)) return claim;
      this.#removeTop();
    }
  }

  #removeTop(): void {
    const claims = this.#claims;
    const moved = claims.pop() as OpenClaim;
    if (claims.length === 0) return;
    let index = 0;
    for (let child = 1; child < claims.length; child = 2 * index + 1) {
      if (this.#lastOf(child + 1) < this.#lastOf(child)) child++;
      if (this.#lastOf(child) >= moved.last) break;
      claims[index] = claims[child] as OpenClaim;
      index = child;
    }
    claims[index] = moved;
  }

  #lastOf(index: number): number {
    return this.#claims[index]?.last ?? Number.POSITIVE_INFINITY;
  }
}
