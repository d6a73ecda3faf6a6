/**
 * Losses as they are found: by comparing two states of the books, and from requests that did not arrive.
 */
import type { LostSequences } from "../otlp/loss-record.ts";
import { type ExportLossReason, NUMBERED_LOSS_REASONS, type ProbeBalance } from "./ledger.ts";
import type { Loss } from "./loss-registry.ts";

/** The time between two looks, in nanoseconds since the Unix epoch. */
export interface LossWindow {
  readonly firstTimeUnixNano: bigint;
  readonly lastTimeUnixNano: bigint;
}

const numbered: ReadonlySet<string> = new Set(NUMBERED_LOSS_REASONS);

/** Whether records lost for this reason had sequence numbers, so that they leave gaps in the stream. */
export function isNumberedLoss(reason: string): boolean {
  return numbered.has(reason);
}

/**
 * What was lost between two states of the books before it got a sequence number: in the kernel, on the way here, or
 * because it was malformed. What was lost later is known by request: see `requestLosses`.
 */
export function lossDelta(
  before: readonly ProbeBalance[],
  after: readonly ProbeBalance[],
  window: LossWindow,
): Loss[] {
  const earlier = new Map(before.map(({ probe, lost }) => [probe, lost]));
  return after.flatMap(({ probe, lost }) =>
    [...lost].flatMap(([reason, total]) => {
      const count = total - (earlier.get(probe)?.get(reason) ?? 0n);
      return count > 0n && !isNumberedLoss(reason) ? [{ reason, probe, count, ...window }] : [];
    }),
  );
}

/** What is known of a request whose records, or some of them, are lost. */
export interface LostRequest {
  readonly recordCount: number;
  readonly streamId?: string;
  readonly firstSequence?: number;
  readonly lastSequence?: number;
  /** How many of its records each probe made; "control" for loss and stream records. */
  readonly recordsByProbe?: ReadonlyMap<string, number>;
}

export interface LostPart {
  /** Records by reason; together at most all of the request. */
  readonly lost: ReadonlyMap<ExportLossReason, number>;
  /** Sequence numbers of the lost records, but for those rejected; needed only when not all are lost. */
  readonly lostSequences?: readonly { readonly first: number; readonly last: number }[];
  readonly window: LossWindow;
}

/**
 * The losses of one request, one per reason and probe. When only a part is lost, nobody knows of which probes: it
 * is booked to the first ones of the request.
 */
export function requestLosses(request: LostRequest, { lost, lostSequences, window }: LostPart): Loss[] {
  const left = new Map(request.recordsByProbe ?? [["unknown", request.recordCount]]);
  const numbers = new SequenceSupply(lostSequences ?? []);
  const { streamId, firstSequence, lastSequence } = request;
  const whole =
    firstSequence === undefined || lastSequence === undefined
      ? undefined
      : { first: firstSequence, last: lastSequence };
  return [...lost].flatMap(([reason, total]) => {
    // Of a whole request one range is enough; which ones a collector rejected it does not say.
    const isAnywhere = total === request.recordCount || reason === "rejected";
    return attribute(left, total).map(([probe, count]) => ({
      reason,
      probe,
      count,
      ...window,
      ...(streamId !== undefined && { streamId }),
      ...(whole !== undefined && {
        sequences: isAnywhere ? [{ ...whole, count }] : numbers.take(count),
      }),
    }));
  });
}

/** Takes `total` records from the probes that have some left, the first ones first. */
function attribute(left: Map<string, number>, total: number): [string, number][] {
  const parts: [string, number][] = [];
  let rest = total;
  for (const [probe, available] of left) {
    const count = Math.min(available, rest);
    if (count <= 0) continue;
    left.set(probe, available - count);
    rest -= count;
    parts.push([probe, count]);
  }
  return parts;
}

/** Sequence numbers of ranges, given out in order. */
class SequenceSupply {
  readonly #ranges: { first: number; last: number }[];

  constructor(ranges: readonly { readonly first: number; readonly last: number }[]) {
    this.#ranges = ranges.map((range) => ({ ...range }));
  }

  take(count: number): LostSequences[] {
    const taken: LostSequences[] = [];
    let rest = count;
    while (rest > 0) {
      const [range] = this.#ranges;
      if (range === undefined) break;
      const size = Math.min(rest, range.last - range.first + 1);
      taken.push({ first: range.first, last: range.first + size - 1, count: size });
      range.first += size;
      rest -= size;
      if (range.first > range.last) this.#ranges.shift();
    }
    return taken;
  }
}
