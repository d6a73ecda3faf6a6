/**
 * Events to a collector: frame ──encodeFrame──► outlet, and the books of what became of them.
 */
import { randomBytes } from "node:crypto";
import { type EncodeContext, encodeFrame } from "../capture/encode-frame.ts";
import type { DeliveryCounters, Settlement } from "../delivery/delivery.ts";
import type { SealedRequest, Sender } from "../delivery/outcome.ts";
import type { DeliveryQueue } from "../delivery/queue.ts";
import type { FrameContext } from "../frames/context.ts";
import { PROBE_NAMES } from "../frames/control.ts";
import type { FrameEventType } from "../frames/fields.ts";
import { frameProbe } from "../frames/header.ts";
import { toRecord } from "../frames/to-record.ts";
import type { Ledger } from "../health/ledger.ts";
import { encodeRecord } from "../otlp/encode-record.ts";
import type { EncodedResource, ResourceSource } from "../otlp/resource.ts";
import type { EventSink } from "./event-sink.ts";
import { OtlpOutlet } from "./otlp-outlet.ts";

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
  readonly #outlet: OtlpOutlet;
  readonly #context: EncodeContext;
  /** Containers are told apart by a later stage; here every event is the host's. */
  readonly #resource: EncodedResource;
  readonly #tallies = new WeakMap<SealedRequest, Tally>();
  #tally: Tally = new Uint32Array(PROBE_NAMES.length);
  #outstanding: Tally = new Uint32Array(PROBE_NAMES.length);
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
    this.#outlet = new OtlpOutlet({
      sender: options.sender,
      queue: options.queue,
      batchBytesMax: options.batchBytesMax,
      batchAgeMaxMs: options.batchAgeMaxMs,
      requestsInFlight: options.requestsInFlight,
      report: options.report,
      onSealed: (request) => {
        this.#tallies.set(request, this.#tally);
        this.#tally = new Uint32Array(PROBE_NAMES.length);
      },
      onSettled: (request, settlement) => this.#settle(request, settlement),
    });
    this.#observe();
  }

  event(type: FrameEventType, buffer: Buffer, start: number): void {
    const sequence = ++this.#sequence;
    const writer = this.#outlet.builder.use(this.#resource);
    if (!encodeFrame(type, buffer, start, sequence, writer, this.#context)) {
      this.#encodeUnusual(type, buffer, start, sequence);
    }
    const probe = frameProbe(buffer, start);
    this.#tally[probe] = (this.#tally[probe] ?? 0) + 1;
    this.#outstanding[probe] = (this.#outstanding[probe] ?? 0) + 1;
    this.#outlet.grown();
  }

  async ready(): Promise<void> {
    await this.#outlet.ready();
    this.#observe();
  }

  abort(): void {
    this.#outlet.abort();
  }

  async end(timeoutMs: number): Promise<void> {
    await this.#outlet.end(timeoutMs);
    for (const [probe, count] of this.#outstanding.entries()) {
      if (count > 0) this.#options.ledger.lost(PROBE_NAMES[probe] as string, "undelivered", count);
    }
  }

  counters(): DeliveryCounters {
    return this.#outlet.counters();
  }

  /** ObservedTimestamp is when the chunk was read: once, so that a retry is the same bytes. */
  #observe(): void {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    this.#context.observedLo = Number(nowNs & 0xffffffffn);
    this.#context.observedHi = Number(nowNs >> 32n);
  }

  #encodeUnusual(type: FrameEventType, buffer: Buffer, start: number, sequence: number): void {
    const { record, extensions, timeUnixNano } = toRecord(type, buffer, start, this.#options.context);
    encodeRecord(this.#outlet.builder, record, {
      timeUnixNano,
      observedTimeUnixNano: (BigInt(this.#context.observedHi) << 32n) | BigInt(this.#context.observedLo),
      streamId: this.#context.streamId,
      sequence,
      extensions,
      resources: this.#options.resources,
    });
  }

  #settle(request: SealedRequest, settlement: Settlement): void {
    const tally = this.#tallies.get(request);
    if (tally === undefined) return;
    this.#tallies.delete(request);
    // A collector says how many it rejected, not which: they are booked to the first probes of the request.
    let rejected = settlement.kind === "accepted" ? settlement.rejectedRecords : 0;
    for (const [probe, count] of tally.entries()) {
      if (count === 0) continue;
      const name = PROBE_NAMES[probe] as string;
      const refused = Math.min(count, rejected);
      rejected -= refused;
      if (settlement.kind === "lost") this.#options.ledger.lost(name, "refused", count);
      else this.#options.ledger.exported(name, count - refused);
      if (refused > 0) this.#options.ledger.lost(name, "rejected", refused);
      this.#outstanding[probe] = (this.#outstanding[probe] as number) - count;
    }
  }
}
