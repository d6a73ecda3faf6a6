/**
 * What was received of one stream, and what its exporter says of it.
 */
import { SequenceRanges } from "../convert/sequence-ranges.ts";
import { isNumberedLoss } from "../health/loss.ts";
import { PROBE_DOWN } from "../health/loss-registry.ts";
import type { LossRecord } from "../otlp/loss-record.ts";
import type { StreamCounts, StreamRecord } from "../otlp/stream-record.ts";
import { explainGaps, type Gap, type LossClaim } from "./explain-gaps.ts";

/** Sequence numbers that were not received, and how many of them loss records explain. */
export interface GapReport extends Gap {
  readonly explained: number;
}

/** Events lost before they got a sequence number: they leave no gap. */
export interface UnnumberedLoss {
  readonly reason: string;
  readonly probe: string;
  readonly count: bigint;
}

/** What is known of a stream when everything was read. Counts are of sequence numbers unless they say otherwise. */
export interface StreamReport {
  readonly streamId: string;
  /** `ended`: its end record was received. `unended`: it has none, or a later run says that it never ended. */
  readonly state: "ended" | "unended";
  /** Whether a later run has reported it as unended. */
  readonly reportedUnended: boolean;
  /** Evidence, each record once. */
  readonly records: number;
  /** Loss and stream records, each once. */
  readonly control: number;
  readonly duplicates: number;
  /** The highest number that the stream is known to have. */
  readonly lastSequence: number;
  readonly missing: number;
  readonly unexplained: number;
  /** Missing numbers that loss records explain, by reason. */
  readonly explained: ReadonlyMap<string, number>;
  readonly gapCount: number;
  readonly gapsExplained: number;
  /** The first gaps, unexplained ones before the others. */
  readonly gaps: readonly GapReport[];
  /** Numbers that were reported lost and received after all: a late answer was taken for none. */
  readonly lostButReceived: number;
  readonly unnumbered: readonly UnnumberedLoss[];
  /** Times without a probe; how many events they had, nobody knows. */
  readonly probeDownTimes: number;
  readonly probeDownNs: bigint;
  /** Evidence by event type. */
  readonly recordsByType: ReadonlyMap<string, number>;
  /** Where the final counts of the stream say otherwise although nothing is missing; one line each. */
  readonly disagreements: readonly string[];
}

export class StreamTally {
  readonly streamId: string;
  readonly #received: SequenceRanges;
  /** Losses that this stream has reported, by lossId: one that is reported again counts once. */
  readonly #lossIds: SequenceRanges;
  readonly #recordsByType = new Map<string, number>();
  readonly #claims: LossClaim[] = [];
  readonly #unnumbered = new Map<string, UnnumberedLoss>();
  #claimed = 0;
  #control = 0;
  #duplicates = 0;
  #lastKnown = 0;
  #final: readonly StreamCounts[] | undefined;
  #reportedUnended = false;
  #probeDownTimes = 0;
  #probeDownNs = 0n;

  /** `rangesMax` bounds each of its two sets; whoever has many streams looks at `rangeCount` as well. */
  constructor(streamId: string, rangesMax: number) {
    this.streamId = streamId;
    this.#received = new SequenceRanges({ rangesMax });
    this.#lossIds = new SequenceRanges({ rangesMax });
  }

  /** What it holds in memory, in ranges. */
  get rangeCount(): number {
    return this.#received.rangeCount + this.#lossIds.rangeCount + this.#claims.length;
  }

  /** Evidence was received; the type is of its event. */
  evidence(sequence: number, type: string): void {
    if (!this.#take(sequence)) return;
    this.#recordsByType.set(type, (this.#recordsByType.get(type) ?? 0) + 1);
  }

  /** A loss or stream record was received. */
  control(sequence: number): void {
    if (this.#take(sequence)) this.#control++;
  }

  /** This stream reports a loss; false when it has reported it before. */
  firstReport(lossId: number): boolean {
    return this.#lossIds.add(lossId);
  }

  /** Evidence of this stream was lost, says a loss record of it or of a later one. */
  loss({ reason, probe, count, sequences, firstTimeUnixNano, lastTimeUnixNano }: LossRecord): void {
    if (reason === PROBE_DOWN) {
      this.#probeDownTimes++;
      if (lastTimeUnixNano > firstTimeUnixNano) this.#probeDownNs += lastTimeUnixNano - firstTimeUnixNano;
    } else if (sequences.length > 0 || isNumberedLoss(reason)) {
      for (const range of sequences) {
        this.#claims.push({ ...range, reason });
        this.#claimed += range.count;
        this.#lastKnown = Math.max(this.#lastKnown, range.last);
      }
    } else this.#addUnnumbered(reason, probe, count);
  }

  /** A stream record speaks of this stream. */
  state({ state, lastSequence, counts }: StreamRecord): void {
    if (lastSequence !== undefined) this.#lastKnown = Math.max(this.#lastKnown, lastSequence);
    if (state === "end") this.#final = counts;
    if (state === "unended") this.#reportedUnended = true;
  }

  /** @param gapsMax how many gaps to name. */
  report(gapsMax: number): StreamReport {
    const lastSequence = Math.max(this.#lastKnown, this.#received.last ?? 0);
    const gaps = this.#gaps(lastSequence);
    const { explained, explainedPerGap } = explainGaps(gaps, this.#claims);
    const missing = gaps.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    const explainedTotal = explainedPerGap.reduce((sum, count) => sum + count, 0);
    const reports = gaps.map((gap, index) => ({ ...gap, explained: explainedPerGap[index] as number }));
    const [whole, partly] = partition(
      reports,
      ({ first, last, explained }) => explained === last - first + 1,
    );
    return {
      streamId: this.streamId,
      state: this.#final === undefined ? "unended" : "ended",
      reportedUnended: this.#reportedUnended,
      records: this.#received.count - this.#control,
      control: this.#control,
      duplicates: this.#duplicates,
      lastSequence,
      missing,
      unexplained: missing - explainedTotal,
      explained,
      gapCount: gaps.length,
      gapsExplained: whole.length,
      gaps: [...partly, ...whole].slice(0, gapsMax),
      lostButReceived: this.#claimed - explainedTotal,
      unnumbered: this.#unnumberedTotals(),
      probeDownTimes: this.#probeDownTimes,
      probeDownNs: this.#probeDownNs,
      recordsByType: this.#recordsByType,
      disagreements: missing === 0 ? this.#disagreements() : [],
    };
  }

  #take(sequence: number): boolean {
    const isNew = this.#received.add(sequence);
    if (!isNew) this.#duplicates++;
    return isNew;
  }

  #addUnnumbered(reason: string, probe: string, count: bigint): void {
    const key = `${reason} ${probe}`;
    const before = this.#unnumbered.get(key)?.count ?? 0n;
    this.#unnumbered.set(key, { reason, probe, count: before + count });
  }

  /** Sequence numbers begin at 1. */
  #gaps(lastSequence: number): Gap[] {
    const { first, last } = this.#received;
    if (first === undefined || last === undefined) {
      return lastSequence === 0 ? [] : [{ first: 1, last: lastSequence }];
    }
    const gaps: Gap[] = this.#received.gaps(Number.POSITIVE_INFINITY);
    if (first > 1) gaps.unshift({ first: 1, last: first - 1 });
    if (last < lastSequence) gaps.push({ first: last + 1, last: lastSequence });
    return gaps;
  }

  /** The end record knows the totals, even where a loss record did not arrive. */
  #unnumberedTotals(): UnnumberedLoss[] {
    const totals = new Map(this.#unnumbered);
    for (const { probe, lost } of this.#final ?? []) {
      for (const [reason, count] of lost) {
        const key = `${reason} ${probe}`;
        if (count > (totals.get(key)?.count ?? 0n)) totals.set(key, { reason, probe, count });
      }
    }
    return [...totals.values()];
  }

  #disagreements(): string[] {
    return (this.#final ?? []).flatMap(({ probe, recorded }) => {
      const received = this.#recordsByType.get(probe) ?? 0;
      return recorded === BigInt(received)
        ? []
        : [`${probe}: the exporter recorded ${recorded}, received were ${received}`];
    });
  }
}

function partition<Item>(items: readonly Item[], test: (item: Item) => boolean): [Item[], Item[]] {
  const parts: [Item[], Item[]] = [[], []];
  for (const item of items) parts[test(item) ? 0 : 1].push(item);
  return parts;
}
