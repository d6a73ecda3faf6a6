/**
 * The queue between sealing and sending. Taking a request is not owning it: a lease is either acknowledged,
 * and only then the request is gone, or released, and the request is delivered again. What is leased still
 * counts as queued, so that a limit bounds everything that would be lost with the process.
 */
import type { SealedRequest } from "./outcome.ts";

/** A request taken for sending. Exactly one of the two methods has an effect, and only the first time. */
export interface Lease {
  readonly request: SealedRequest;
  /** The collector has it (or it is counted as lost): forget it. */
  acknowledge(): void;
  /** Not delivered: back to its place at the head, before everything that was offered later. */
  release(): void;
}

/** What is not acknowledged yet, leased requests included. */
export interface QueueStats {
  readonly requests: number;
  readonly bytes: number;
  readonly records: number;
}

/** First in, first out; the contract is held for every implementation by `test/delivery/queue-contract.ts`. */
export interface DeliveryQueue {
  /**
   * Resolves when the request is in the queue. While the queue is full it waits: that is the backpressure
   * towards the source. A request larger than the whole limit is accepted once the queue is empty.
   * Rejects with RuntimeEvidenceError `limit` when the queue is closed, with the signal's reason when aborted.
   */
  offer(request: SealedRequest, signal?: AbortSignal): Promise<void>;
  /**
   * The oldest request that is not leased; waits for one. `undefined` when the signal aborts, and when the
   * queue is closed and every request has been acknowledged.
   */
  take(signal: AbortSignal): Promise<Lease | undefined>;
  stats(): QueueStats;
  /** No more offers, waiting ones included; what is in the queue can still be taken. */
  close(): void;
}
