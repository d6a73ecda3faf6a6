/**
 * The bounded queue in memory. Nothing in it survives the process; at its limit `offer` waits (block), it never
 * drops.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { SealedRequest } from "./outcome.ts";
import type { DeliveryQueue, Lease, QueueStats } from "./queue.ts";

/** Default of `bytesMax`: 32 MiB, about 9 full requests. */
export const MEMORY_QUEUE_BYTES_MAX = 32 * 1024 * 1024;

/** Counted per request on top of its body, so that a flood of tiny requests is bounded too. */
const REQUEST_OVERHEAD_BYTES = 256;

interface Entry {
  readonly request: SealedRequest;
  readonly bytes: number;
  /** Place in the order of offers. */
  readonly sequence: number;
}

interface WaitingOffer {
  readonly request: SealedRequest;
  readonly bytes: number;
  admit(): void;
  refuse(reason: unknown): void;
}

type TakeWaiter = (lease: Lease | undefined) => void;

/** Makes an empty queue. `bytesMax` bounds the bodies (plus 256 bytes each) of all unacknowledged requests. */
export function createMemoryQueue(options: { bytesMax?: number } = {}): DeliveryQueue {
  return new MemoryQueue(options.bytesMax ?? MEMORY_QUEUE_BYTES_MAX);
}

class MemoryQueue implements DeliveryQueue {
  readonly #bytesMax: number;
  /** Sorted by sequence; `#head` is the first live index, so that taking does not move the rest. */
  #ready: Entry[] = [];
  #head = 0;
  #sequence = 0;
  readonly #takers: TakeWaiter[] = [];
  readonly #offers: WaitingOffer[] = [];
  #requests = 0;
  #bytes = 0;
  #records = 0;
  #closed = false;

  constructor(bytesMax: number) {
    if (!(bytesMax > 0)) {
      throw new RuntimeEvidenceError("usage", `the queue's byte limit must be positive, not ${bytesMax}`);
    }
    this.#bytesMax = bytesMax;
  }

  offer(request: SealedRequest, signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    const bytes = request.body.byteLength + REQUEST_OVERHEAD_BYTES;
    if (this.#offers.length === 0 && this.#hasRoom(bytes)) {
      this.#admit(request, bytes);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#offers.splice(this.#offers.indexOf(waiting), 1);
        reject(signal?.reason);
        this.#admitWaiting();
      };
      const waiting: WaitingOffer = {
        request,
        bytes,
        admit: () => {
          signal?.removeEventListener("abort", onAbort);
          this.#admit(request, bytes);
          resolve();
        },
        refuse: (reason) => {
          signal?.removeEventListener("abort", onAbort);
          reject(reason);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#offers.push(waiting);
    });
  }

  take(signal: AbortSignal): Promise<Lease | undefined> {
    if (signal.aborted || this.#finished()) return Promise.resolve(undefined);
    const entry = this.#shift();
    if (entry !== undefined) return Promise.resolve(this.#lease(entry));
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#takers.splice(this.#takers.indexOf(waiter), 1);
        resolve(undefined);
      };
      const waiter: TakeWaiter = (lease) => {
        signal.removeEventListener("abort", onAbort);
        resolve(lease);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#takers.push(waiter);
    });
  }

  stats(): QueueStats {
    return { requests: this.#requests, bytes: this.#bytes, records: this.#records };
  }

  close(): void {
    this.#closed = true;
    for (const offer of this.#offers.splice(0)) offer.refuse(closedError());
    this.#endTakersWhenFinished();
  }

  #hasRoom(bytes: number): boolean {
    return this.#requests === 0 || this.#bytes + bytes <= this.#bytesMax;
  }

  #finished(): boolean {
    return this.#closed && this.#requests === 0;
  }

  #admit(request: SealedRequest, bytes: number): void {
    this.#requests += 1;
    this.#bytes += bytes;
    this.#records += request.recordCount;
    this.#ready.push({ request, bytes, sequence: this.#sequence++ });
    this.#serveTakers();
  }

  #admitWaiting(): void {
    for (
      let next = this.#offers[0];
      next !== undefined && this.#hasRoom(next.bytes);
      next = this.#offers[0]
    ) {
      this.#offers.shift();
      next.admit();
    }
  }

  #shift(): Entry | undefined {
    const entry = this.#ready[this.#head];
    if (entry === undefined) return undefined;
    this.#head += 1;
    if (this.#head >= 1024 || this.#head === this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  #serveTakers(): void {
    while (this.#takers.length > 0) {
      const entry = this.#shift();
      if (entry === undefined) return;
      this.#takers.shift()?.(this.#lease(entry));
    }
  }

  #endTakersWhenFinished(): void {
    if (!this.#finished()) return;
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #lease(entry: Entry): Lease {
    let settled = false;
    const once = (settle: () => void) => () => {
      if (settled) return;
      settled = true;
      settle();
    };
    return {
      request: entry.request,
      acknowledge: once(() => this.#forget(entry)),
      release: once(() => this.#putBack(entry)),
    };
  }

  #forget(entry: Entry): void {
    this.#requests -= 1;
    this.#bytes -= entry.bytes;
    this.#records -= entry.request.recordCount;
    this.#admitWaiting();
    this.#endTakersWhenFinished();
  }

  #putBack(entry: Entry): void {
    const later = this.#ready.findIndex((other, index) => {
      return index >= this.#head && other.sequence > entry.sequence;
    });
    this.#ready.splice(later < 0 ? this.#ready.length : later, 0, entry);
    this.#serveTakers();
  }
}

function closedError(): RuntimeEvidenceError {
  return new RuntimeEvidenceError("limit", "the delivery queue is closed and takes no more requests");
}
