/**
 * Delivers what is in a queue: N requests in flight, each tried until the collector has it, says that it never
 * will, or the allowed time is over. Every record that was taken from the queue ends in exactly one counter.
 *
 *   queue ──take──► lease ──send──► accepted ──────► acknowledge, count accepted and rejected
 *                     ▲      │
 *                     │      ├────► retryable ─────► wait (backoff or what the collector asked for), send again
 *                     │      └────► permanent, too-large, given up ─► acknowledge, count lost by reason
 *                     └─ release ◄── aborted: still in the queue
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { SealedRequest, Sender, SendOutcome } from "./outcome.ts";
import type { DeliveryQueue, Lease } from "./queue.ts";
import { createReport, REPORT_INTERVAL_MS, type Report } from "./report.ts";
import { RETRY_DEFAULTS, type RetryOptions, retryDelayMs } from "./retry.ts";

/** Default of `requestsInFlight`. */
export const REQUESTS_IN_FLIGHT = 4;

/** One try of one request, for self-metrics and tests. */
export interface Attempt {
  readonly request: SealedRequest;
  readonly outcome: SendOutcome;
  /** From 1. */
  readonly attempt: number;
  readonly durationMs: number;
}

/** What became of a request in the end. */
export type Settlement =
  | { readonly kind: "accepted"; readonly rejectedRecords: number; readonly message: string }
  /** Given up; `reason` as in `DeliveryCounters.recordsLost`. */
  | { readonly kind: "lost"; readonly reason: string; readonly message: string | undefined };

/** Only ever grow. Accepted, rejected and lost records are disjoint. */
export interface DeliveryCounters {
  /** Acknowledged and stored. */
  readonly recordsAccepted: number;
  /** Acknowledged but not stored (OTLP partial success). */
  readonly recordsRejected: number;
  /** Given up, by reason; the reasons are those of the outcomes, `given up` for the elapsed time. */
  readonly recordsLost: ReadonlyMap<string, number>;
  readonly requestsAccepted: number;
  readonly requestsLost: number;
  /** Tries after the first. */
  readonly retries: number;
  /** Uncompressed size of the accepted requests. */
  readonly bytesAccepted: number;
}

export interface DeliveryOptions {
  readonly queue: DeliveryQueue;
  readonly sender: Sender;
  readonly requestsInFlight?: number;
  readonly retry?: Partial<RetryOptions>;
  readonly onAttempt?: (attempt: Attempt) => void;
  /** Told once per request, before the queue forgets it. Must not throw. */
  readonly onSettled?: (request: SealedRequest, settlement: Settlement) => void;
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

/** A running delivery. It owns its queue and its sender: both are closed when it ends. */
export interface Delivery {
  counters(): DeliveryCounters;
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

class RunningDelivery implements Delivery {
  readonly #options: DeliveryOptions;
  readonly #retry: RetryOptions;
  readonly #report: Report;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #draining = new AbortController();
  readonly #workers: Promise<void>;
  readonly #lost = new Map<string, number>();
  readonly #counts = {
    recordsAccepted: 0,
    recordsRejected: 0,
    requestsAccepted: 0,
    requestsLost: 0,
    retries: 0,
    bytesAccepted: 0,
  };
  /** No request is sent before this time (`performance.now()`): a collector that throttles means all of us. */
  #throttledUntilMs = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#retry = { ...RETRY_DEFAULTS, ...options.retry };
    this.#random = options.random ?? Math.random;
    this.#report = createReport(
      options.report ?? (() => {}),
      options.reportIntervalMs ?? REPORT_INTERVAL_MS,
      () => performance.now(),
    );
    const workers = Array.from({ length: options.requestsInFlight ?? REQUESTS_IN_FLIGHT }, () =>
      this.#work(),
    );
    this.#workers = Promise.all(workers).then(() => {});
  }

  counters(): DeliveryCounters {
    return { ...this.#counts, recordsLost: new Map(this.#lost) };
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

  async #end(): Promise<DrainResult> {
    await this.#options.sender.close();
    const { requests, records } = this.#options.queue.stats();
    return { delivered: requests === 0, recordsLeft: records };
  }

  async #work(): Promise<void> {
    const { queue } = this.#options;
    for (;;) {
      const lease = await queue.take(this.#stop.signal);
      if (lease === undefined) return;
      await this.#deliver(lease);
    }
  }

  async #deliver(lease: Lease): Promise<void> {
    const { request } = lease;
    const startedMs = performance.now();
    for (let attempt = 1; ; attempt++) {
      await this.#waitWhileThrottled();
      if (this.#stop.signal.aborted) return lease.release();
      const outcome = await this.#attempt(request, attempt);
      if (outcome.kind === "accepted") {
        this.#countAccepted(request, outcome);
        return lease.acknowledge();
      }
      if (outcome.kind !== "retryable") {
        this.#countLost(request, outcome.reason, outcome.message);
        return lease.acknowledge();
      }
      if (this.#stop.signal.aborted) return lease.release();
      if (performance.now() - startedMs >= (this.#retry.maxElapsedMs ?? Number.POSITIVE_INFINITY)) {
        this.#countLost(request, "given up", `${outcome.reason}${suffix(outcome.message)}`);
        return lease.acknowledge();
      }
      await this.#waitForRetry(request, outcome, attempt);
    }
  }

  async #attempt(request: SealedRequest, attempt: number): Promise<SendOutcome> {
    if (attempt > 1) this.#counts.retries += 1;
    const startedMs = performance.now();
    const outcome = await this.#options.sender.send(request, this.#stop.signal);
    this.#options.onAttempt?.({ request, outcome, attempt, durationMs: performance.now() - startedMs });
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
      `collector: ${outcome.reason}${suffix(outcome.message)}; ${request.recordCount} records stay queued, ` +
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

  #countAccepted(request: SealedRequest, outcome: SendOutcome & { kind: "accepted" }): void {
    // A collector cannot reject more than it was sent, whatever it says.
    const rejected = Math.min(outcome.rejectedRecords, request.recordCount);
    this.#counts.requestsAccepted += 1;
    this.#counts.bytesAccepted += request.body.byteLength;
    this.#counts.recordsRejected += rejected;
    this.#counts.recordsAccepted += request.recordCount - rejected;
    if (rejected > 0) {
      this.#report(
        "rejected",
        `collector rejected ${rejected} of ${request.recordCount} records${suffix(outcome.message)}`,
      );
    } else if (outcome.message !== "") this.#report("warning", `collector warns: ${outcome.message}`);
    const { message } = outcome;
    this.#options.onSettled?.(request, { kind: "accepted", rejectedRecords: rejected, message });
  }

  #countLost(request: SealedRequest, reason: string, message: string | undefined): void {
    this.#counts.requestsLost += 1;
    this.#lost.set(reason, (this.#lost.get(reason) ?? 0) + request.recordCount);
    this.#report(`lost ${reason}`, `lost ${request.recordCount} records: ${reason}${suffix(message)}`);
    this.#options.onSettled?.(request, { kind: "lost", reason, message });
  }
}

function suffix(message: string | undefined): string {
  return message === undefined || message === "" ? "" : `: ${message}`;
}
