/**
 * Delivers what is in a queue: N requests in flight, each tried until the collector has it, says that it never
 * will, or it is too old. Every record that was taken from the queue ends in exactly one counter.
 *
 *   queue ──take──► lease ──► part ──send──► accepted ──────► count accepted and rejected
 *                     ▲        ▲       │
 *                     │        │       ├───► retryable ─────► wait (backoff or what the collector asked for), again;
 *                     │        │       │                      after a timeout in smaller parts
 *                     │        └───────┼──── too-large ─────► two halves; one record by itself: dead letter, lost
 *                     │                └───► permanent, too old ─► dead letter (not when too old), lost by reason
 *                     └─ release ◄── stopped: still in the queue         ... no part left ─► acknowledge
 */
import { setTimeout as sleep } from "node:timers/promises";
import { said } from "../evidence/remote-text.ts";
import type { DeadLetter } from "./dead-letter.ts";
import { DeliveryBooks, type DeliveryCounters } from "./delivery-books.ts";
import type { LossReason, Refusal, SealedRequest, Sender, SendOutcome } from "./outcome.ts";
import { PaceLimit } from "./pace-limit.ts";
import type { DeliveryQueue, Lease } from "./queue.ts";
import { createReport, REPORT_INTERVAL_MS, type Report } from "./report.ts";
import { type RequestPart, RequestParts } from "./request-parts.ts";
import { RETRY_DEFAULTS, type RetryOptions, retryDelayMs } from "./retry.ts";
import { OpenSettlement, type Settlement } from "./settlement.ts";
import { LARGER_AGAIN_MS, SizeLimit } from "./size-limit.ts";
import { steadyUnixMs } from "./steady-clock.ts";

/** Default of `requestsInFlight`. */
export const REQUESTS_IN_FLIGHT = 4;

/** One try of one request or of a part of one, for self-metrics and tests. */
export interface Attempt {
  /** What was sent: the leased request, or a part that was cut out of it. */
  readonly request: SealedRequest;
  readonly outcome: SendOutcome;
  /** From 1. */
  readonly attempt: number;
  readonly durationMs: number;
}

export interface DeliveryOptions {
  readonly queue: DeliveryQueue;
  readonly sender: Sender;
  readonly requestsInFlight?: number;
  readonly retry?: Partial<RetryOptions>;
  /** Keeps what is refused for good; without one that is only counted. Closed when the delivery ends. */
  readonly deadLetter?: DeadLetter;
  /** A size limit learnt from refusals is tried at its double after this long; default 10 minutes. */
  readonly largerAgainMs?: number;
  readonly onAttempt?: (attempt: Attempt) => void;
  /** Once for each leased request of which anything became, just before it leaves the queue or goes back. */
  readonly onSettled?: (settlement: Settlement) => void;
  /** Gets one line about losses, rejections and outages; at most one per reason and interval. */
  readonly report?: (line: string) => void;
  readonly reportIntervalMs?: number;
  /** Uniform in [0, 1); for the jitter. */
  readonly random?: () => number;
}

export interface DrainResult {
  /** Whether nothing is left in the queue. */
  readonly delivered: boolean;
  /** Records still in the queue: not delivered, not counted as lost. */
  readonly recordsLeft: number;
}

/** What has been taken from the queue and is neither settled nor put back. */
export interface InFlight {
  readonly records: number;
  /** When the oldest of it was sealed; as the queue is in order, nothing in it is older. */
  readonly oldestSealedAtUnixMs: number | undefined;
}

/** A running delivery. It owns its queue, its sender and its dead letter: all are closed when it ends. */
export interface Delivery {
  counters(): DeliveryCounters;
  inFlight(): InFlight;
  /**
   * Closes the queue to offers, delivers what is in it and ends; after `timeoutMs` it stops as `abort` does.
   * Requests that wait for their next try are tried at once, unless the collector asked for the wait.
   */
  drain(timeoutMs: number): Promise<DrainResult>;
  /** Stops now: attempts in flight are cancelled, their requests stay in the queue. */
  abort(): Promise<DrainResult>;
}

/** Starts delivering at once. */
export function startDelivery(options: DeliveryOptions): Delivery {
  return new RunningDelivery(options);
}

/** The last word on a part. */
type FinalOutcome = Exclude<SendOutcome, { kind: "retryable" }> | ({ readonly kind: "given-up" } & Refusal);

class RunningDelivery implements Delivery {
  readonly #options: DeliveryOptions;
  readonly #retry: RetryOptions;
  readonly #report: Report;
  readonly #random: () => number;
  readonly #books: DeliveryBooks;
  readonly #sizeLimit: SizeLimit;
  readonly #paceLimit = new PaceLimit();
  readonly #stop = new AbortController();
  readonly #draining = new AbortController();
  readonly #leased = new Set<SealedRequest>();
  readonly #workers: Promise<void>;
  /** No request is sent before this time (`performance.now()`): a collector that throttles means all of us. */
  #throttledUntilMs = 0;
  #ended: Promise<DrainResult> | undefined;

  constructor(options: DeliveryOptions) {
    const now = () => performance.now();
    this.#options = options;
    this.#retry = { ...RETRY_DEFAULTS, ...options.retry };
    this.#random = options.random ?? Math.random;
    const write = options.report ?? (() => {});
    this.#report = createReport(write, options.reportIntervalMs ?? REPORT_INTERVAL_MS, now);
    this.#books = new DeliveryBooks(this.#report);
    this.#sizeLimit = new SizeLimit(options.largerAgainMs ?? LARGER_AGAIN_MS, now);
    const workers = Array.from({ length: options.requestsInFlight ?? REQUESTS_IN_FLIGHT }, () =>
      this.#work(),
    );
    this.#workers = Promise.all(workers).then(() => {});
  }

  counters(): DeliveryCounters {
    return this.#books.counters();
  }

  inFlight(): InFlight {
    let records = 0;
    let oldestSealedAtUnixMs: number | undefined;
    for (const { recordCount, sealedAtUnixMs } of this.#leased) {
      records += recordCount;
      oldestSealedAtUnixMs = Math.min(oldestSealedAtUnixMs ?? sealedAtUnixMs, sealedAtUnixMs);
    }
    return { records, oldestSealedAtUnixMs };
  }

  async drain(timeoutMs: number): Promise<DrainResult> {
    this.#options.queue.close();
    this.#draining.abort();
    const timeout = setTimeout(() => this.#stop.abort(), timeoutMs);
    await this.#workers;
    clearTimeout(timeout);
    return this.#end();
  }

  async abort(): Promise<DrainResult> {
    this.#options.queue.close();
    this.#stop.abort();
    await this.#workers;
    return this.#end();
  }

  /** Also when a drain is aborted: both wait for the same end. */
  #end(): Promise<DrainResult> {
    this.#ended ??= (async () => {
      await this.#options.sender.close();
      await this.#options.deadLetter?.close();
      const { requests, records } = this.#options.queue.stats();
      return { delivered: requests === 0, recordsLeft: records };
    })();
    return this.#ended;
  }

  async #work(): Promise<void> {
    const { queue } = this.#options;
    for (;;) {
      const lease = await queue.take(this.#stop.signal);
      if (lease === undefined) return;
      this.#leased.add(lease.request);
      await this.#deliver(lease);
      this.#leased.delete(lease.request);
    }
  }

  async #deliver(lease: Lease): Promise<void> {
    const parts = new RequestParts(lease.request);
    const settlement = new OpenSettlement(lease.request);
    const firstTriedMs = performance.now();
    let failures = 0;
    for (let part = this.#next(parts); part !== undefined; part = this.#next(parts)) {
      await this.#waitWhileThrottled();
      if (this.#stop.signal.aborted) return this.#release(lease, settlement);
      const outcome = await this.#attempt(part.request, failures + 1);
      if (outcome.kind !== "retryable") {
        failures = 0;
        await this.#conclude(part, outcome, parts, settlement);
      } else if (this.#stop.signal.aborted) {
        return this.#release(lease, settlement);
      } else if (this.#isTooOld(part.request, firstTriedMs)) {
        await this.#conclude(part, { ...outcome, kind: "given-up" }, parts, settlement);
      } else {
        failures += 1;
        parts.again(part);
        await this.#waitForRetry(part.request, outcome, failures);
      }
    }
    this.#settle(settlement);
    lease.acknowledge();
  }

  #next(parts: RequestParts): RequestPart | undefined {
    return parts.next(Math.min(this.#sizeLimit.bytesMax(), this.#paceLimit.bytesMax));
  }

  #settle(settlement: OpenSettlement): void {
    const closed = settlement.close();
    if (closed !== undefined) this.#options.onSettled?.(closed);
  }

  #release(lease: Lease, settlement: OpenSettlement): void {
    this.#settle(settlement);
    lease.release();
  }

  async #conclude(
    part: RequestPart,
    outcome: FinalOutcome,
    parts: RequestParts,
    settlement: OpenSettlement,
  ): Promise<void> {
    const { request } = part;
    if (outcome.kind === "accepted") {
      const rejected = settlement.accepted(part, outcome);
      return this.#books.accepted(request, rejected, outcome.message);
    }
    if (outcome.kind === "too-large") {
      this.#sizeLimit.refused(request.body.byteLength);
      if (parts.split(part)) return this.#books.split(request, outcome);
    }
    const reason = LOSS_REASONS[outcome.kind];
    const kept = outcome.kind !== "given-up" && (await this.#keepDead(request, reason, outcome));
    settlement.lost(part, reason, outcome);
    this.#books.lost(request, reason, outcome, kept);
  }

  async #keepDead(request: SealedRequest, reason: LossReason, refusal: Refusal): Promise<boolean> {
    const line = `${reason}: ${said(refusal.reason, refusal.message)}`;
    return (await this.#options.deadLetter?.append(request, line)) ?? false;
  }

  /** A request that claims to come from the future, after the clock was set back, ages from its first try. */
  #isTooOld({ sealedAtUnixMs }: SealedRequest, firstTriedMs: number): boolean {
    const { maxAgeMs } = this.#retry;
    if (maxAgeMs === undefined) return false;
    return Math.max(steadyUnixMs() - sealedAtUnixMs, performance.now() - firstTriedMs) >= maxAgeMs;
  }

  async #attempt(request: SealedRequest, attempt: number): Promise<SendOutcome> {
    if (attempt > 1) this.#books.retried();
    const startedMs = performance.now();
    const outcome = await this.#options.sender.send(request, this.#stop.signal);
    const durationMs = performance.now() - startedMs;
    if (outcome.kind !== "accepted") this.#books.attemptFailed(outcome.reason);
    if (outcome.kind === "retryable" && outcome.timedOut === true) {
      this.#paceLimit.timedOut(request.body.byteLength, durationMs);
    } else if (outcome.kind === "accepted") this.#paceLimit.accepted(durationMs);
    this.#options.onAttempt?.({ request, outcome, attempt, durationMs });
    return outcome;
  }

  async #waitForRetry(
    request: SealedRequest,
    outcome: SendOutcome & { kind: "retryable" },
    attempt: number,
  ): Promise<void> {
    // A drain is short: it starts the backoff anew instead of sitting out what an outage has grown it to.
    const failures = this.#draining.signal.aborted ? 1 : attempt;
    const delayMs = retryDelayMs(this.#retry, failures, outcome.delayMs, this.#random);
    this.#report(
      outcome.reason,
      `collector: ${said(outcome.reason, outcome.message)}; ${request.recordCount} records stay queued, ` +
        `next try in ${(delayMs / 1000).toFixed(1)} s`,
    );
    const untilMs = performance.now() + delayMs;
    if (outcome.delayMs !== undefined && outcome.delayMs > 0) {
      this.#throttledUntilMs = Math.max(this.#throttledUntilMs, untilMs);
      return;
    }
    const wake = this.#draining.signal.aborted ? this.#stop.signal : this.#draining.signal;
    await this.#waitUntil(untilMs, AbortSignal.any([wake, this.#stop.signal]));
  }

  /** The throttled time can grow while it is waited for: another request in flight can be told to wait longer. */
  async #waitWhileThrottled(): Promise<void> {
    while (performance.now() < this.#throttledUntilMs && !this.#stop.signal.aborted) {
      await this.#waitUntil(this.#throttledUntilMs, this.#stop.signal);
    }
  }

  async #waitUntil(timeMs: number, signal: AbortSignal): Promise<void> {
    const delayMs = timeMs - performance.now();
    if (delayMs <= 0) return;
    // Timers count whole milliseconds; a fraction less would come back too early.
    await sleep(Math.ceil(delayMs), undefined, { signal }).catch(() => {});
  }
}

const LOSS_REASONS = {
  permanent: "refused",
  "too-large": "too_large",
  "given-up": "given_up",
} as const satisfies Record<string, LossReason>;
