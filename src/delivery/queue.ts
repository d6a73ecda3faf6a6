/**
 * The queue between sealing and sending. Taking a request is not owning it: a lease is either acknowledged,
 * and only then the request is gone, or released, and the request is delivered again. What is leased still
 * counts as queued, so that a limit bounds everything that would be lost with the process.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
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

/** What happens to an offer that finds the queue full. */
export type WhenFull =
  /** It waits: pressure goes back to the pipe and the kernel ring, where loss is counted. */
  | "block"
  /** The oldest requests that are not leased are dropped for it; where that can't make room, it is dropped itself. */
  | "drop-oldest"
  /** It is dropped itself. */
  | "drop-newest";

/** Default of `whenFull`. */
export const WHEN_FULL: WhenFull = "block";

/** Why a queue dropped a request; loss is counted under the same names. */
export type DropReason =
  /** At the limit of the queue, or the disk could not take it. */
  | "queue_full"
  /** Its file in the spool is damaged or gone. */
  | "damaged";

/** What is known of a request without its body. */
export type RequestFacts = Omit<SealedRequest, "body">;

/** A request that a queue has lost; its body where it could still be read. */
export type DroppedRequest = RequestFacts & Partial<Pick<SealedRequest, "body">>;

/** What every queue is told. */
export interface QueueOptions {
  /** Limit of all unacknowledged requests. */
  readonly bytesMax?: number | undefined;
  readonly whenFull?: WhenFull | undefined;
  /** Called once for each request that the queue lost; its offer has resolved or resolves. Must not throw. */
  readonly onDropped?: ((request: DroppedRequest, reason: DropReason) => void) | undefined;
}

/** First in, first out; the contract is held for every implementation by `test/delivery/queue-contract.ts`. */
export interface DeliveryQueue {
  /**
   * Resolves when the request is in the queue, or was dropped because the queue is told to drop. While the queue
   * is full and told to block it waits: that is the backpressure towards the source. A request larger than the
   * whole limit is accepted once the queue is empty.
   * Rejects with RuntimeEvidenceError `limit` when the queue is closed, with the signal's reason when aborted
   * while it waits.
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

/** Why a closed queue refuses an offer. */
export function queueClosed(): RuntimeEvidenceError {
  return new RuntimeEvidenceError("limit", "the delivery queue is closed and takes no more requests");
}

/** @throws RuntimeEvidenceError `usage` where a limit is no positive number */
export function checkLimit(name: string, value: number): number {
  if (value > 0) return value;
  throw new RuntimeEvidenceError("usage", `the queue's ${name} must be positive, not ${value}`);
}

/** A lease of which only the first call counts. */
export function createLease(request: SealedRequest, acknowledge: () => void, release: () => void): Lease {
  let settled = false;
  const once = (settle: () => void) => () => {
    if (settled) return;
    settled = true;
    settle();
  };
  return { request, acknowledge: once(acknowledge), release: once(release) };
}
