/**
 * Events to a collector: frame ──encodeFrame──► outlet, and the books of what became of them.
 */
import { randomBytes } from "node:crypto";
import { type EncodeContext, encodeFrame } from "../capture/encode-frame.ts";
import type { FrameContext } from "../frames/context.ts";
import { PROBE_NAMES } from "../frames/control.ts";
import type { FrameEventType } from "../frames/fields.ts";
import { frameProbe } from "../frames/header.ts";
import { toRecord } from "../frames/to-record.ts";
import type { Ledger } from "../health/ledger.ts";
import { lossDelta } from "../health/loss.ts";
import { type Loss, PROBE_DOWN } from "../health/loss-registry.ts";
import { streamCountsOf } from "../health/stream-counts.ts";
import { encodeRecord } from "../otlp/encode-record.ts";
import type { EncodedResource, ResourceSource } from "../otlp/resource.ts";
import type { OutletDelivery } from "./delivery-tuning.ts";
import type { EventSink } from "./event-sink.ts";
import { type OtlpOutlet, openOtlpOutlet } from "./otlp-outlet.ts";
import { CONTROL } from "./record-tally.ts";
import { nowUnixNano } from "./wall-clock.ts";

export interface OtlpSinkOptions extends OutletDelivery {
  resources: ResourceSource;
  context: FrameContext;
  ledger: Ledger;
  /** Hexadecimal; random unless a test chooses it. */
  streamId?: string;
}

/** Opens the queue and begins a stream. Throws what `openOtlpOutlet` does. */
export async function openOtlpSink(options: OtlpSinkOptions): Promise<OtlpSink> {
  const { resources, ledger, streamId = randomBytes(8).toString("hex") } = options;
  const outlet = await openOtlpOutlet({
    ...options,
    streamId,
    resource: resources.resourceFor(undefined, undefined),
    probes: PROBE_NAMES,
    books: ledger,
    findLosses: lossFinder(ledger),
  });
  return new OtlpSink(options, outlet, streamId);
}

/** An OTLP sink on an outlet. */
export class OtlpSink implements EventSink {
  readonly outlet: OtlpOutlet;
  readonly #options: OtlpSinkOptions;
  readonly #context: EncodeContext;
  /** Containers are told apart by a later stage; here every event is the host's. */
  readonly #resource: EncodedResource;

  constructor(options: OtlpSinkOptions, outlet: OtlpOutlet, streamId: string) {
    this.outlet = outlet;
    this.#options = options;
    this.#resource = options.resources.resourceFor(undefined, undefined);
    this.#context = { frames: options.context, streamId, observedLo: 0, observedHi: 0 };
    this.#observe();
  }

  event(type: FrameEventType, buffer: Buffer, start: number): void {
    const { outlet } = this;
    const sequence = outlet.next(frameProbe(buffer, start));
    const writer = outlet.builder.use(this.#resource);
    if (!encodeFrame(type, buffer, start, sequence, writer, this.#context)) {
      this.#encodeUnusual(type, buffer, start, sequence);
    }
    outlet.grown();
  }

  async ready(): Promise<void> {
    await this.outlet.ready();
    this.#observe();
  }

  abort(): void {
    this.outlet.abort();
  }

  end(timeoutMs: number): Promise<void> {
    return this.outlet.end(timeoutMs, () => streamCountsOf(this.#options.ledger.balances()));
  }

  /** ObservedTimestamp is when the chunk was read: once, so that a retry is the same bytes. */
  #observe(): void {
    const nowNs = nowUnixNano();
    this.#context.observedLo = Number(nowNs & 0xffffffffn);
    this.#context.observedHi = Number(nowNs >> 32n);
  }

  #encodeUnusual(type: FrameEventType, buffer: Buffer, start: number, sequence: number): void {
    const { record, extensions, timeUnixNano } = toRecord(type, buffer, start, this.#options.context);
    encodeRecord(this.outlet.builder, record, {
      timeUnixNano,
      observedTimeUnixNano: (BigInt(this.#context.observedHi) << 32n) | BigInt(this.#context.observedLo),
      streamId: this.#context.streamId,
      sequence,
      extensions,
      resources: this.#options.resources,
    });
  }
}

/** What the books say was lost before it got here, since the last look; at the end also from when on they say nothing. */
function lossFinder(ledger: Ledger): () => readonly Loss[] {
  let before = ledger.balances();
  let firstTimeUnixNano = nowUnixNano();
  let isDownTold = false;
  return () => {
    const after = ledger.balances();
    const lastTimeUnixNano = nowUnixNano();
    const losses = lossDelta(before, after, { firstTimeUnixNano, lastTimeUnixNano });
    before = after;
    firstTimeUnixNano = lastTimeUnixNano;
    const downSince = ledger.uncountedSinceUnixNano;
    if (downSince !== undefined && !isDownTold) {
      isDownTold = true;
      const window = { firstTimeUnixNano: downSince, lastTimeUnixNano };
      losses.push({ reason: PROBE_DOWN, probe: CONTROL, count: 0n, ...window });
    }
    return losses;
  };
}
