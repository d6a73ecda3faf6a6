/**
 * Log records to a collector, as one numbered stream: batch, queue, deliver, and say what was lost.
 *
 *   record ──► request being built ──seal──► queue ──► N requests in flight ──► collector
 *                   ▲                          │                  │
 *                   └──── loss records ◄── dropped, refused ◄─────┘
 */
import { createBatch } from "../delivery/batch.ts";
import type { DeadLetter } from "../delivery/dead-letter.ts";
import { type Attempt, type Delivery, type InFlight, startDelivery } from "../delivery/delivery.ts";
import type { DeliveryCounters } from "../delivery/delivery-books.ts";
import type { DiskQueue } from "../delivery/disk-queue.ts";
import type { SealedRequest, Sender } from "../delivery/outcome.ts";
import type { DroppedRequest } from "../delivery/queue.ts";
import type { Settlement } from "../delivery/settlement.ts";
import { steadyUnixMs } from "../delivery/steady-clock.ts";
import { Wake } from "../delivery/wake.ts";
import type { ExportLossReason } from "../health/ledger.ts";
import type { Loss } from "../health/loss-registry.ts";
import type { ControlContext } from "../otlp/control-record.ts";
import { RequestBuilder } from "../otlp/request-builder.ts";
import type { EncodedResource } from "../otlp/resource.ts";
import type { StreamCounts } from "../otlp/stream-record.ts";
import { type DeliveryQueueOptions, type OpenedQueue, openQueue } from "./delivery-queue.ts";
import type { RequestOutlet } from "./request-outlet.ts";
import { type EarlierRecords, type RecordBooks, StreamAccounts } from "./stream-accounts.ts";
import { StreamReports } from "./stream-reports.ts";
import { nowUnixNano } from "./wall-clock.ts";

/** When the time to shut down is over, the end still waits for the spool, as long as that takes a request within this, */
const SPOOL_GRACE_MS = 2000;
/** and not longer than this. */
const SPOOL_END_MAX_MS = 30_000;
/** How often losses are looked for, and how often an empty queue is. */
const LOOK_INTERVAL_MS = 1000;
const EMPTY_INTERVAL_MS = 10;

export interface OtlpOutletOptions {
  readonly sender: Sender;
  readonly queue: DeliveryQueueOptions;
  /** 1 to 64 printable ASCII characters; no two streams have the same. */
  readonly streamId: string;
  /** Of the records that the stream says about itself. */
  readonly resource: EncodedResource;
  /**
   * Whether the stream says of itself that it began and ended, and what it lost; by default it does. Not where
   * records are to have the same numbers whenever they are sent.
   */
  readonly saysItsCourse?: boolean | undefined;
  /** Whether the stream begins with its first record, and not before; then one without records is none at all. */
  readonly beginsWithRecord?: boolean | undefined;
  /** What makes records; `next` takes an index into it. */
  readonly probes: readonly string[];
  readonly books: RecordBooks;
  /** Losses that only the caller can know, looked for every second. */
  readonly findLosses?: (() => readonly Loss[]) | undefined;
  readonly batchBytesMax?: number | undefined;
  readonly batchAgeMaxMs?: number | undefined;
  readonly requestsInFlight?: number | undefined;
  readonly lossIntervalMs?: number | undefined;
  /** A request that is older is given up; by default none is. */
  readonly maxAgeMs?: number | undefined;
  readonly deadLetter?: DeadLetter | undefined;
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
  /** Gets one line about each kind of trouble, at intervals. */
  readonly report: (line: string) => void;
}

/** Opens the queue, begins the stream, and delivers from now on. Throws what opening the spool does. */
export async function openOtlpOutlet(options: OtlpOutletOptions): Promise<OtlpOutlet> {
  const early: [DroppedRequest, ExportLossReason][] = [];
  let dropped = (request: DroppedRequest, reason: ExportLossReason): void =>
    void early.push([request, reason]);
  const opened = await openQueue(options.queue, (...drop) => dropped(...drop), options.report);
  const outlet = new OtlpOutlet(options, opened);
  dropped = (...drop) => outlet.dropped(...drop);
  for (const drop of early) outlet.dropped(...drop);
  await outlet.begin().catch(async (error: unknown) => {
    outlet.abort();
    await outlet.end(0);
    throw error;
  });
  return outlet;
}

/** The way of records to a collector. */
export class OtlpOutlet implements RequestOutlet {
  readonly builder = new RequestBuilder();
  readonly #options: OtlpOutletOptions;
  readonly #opened: OpenedQueue;
  readonly #batch;
  readonly #delivery: Delivery;
  readonly #reports: StreamReports | undefined;
  readonly #accounts: StreamAccounts;
  /** What the queue has no room for yet. */
  readonly #offers = new Set<Promise<void>>();
  /** Woken when the queue has taken a request, and by an abort. */
  readonly #wake = new Wake();
  readonly #timer: NodeJS.Timeout;
  #isAborted = false;
  #isDraining = false;
  #graceMs = SPOOL_GRACE_MS;
  /** Whether records go to no batch any more. */
  #isAtLastWords = false;
  #hasBegun = false;
  /** Whether the spool knows that the stream has begun. */
  #isMarked = false;
  #sequence = 0;
  #firstSequence = 1;
  #lookAtMs = 0;

  constructor(options: OtlpOutletOptions, opened: OpenedQueue) {
    this.#options = options;
    this.#opened = opened;
    if (options.saysItsCourse !== false) {
      this.#reports = new StreamReports({
        streamId: options.streamId,
        lossIntervalMs: options.lossIntervalMs,
        append: (write) => this.#control(write),
      });
    }
    this.#accounts = new StreamAccounts({ ...options, reports: this.#reports });
    const { batchBytesMax, batchAgeMaxMs, requestsInFlight, deadLetter, onAttempt } = options;
    this.#batch = createBatch({
      ...(batchBytesMax !== undefined && { bytesMax: batchBytesMax }),
      ...(batchAgeMaxMs !== undefined && { ageMaxMs: batchAgeMaxMs }),
      seal: () => this.#seal(),
    });
    this.#delivery = startDelivery({
      queue: opened.queue,
      sender: options.sender,
      report: options.report,
      onSettled: (settlement) => this.#settle(settlement),
      ...(requestsInFlight !== undefined && { requestsInFlight }),
      ...(options.maxAgeMs !== undefined && { retry: { maxAgeMs: options.maxAgeMs } }),
      ...(deadLetter !== undefined && { deadLetter }),
      ...(onAttempt !== undefined && { onAttempt }),
    });
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
  }

  /** Says of each stream of an earlier run that it was not ended, and begins this one. */
  async begin(): Promise<void> {
    if (this.#options.beginsWithRecord !== true) this.#sayBeginning();
    const { disk } = this.#opened;
    if (disk === undefined) return;
    const { streams, unendedStreams, records } = disk.recovered;
    this.#accounts.recovered(records);
    if (this.#reports === undefined) return;
    await disk.beginStream(this.#options.streamId);
    this.#isMarked = true;
    for (const streamId of unendedStreams) {
      this.#sayBeginning();
      this.#reports.unended(streamId, streams.get(streamId)?.lastSequence);
    }
    this.#batch.flush();
    void this.#forgetOnceSaid(disk, unendedStreams, this.#sequence);
  }

  /** Said, in the spool or to the collector, an earlier stream needs no more saying; else the next run says it. */
  async #forgetOnceSaid(disk: DiskQueue, streamIds: readonly string[], lastSequence: number): Promise<void> {
    await Promise.all(this.#offers);
    if (this.#accounts.firstDropped > lastSequence)
      await Promise.all(streamIds.map((id) => disk.endStream(id)));
  }

  #sayBeginning(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#reports?.begin();
  }

  /** The place in the stream of the next record, which `probe` has made. */
  next(probe: number): number {
    if (!this.#hasBegun) this.#sayBeginning();
    this.#accounts.tally.add(probe);
    return ++this.#sequence;
  }

  makeRoom(byteCount: number): void {
    if (!this.#batch.fits(this.builder.byteLength, byteCount)) this.#batch.flush();
  }

  grown(): void {
    this.#batch.grown(this.builder.byteLength);
  }

  async ready(): Promise<void> {
    if (performance.now() >= this.#lookAtMs) this.#look();
    while (this.#offers.size > 0 && !this.#isAborted) await this.#wake.wait();
  }

  abort(): void {
    this.#isAborted = true;
    this.#wake.now();
    // A spool stays open for what `end` has to put there.
    if (this.#opened.disk === undefined || this.#isDraining) void this.#delivery.abort();
  }

  /**
   * Delivers what is there; says how the stream ends; delivers that. What is not delivered in time stays in the
   * spool, or is lost as `undelivered`. `counts` are asked for when nothing more can be lost on the way here.
   */
  async end(timeoutMs: number, counts: () => readonly StreamCounts[] = () => []): Promise<void> {
    clearInterval(this.#timer);
    const deadlineMs = performance.now() + timeoutMs;
    const leftMs = () => (this.#isAborted ? 0 : Math.max(0, deadlineMs - performance.now()));
    const { disk } = this.#opened;
    if (disk === undefined) this.#graceMs = 0;
    this.#batch.flush();
    // First what is there, so that what the collector says of it can still be reported.
    await this.#admitted(leftMs);
    await this.#emptied(leftMs);
    this.#findLosses();
    if (this.#hasBegun) this.#reports?.end(counts());
    this.#batch.flush();
    await this.#admitted(leftMs);
    this.#isDraining = true;
    await this.#delivery.drain(leftMs());
    await disk?.settle();
    // The offers that waited are refused by now, and booked.
    await Promise.all(this.#offers);
    if (disk !== undefined && this.#isMarked) await this.#endStream(disk, counts);
    await disk?.end();
    this.#accounts.bookRest(disk !== undefined);
  }

  counters(): DeliveryCounters {
    return this.#delivery.counters();
  }

  inFlight(): InFlight {
    return this.#delivery.inFlight();
  }

  get streamId(): string {
    return this.#options.streamId;
  }

  /** Losses that no delivered record has reported. */
  get lossesPending(): number {
    return this.#reports?.pending ?? 0;
  }

  /** Records of `probe` that are numbered and not settled. */
  pendingRecords(probe: string): number {
    return this.#accounts.tally.pending(probe);
  }

  get earlier(): EarlierRecords {
    return this.#accounts.earlier;
  }

  /** Records that were never sent, by reason; those of earlier runs, too. */
  get recordsDropped(): ReadonlyMap<ExportLossReason, number> {
    return this.#accounts.recordsDropped;
  }

  /** Records that wait for an acknowledgement. */
  get queuedRecords(): number {
    return this.#opened.queue.stats().records;
  }

  get opened(): OpenedQueue {
    return this.#opened;
  }

  /** Highest number given so far. */
  get lastSequence(): number {
    return this.#sequence;
  }

  /** The queue has lost a request. */
  dropped(request: DroppedRequest, reason: ExportLossReason): void {
    this.#accounts.dropped(request, reason);
  }

  #control(write: (builder: RequestBuilder, context: ControlContext) => void): void {
    const { streamId, resource } = this.#options;
    const sequence = this.next(this.#accounts.tally.control);
    const observedTimeUnixNano = nowUnixNano();
    write(this.builder, { resource, streamId, sequence, observedTimeUnixNano });
    if (!this.#isAtLastWords) this.grown();
  }

  #look(): void {
    this.#lookAtMs = performance.now() + LOOK_INTERVAL_MS;
    this.#findLosses();
    this.#reports?.report(this.#lookAtMs);
  }

  #findLosses(): void {
    const losses = this.#options.findLosses?.();
    if (losses !== undefined) this.#reports?.lost(losses);
  }

  /**
   * Lets the spool know that the stream has ended. What could not be said in time, for want of room, is said in the
   * room that is kept for it, with the losses that came of that; the next run delivers it.
   */
  async #endStream(disk: DiskQueue, counts: () => readonly StreamCounts[]): Promise<void> {
    const { streamId } = this.#options;
    const isSaid = this.#accounts.lastLost < this.#sequence && this.#reports?.unsaid === 0;
    if (isSaid || !this.#hasBegun) return disk.endStream(streamId);
    this.#isAtLastWords = true;
    this.#reports?.end(counts());
    await disk.keepLastWords(streamId, this.#sealed());
  }

  /** Waits until the queue has taken everything, or the time is over and then for the grace nothing was taken. */
  async #admitted(leftMs: () => number): Promise<void> {
    while (this.#offers.size > 0 && leftMs() > 0) await this.#wake.wait(leftMs());
    const startedMs = performance.now();
    let quietUntilMs = startedMs + this.#graceMs;
    for (let left = this.#offers.size; left > 0; left = this.#offers.size) {
      const nowMs = performance.now();
      // What had no room for so long will not have it a moment later.
      if (nowMs >= quietUntilMs) this.#graceMs = 0;
      if (nowMs >= Math.min(quietUntilMs, startedMs + SPOOL_END_MAX_MS)) return;
      await this.#wake.wait(quietUntilMs - nowMs);
      if (this.#offers.size < left) quietUntilMs = performance.now() + this.#graceMs;
    }
  }

  /** Waits until everything is acknowledged or the time is over. */
  async #emptied(leftMs: () => number): Promise<void> {
    while (this.#opened.queue.stats().requests > 0 && leftMs() > 0) {
      await new Promise((resolve) => setTimeout(resolve, EMPTY_INTERVAL_MS));
    }
  }

  /** The request that was being built. */
  #sealed(): SealedRequest {
    const { streamId } = this.#options;
    const request: SealedRequest = {
      ...this.builder.seal(),
      sealedAtUnixMs: steadyUnixMs(),
      streamId,
      firstSequence: this.#firstSequence,
      lastSequence: this.#sequence,
      recordsByProbe: this.#accounts.tally.seal(),
    };
    this.#firstSequence = this.#sequence + 1;
    this.#reports?.sealed(request);
    return request;
  }

  #seal(): void {
    const request = this.#sealed();
    const offer: Promise<void> = this.#opened.queue
      .offer(request)
      .catch(() => this.dropped(request, "undelivered"))
      .then(() => {
        this.#offers.delete(offer);
        this.#wake.now();
      });
    this.#offers.add(offer);
  }

  #settle(settlement: Settlement): void {
    // It is in the queue again, whole.
    if (settlement.keptRecords > 0) return;
    this.#accounts.settled(settlement);
    if (this.#opened.disk === undefined) this.builder.recycle(settlement.request.body);
  }
}
