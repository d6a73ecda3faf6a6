/**
 * Log records to a collector: batch, queue, deliver.
 *
 *   record ──► request being built ──seal──► queue ──► N requests in flight ──► collector
 */
import { createBatch } from "../delivery/batch.ts";
import {
  type Delivery,
  type DeliveryCounters,
  type Settlement,
  startDelivery,
} from "../delivery/delivery.ts";
import type { SealedRequest, Sender } from "../delivery/outcome.ts";
import type { DeliveryQueue } from "../delivery/queue.ts";
import { RequestBuilder } from "../otlp/request-builder.ts";
import type { RequestOutlet } from "./request-outlet.ts";

export interface OtlpOutletOptions {
  readonly sender: Sender;
  readonly queue: DeliveryQueue;
  readonly batchBytesMax?: number | undefined;
  readonly batchAgeMaxMs?: number | undefined;
  readonly requestsInFlight?: number | undefined;
  /** Gets one line about each kind of trouble, at intervals. */
  readonly report: (line: string) => void;
  /** Told of each request before it is offered to the queue. */
  readonly onSealed?: (request: SealedRequest) => void;
  /** Told once of each request that the collector has answered for good. */
  readonly onSettled?: (request: SealedRequest, settlement: Settlement) => void;
}

/** The way of records to a collector; `counters` are those of its delivery. */
export class OtlpOutlet implements RequestOutlet {
  readonly builder = new RequestBuilder();
  readonly #options: OtlpOutletOptions;
  readonly #batch;
  readonly #delivery: Delivery;
  /** What the queue has no room for yet. */
  readonly #offers = new Set<Promise<void>>();
  readonly #aborted = Promise.withResolvers<void>();

  constructor(options: OtlpOutletOptions) {
    this.#options = options;
    this.#batch = createBatch({
      ...(options.batchBytesMax === undefined ? {} : { bytesMax: options.batchBytesMax }),
      ...(options.batchAgeMaxMs === undefined ? {} : { ageMaxMs: options.batchAgeMaxMs }),
      seal: () => this.#seal(),
    });
    this.#delivery = startDelivery({
      queue: options.queue,
      sender: options.sender,
      ...(options.requestsInFlight === undefined ? {} : { requestsInFlight: options.requestsInFlight }),
      report: options.report,
      ...(options.onSettled === undefined ? {} : { onSettled: options.onSettled }),
    });
  }

  makeRoom(byteCount: number): void {
    if (!this.#batch.fits(this.builder.byteLength, byteCount)) this.#batch.flush();
  }

  grown(): void {
    this.#batch.grown(this.builder.byteLength);
  }

  /** Sends what is there without waiting for more. */
  flush(): void {
    this.#batch.flush();
  }

  async ready(): Promise<void> {
    await this.#admitted();
  }

  abort(): void {
    this.#aborted.resolve();
    void this.#delivery.abort();
  }

  async end(timeoutMs: number): Promise<void> {
    this.#batch.flush();
    // Waiting offers are admitted while deliveries go on; the queue is closed to new ones only after them.
    const timeLeftMs = await within(this.#admitted(), timeoutMs);
    await this.#delivery.drain(timeLeftMs);
  }

  counters(): DeliveryCounters {
    return this.#delivery.counters();
  }

  /** Resolves when the queue has taken all that was offered so far. */
  #admitted(): Promise<unknown> | undefined {
    if (this.#offers.size === 0) return undefined;
    return Promise.race([Promise.all(this.#offers), this.#aborted.promise]);
  }

  #seal(): void {
    const request = { ...this.builder.seal(), sealedAtMs: performance.now() };
    this.#options.onSealed?.(request);
    // Refused because the queue is closed: its records stay outstanding, and whoever counts them says so at the end.
    const offer: Promise<void> = this.#options.queue
      .offer(request)
      .catch(() => {})
      .then(() => void this.#offers.delete(offer));
    this.#offers.add(offer);
  }
}

/** Waits for `work`, at most `timeoutMs`; the time that is left. */
async function within(work: Promise<unknown> | undefined, timeoutMs: number): Promise<number> {
  if (work === undefined) return timeoutMs;
  const startedMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => {}), timeout]);
  clearTimeout(timer);
  return Math.max(0, timeoutMs - (performance.now() - startedMs));
}
