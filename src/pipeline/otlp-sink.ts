/**
 * Events to a collector: encode, batch, queue, deliver.
 *
 *   frame ──encodeFrame──► request being built ──seal──► queue ──► N requests in flight ──► collector
 */
import { randomBytes } from "node:crypto";
import { type EncodeContext, encodeFrame } from "../capture/encode-frame.ts";
import { createBatch } from "../delivery/batch.ts";
import { type Delivery, startDelivery } from "../delivery/delivery.ts";
import type { DeliveryCounters } from "../delivery/delivery-books.ts";
import type { SealedRequest, Sender } from "../delivery/outcome.ts";
import type { DeliveryQueue } from "../delivery/queue.ts";
import type { Settlement } from "../delivery/settlement.ts";
import { steadyUnixMs } from "../delivery/steady-clock.ts";
import type { FrameContext } from "../frames/context.ts";
import { PROBE_NAMES } from "../frames/control.ts";
import type { FrameEventType } from "../frames/fields.ts";
import { frameProbe } from "../frames/header.ts";
import { toRecord } from "../frames/to-record.ts";
import type { Ledger } from "../health/ledger.ts";
import { encodeRecord } from "../otlp/encode-record.ts";
import { RequestBuilder } from "../otlp/request-builder.ts";
import type { EncodedResource, ResourceSource } from "../otlp/resource.ts";
import type { EventSink } from "./event-sink.ts";

export interface OtlpSinkOptions {
  sender: Sender;
  queue: DeliveryQueue;
  resources: ResourceSource;
  context: FrameContext;
  ledger: Ledger;
  batchBytesMax?: number | undefined;
  batchAgeMaxMs?: number | undefined;
  requestsInFlight?: number | undefined;
  /** Gets one line about each kind of trouble, at intervals. */
  report: (line: string) => void;
  /** Hexadecimal; random unless a test chooses it. */
  streamId?: string;
}

/** How many events of each probe a request holds, by probe id. */
type Tally = Uint32Array;

/** An OTLP sink; `counters` are those of its delivery. */
export class OtlpSink implements EventSink {
  readonly #options: OtlpSinkOptions;
  readonly #builder = new RequestBuilder();
  readonly #batch;
  readonly #delivery: Delivery;
  readonly #context: EncodeContext;
  /** Containers are told apart by a later stage; here every event is the host's. */
  readonly #resource: EncodedResource;
  readonly #tallies = new WeakMap<SealedRequest, Tally>();
  #tally: Tally = new Uint32Array(PROBE_NAMES.length);
  #outstanding: Tally = new Uint32Array(PROBE_NAMES.length);
  #offers: Promise<void>[] = [];
  readonly #aborted = Promise.withResolvers<void>();
  #sequence = 0;

  constructor(options: OtlpSinkOptions) {
    this.#options = options;
    this.#resource = options.resources.resourceFor(undefined, undefined);
    this.#context = {
      frames: options.context,
      streamId: options.streamId ?? randomBytes(8).toString("hex"),
      observedLo: 0,
      observedHi: 0,
    };
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
      onSettled: (settlement) => this.#settle(settlement),
    });
    this.#observe();
  }

  event(type: FrameEventType, buffer: Buffer, start: number): void {
    const sequence = ++this.#sequence;
    const writer = this.#builder.use(this.#resource);
    if (!encodeFrame(type, buffer, start, sequence, writer, this.#context)) {
      this.#encodeUnusual(type, buffer, start, sequence);
    }
    const probe = frameProbe(buffer, start);
    this.#tally[probe] = (this.#tally[probe] ?? 0) + 1;
    this.#outstanding[probe] = (this.#outstanding[probe] ?? 0) + 1;
    this.#batch.grown(this.#builder.byteLength);
  }

  async ready(): Promise<void> {
    if (this.#offers.length > 0) {
      await Promise.race([Promise.all(this.#offers), this.#aborted.promise]);
      this.#offers = [];
    }
    this.#observe();
  }

  abort(): void {
    this.#aborted.resolve();
    void this.#delivery.abort();
  }

  async end(timeoutMs: number): Promise<void> {
    this.#batch.flush();
    const offers = Promise.all(this.#offers);
    const drained = this.#offers.length === 0 ? undefined : Promise.race([offers, this.#aborted.promise]);
    // Waiting offers are admitted while deliveries go on; the queue is closed to new ones only after them.
    const timeLeftMs = await within(drained, timeoutMs);
    await this.#delivery.drain(timeLeftMs);
    for (const [probe, count] of this.#outstanding.entries()) {
      if (count > 0) this.#options.ledger.lost(PROBE_NAMES[probe] as string, "undelivered", count);
    }
  }

  counters(): DeliveryCounters {
    return this.#delivery.counters();
  }

  /** ObservedTimestamp is when the chunk was read: once, so that a retry is the same bytes. */
  #observe(): void {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    this.#context.observedLo = Number(nowNs & 0xffffffffn);
    this.#context.observedHi = Number(nowNs >> 32n);
  }

  #encodeUnusual(type: FrameEventType, buffer: Buffer, start: number, sequence: number): void {
    const { record, extensions, timeUnixNano } = toRecord(type, buffer, start, this.#options.context);
    encodeRecord(this.#builder, record, {
      timeUnixNano,
      observedTimeUnixNano: (BigInt(this.#context.observedHi) << 32n) | BigInt(this.#context.observedLo),
      streamId: this.#context.streamId,
      sequence,
      extensions,
      resources: this.#options.resources,
    });
  }

  #seal(): void {
    const request = { ...this.#builder.seal(), sealedAtUnixMs: steadyUnixMs() };
    this.#tallies.set(request, this.#tally);
    this.#tally = new Uint32Array(PROBE_NAMES.length);
    const offer = this.#options.queue.offer(request);
    // Refused because the queue is closed: its events stay outstanding, and are counted so at the end.
    this.#offers.push(offer.catch(() => {}));
  }

  #settle({ request, acceptedRecords, rejectedRecords, lost, keptRecords }: Settlement): void {
    if (keptRecords === 0) this.#builder.recycle(request.body);
    const tally = this.#tallies.get(request);
    if (tally === undefined) return;
    this.#tallies.delete(request);
    // A collector says how many it rejected, not which: whatever was not stored is booked to the first probes.
    const fates: [count: number, book: (probe: string, count: number) => void][] = [
      [rejectedRecords, (probe, count) => this.#options.ledger.lost(probe, "rejected", count)],
      ...Array.from(lost, ([reason, count]): (typeof fates)[number] => [
        count,
        (probe, share) => this.#options.ledger.lost(probe, reason, share),
      ]),
      [acceptedRecords, (probe, count) => this.#options.ledger.exported(probe, count)],
    ];
    const left = Array.from(tally);
    for (const [count, book] of fates) {
      let rest = count;
      for (const [probe, held] of left.entries()) {
        const share = Math.min(held, rest);
        if (share === 0) continue;
        book(PROBE_NAMES[probe] as string, share);
        rest -= share;
        left[probe] = held - share;
        this.#outstanding[probe] = (this.#outstanding[probe] as number) - share;
      }
    }
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
