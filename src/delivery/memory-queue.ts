/**
 * The bounded queue in memory. Nothing in it survives the process.
 */
import type { SealedRequest } from "./outcome.ts";
import {
  checkLimit,
  createLease,
  type DeliveryQueue,
  type Lease,
  type QueueOptions,
  type QueueStats,
  queueClosed,
  WHEN_FULL,
  type WhenFull,
} from "./queue.ts";
import { QueueEntries, type QueueEntry } from "./queue-entries.ts";
import { QueueOffers } from "./queue-offers.ts";

/** Default of `bytesMax`: 32 MiB, about 9 full requests. */
export const MEMORY_QUEUE_BYTES_MAX = 32 * 1024 * 1024;

/** Counted per request on top of its body, so that a flood of tiny requests is bounded too. */
const REQUEST_OVERHEAD_BYTES = 256;

interface Entry extends QueueEntry {
  readonly request: SealedRequest;
}

/** Makes an empty queue. `bytesMax` bounds the bodies (plus 256 bytes each) of all unacknowledged requests. */
export function createMemoryQueue(options: QueueOptions = {}): DeliveryQueue {
  return new MemoryQueue(options);
}

class MemoryQueue implements DeliveryQueue {
  readonly #bytesMax: number;
  readonly #whenFull: WhenFull;
  readonly #onDropped: NonNullable<QueueOptions["onDropped"]>;
  readonly #entries = new QueueEntries<Entry>();
  readonly #offers = new QueueOffers(() => this.#admitWaiting());
  #sequence = 0;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#bytesMax = checkLimit("byte limit", options.bytesMax ?? MEMORY_QUEUE_BYTES_MAX);
    this.#whenFull = options.whenFull ?? WHEN_FULL;
    this.#onDropped = options.onDropped ?? (() => {});
  }

  offer(request: SealedRequest, signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(queueClosed());
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#offers.first === undefined && this.#makeRoom(sizeOf(request))) this.#admit(request);
    else if (this.#whenFull === "block") return this.#offers.join(request, signal);
    else this.#onDropped(request, "queue_full");
    return Promise.resolve();
  }

  async take(signal: AbortSignal): Promise<Lease | undefined> {
    const entry = await this.#entries.take(signal);
    if (entry === undefined) return undefined;
    const acknowledge = () => {
      this.#entries.forget(entry);
      this.#admitWaiting();
    };
    return createLease(entry.request, acknowledge, () => this.#entries.putBack(entry));
  }

  stats(): QueueStats {
    return this.#entries.stats();
  }

  close(): void {
    this.#closed = true;
    this.#offers.refuseWaiting(queueClosed);
    this.#entries.close();
  }

  #makeRoom(bytes: number): boolean {
    if (this.#whenFull === "drop-oldest" && this.#fits(bytes, this.#entries.leased().bytes)) {
      while (!this.#hasRoom(bytes)) {
        const dropped = this.#entries.dropOldest();
        if (dropped === undefined) break;
        this.#onDropped(dropped.request, "queue_full");
      }
    }
    return this.#hasRoom(bytes);
  }

  #hasRoom(bytes: number): boolean {
    return this.#fits(bytes, this.#entries.stats().bytes);
  }

  /** Whether `bytes` may stand beside what is there: an empty queue takes anything. */
  #fits(bytes: number, besideBytes: number): boolean {
    return besideBytes === 0 || besideBytes + bytes <= this.#bytesMax;
  }

  #admit(request: SealedRequest): void {
    const sequence = this.#sequence++;
    this.#entries.add({ request, bytes: sizeOf(request), records: request.recordCount, sequence });
  }

  #admitWaiting(): void {
    for (
      let next = this.#offers.first;
      next !== undefined && this.#hasRoom(sizeOf(next.request));
      next = this.#offers.first
    ) {
      this.#admit(next.request);
      next.accept();
    }
  }
}

function sizeOf(request: SealedRequest): number {
  return request.body.byteLength + REQUEST_OVERHEAD_BYTES;
}
