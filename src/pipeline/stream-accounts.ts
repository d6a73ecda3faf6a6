/**
 * What became of sealed requests, those that earlier runs left in the spool included: by probe into the books, and
 * as losses back into the stream.
 */
import type { DroppedRequest, RequestFacts } from "../delivery/queue.ts";
import type { Settlement } from "../delivery/settlement.ts";
import type { ExportLossReason } from "../health/ledger.ts";
import { requestLosses } from "../health/loss.ts";
import { type LostRange, lostReports } from "./lost-reports.ts";
import { CONTROL, RecordTally } from "./record-tally.ts";
import type { StreamReports } from "./stream-reports.ts";
import { nowUnixNano } from "./wall-clock.ts";

/** Where is booked what became of the records of this stream, by probe. */
export interface RecordBooks {
  /** Acknowledged. */
  exported(probe: string, count: number): void;
  lost(probe: string, reason: ExportLossReason, count: number): void;
  /** On disk for the next run. */
  spooled(probe: string, count: number): void;
}

/** What became of records that earlier runs left in the spool. */
export interface EarlierRecords {
  readonly recovered: number;
  readonly accepted: number;
  readonly lost: number;
}

export interface StreamAccountsOptions {
  readonly streamId: string;
  /** What makes records. */
  readonly probes: readonly string[];
  readonly books: RecordBooks;
  /** Where losses are said, if they are. */
  readonly reports: StreamReports | undefined;
}

export class StreamAccounts {
  readonly tally: RecordTally;
  /** Records that were never sent, by reason; those of earlier runs, too. */
  readonly recordsDropped = new Map<ExportLossReason, number>();
  readonly #options: StreamAccountsOptions;
  readonly #earlier = { recovered: 0, accepted: 0, lost: 0 };
  #lastLost = 0;
  #firstDropped = Number.POSITIVE_INFINITY;

  constructor(options: StreamAccountsOptions) {
    this.#options = options;
    this.tally = new RecordTally(options.probes);
  }

  get earlier(): EarlierRecords {
    return this.#earlier;
  }

  /** The highest number of this stream that was lost after it was given; 0 where none was. */
  get lastLost(): number {
    return this.#lastLost;
  }

  /** The lowest of those that the queue has dropped. */
  get firstDropped(): number {
    return this.#firstDropped;
  }

  /** Earlier runs have left this many records. */
  recovered(records: number): void {
    this.#earlier.recovered = records;
  }

  /** The queue has lost a request. */
  dropped(request: DroppedRequest, reason: ExportLossReason): void {
    if (request.streamId === this.#options.streamId) {
      this.#firstDropped = Math.min(this.#firstDropped, request.firstSequence ?? 0);
    }
    this.recordsDropped.set(reason, (this.recordsDropped.get(reason) ?? 0) + request.recordCount);
    this.#sayAgain(request, undefined);
    this.#account(request, new Map([[reason, request.recordCount]]));
  }

  /** A request is settled, whole. */
  settled({ request, rejectedRecords, lost, lostSequences }: Settlement): void {
    const reasons = new Map<ExportLossReason, number>(lost);
    if (rejectedRecords > 0) reasons.set("rejected", rejectedRecords);
    // Which ones a collector has rejected it does not say.
    if (reasons.size > 0) this.#sayAgain(request, rejectedRecords > 0 ? undefined : lostSequences);
    this.#account(request, reasons, lostSequences);
  }

  /** Books the records that nothing became of: they stay in the spool, or are lost with the memory. */
  bookRest(isOnDisk: boolean): void {
    const { books } = this.#options;
    for (const [probe, count] of this.tally.outstanding()) {
      if (isOnDisk) books.spooled(probe, count);
      else books.lost(probe, "undelivered", count);
    }
  }

  /** Reports of this stream are known, and written again by `StreamReports`; those of earlier runs only stand here. */
  #sayAgain(request: DroppedRequest, lost: readonly LostRange[] | undefined): void {
    const { streamId, reports } = this.#options;
    const { body, recordsByProbe } = request;
    if (reports === undefined || body === undefined || request.streamId === streamId) return;
    if (recordsByProbe?.has(CONTROL) ?? true) reports.again(lostReports(body, lost));
  }

  /** Books what became of a request: some of it is lost, the rest has arrived. */
  #account(
    request: RequestFacts,
    lost: ReadonlyMap<ExportLossReason, number>,
    lostSequences?: Settlement["lostSequences"],
  ): void {
    const { streamId, books, reports } = this.#options;
    const firstTimeUnixNano = BigInt(Math.round(request.sealedAtUnixMs)) * 1_000_000n;
    const window = { firstTimeUnixNano, lastTimeUnixNano: nowUnixNano() };
    const losses =
      lost.size === 0
        ? []
        : requestLosses(request, { lost, window, ...(lostSequences !== undefined && { lostSequences }) });
    reports?.lost(losses);
    if (request.streamId !== streamId) {
      const lostRecords = losses.reduce((sum, { count }) => sum + Number(count), 0);
      this.#earlier.lost += lostRecords;
      this.#earlier.accepted += request.recordCount - lostRecords;
      return;
    }
    reports?.settled(request, losses.length === 0);
    if (losses.length > 0) this.#lastLost = Math.max(this.#lastLost, request.lastSequence ?? 0);
    const arrived = new Map(request.recordsByProbe);
    for (const { probe, reason, count } of losses) {
      const records = Number(count);
      arrived.set(probe, (arrived.get(probe) ?? 0) - records);
      if (this.tally.settle(probe, records)) books.lost(probe, reason as ExportLossReason, records);
    }
    for (const [probe, count] of arrived) if (this.tally.settle(probe, count)) books.exported(probe, count);
  }
}
