/**
 * What is in a queue: entries in the order of offers, who waits to take one, and the counts. Knows nothing of
 * where bodies are; synchronous throughout.
 *
 *   add ──► ready ──take──► leased ──forget──► gone
 *             ▲               │
 *             └───putBack─────┘
 */
import type { QueueStats } from "./queue.ts";

export interface QueueEntry {
  /** Place in the order of offers. */
  readonly sequence: number;
  /** What it counts for towards the byte limit. */
  readonly bytes: number;
  readonly records: number;
}

type Taker<E> = (entry: E | undefined) => void;

/** Index of taken places at which the list is copied to a shorter one. */
const COMPACT_AT = 1024;

export class QueueEntries<E extends QueueEntry> {
  /** Sorted by sequence; `#head` is the first live index, so that taking does not move the rest. */
  #ready: E[] = [];
  #head = 0;
  #readyBytes = 0;
  readonly #takers: Taker<E>[] = [];
  #requests = 0;
  #bytes = 0;
  #records = 0;
  #closed = false;

  /** The newest entry: counted, and ready to be taken. */
  add(entry: E): void {
    this.count(entry);
    this.#ready.push(entry);
    this.#readyBytes += entry.bytes;
    this.#serveTakers();
  }

  /** Counts an entry that is leased already. */
  count(entry: E): void {
    this.#requests += 1;
    this.#bytes += entry.bytes;
    this.#records += entry.records;
  }

  /** The oldest entry that is ready; waits for one. `undefined` when aborted, or nothing can come any more. */
  take(signal: AbortSignal): Promise<E | undefined> {
    if (signal.aborted || this.#finished()) return Promise.resolve(undefined);
    const entry = this.#shift();
    if (entry !== undefined) return Promise.resolve(entry);
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        resolve(undefined);
      };
      const taker: Taker<E> = (taken) => {
        signal.removeEventListener("abort", onAbort);
        resolve(taken);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#takers.push(taker);
    });
  }

  /** Gives an entry that is not counted to one who waits, if anybody does. */
  hand(entry: E): boolean {
    const taker = this.#takers.shift();
    taker?.(entry);
    return taker !== undefined;
  }

  /** A leased entry goes back to its place. */
  putBack(entry: E): void {
    const later = this.#ready.findIndex((other, index) => {
      return index >= this.#head && other.sequence > entry.sequence;
    });
    this.#ready.splice(later < 0 ? this.#ready.length : later, 0, entry);
    this.#readyBytes += entry.bytes;
    this.#serveTakers();
  }

  /** A leased entry is gone. */
  forget(entry: E): void {
    this.#requests -= 1;
    this.#bytes -= entry.bytes;
    this.#records -= entry.records;
    this.#endTakersWhenFinished();
  }

  /** Removes the oldest entry that is not leased. */
  dropOldest(): E | undefined {
    const entry = this.#shift();
    if (entry !== undefined) this.forget(entry);
    return entry;
  }

  stats(): QueueStats {
    return { requests: this.#requests, bytes: this.#bytes, records: this.#records };
  }

  /** The part of `stats` that can't be dropped. */
  leased(): { readonly requests: number; readonly bytes: number } {
    const ready = this.#ready.length - this.#head;
    return { requests: this.#requests - ready, bytes: this.#bytes - this.#readyBytes };
  }

  /** Nothing is added any more: whoever waits gets `undefined` once nothing is left that could come back. */
  close(): void {
    this.#closed = true;
    this.#endTakersWhenFinished();
  }

  /** Nobody gets anything any more. */
  end(): void {
    this.#closed = true;
    this.#ready = [];
    this.#head = 0;
    this.#readyBytes = 0;
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #finished(): boolean {
    return this.#closed && this.#requests === 0;
  }

  #shift(): E | undefined {
    const entry = this.#ready[this.#head];
    if (entry === undefined) return undefined;
    this.#head += 1;
    this.#readyBytes -= entry.bytes;
    if (this.#head >= COMPACT_AT || this.#head === this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  #serveTakers(): void {
    while (this.#takers.length > 0) {
      const entry = this.#shift();
      if (entry === undefined) return;
      this.hand(entry);
    }
  }

  #endTakersWhenFinished(): void {
    if (!this.#finished()) return;
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }
}
