/**
 * The sinks of a capture, from what the command line asked for.
 */
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { Sender } from "../delivery/outcome.ts";
import type { ClockType } from "../frames/clock.ts";
import { createFrameContext, type FrameContext } from "../frames/context.ts";
import type { Ledger } from "../health/ledger.ts";
import { detectBaseResource } from "./base-resource.ts";
import { type DeliveryTuning, prepareDelivery } from "./delivery-tuning.ts";
import type { EventSink } from "./event-sink.ts";
import { openLineWriter } from "./line-writer.ts";
import { type OtlpSink, type OtlpSinkOptions, openOtlpSink } from "./otlp-sink.ts";
import { RecordSink } from "./record-sink.ts";

export interface SinkOptions {
  clock: ClockType;
  /** A collector, or "discard": encode everything as for a collector and throw it away, for measuring. */
  otlp?: OtlpOptions | "discard" | undefined;
  /** A file for v1 NDJSON, "-" for standard output. */
  output?: string | undefined;
  withExtensions: boolean;
  delivery: DeliveryTuning;
  /** Gets lines about trouble with delivery. */
  report: (line: string) => void;
}

/** Open sinks. With a collector, "exported" in the books means acknowledged by it; otherwise written. */
export interface Sinks {
  /** What the frame loop fills and the sinks read events with. */
  readonly context: FrameContext;
  readonly all: readonly EventSink[];
  readonly otlp: OtlpSink | undefined;
}

/** Sinks whose files are open, but nothing of which runs yet. */
export interface PreparedSinks {
  /** Opens the spool, with the rights that are left by now, and starts delivering. */
  start(): Promise<Sinks>;
}

/** Opens files and reads certificates now, while the caller's rights are still there. */
export async function prepareSinks(options: SinkOptions, ledger: Ledger): Promise<PreparedSinks> {
  const context = createFrameContext(options.clock);
  const prepared = options.otlp && (await prepareOtlp(options, options.otlp));
  const writer = options.output === undefined ? undefined : await openLineWriter(options.output);
  return {
    start: async () => {
      const otlp = prepared && (await openOtlpSink({ ...prepared, context, ledger }));
      const alone = otlp === undefined;
      const records =
        writer &&
        new RecordSink({
          writer,
          context,
          withExtensions: options.withExtensions,
          onWritten: (probe, count) => alone && ledger.exported(probe, count),
          onLost: (probe, count) => alone && ledger.lost(probe, "output_failed", count),
        });
      return { context, otlp, all: [otlp, records].filter((sink) => sink !== undefined) };
    },
  };
}

async function prepareOtlp(
  { clock, delivery, report }: SinkOptions,
  otlp: OtlpOptions | "discard",
): Promise<Omit<OtlpSinkOptions, "context" | "ledger">> {
  const resources = await detectBaseResource(clock);
  if (otlp !== "discard") return { ...(await prepareDelivery(otlp, delivery, report)), resources };
  const { memoryBytesMax } = delivery.queue;
  const sender = discardingSender();
  return { ...delivery, sender, queue: { memoryBytesMax }, requestsInFlight: 1, report, resources };
}

/** Accepts everything at once. */
function discardingSender(): Sender {
  return {
    send: () => Promise.resolve({ kind: "accepted", rejectedRecords: 0, message: "" }),
    close: () => Promise.resolve(),
  };
}
