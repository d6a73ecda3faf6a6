/**
 * The sinks of a capture, from what the command line asked for.
 */
import { createSender } from "../delivery/create-sender.ts";
import { createMemoryQueue } from "../delivery/memory-queue.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { Sender } from "../delivery/outcome.ts";
import type { ClockType } from "../frames/clock.ts";
import { createFrameContext, type FrameContext } from "../frames/context.ts";
import type { Ledger } from "../health/ledger.ts";
import { detectBaseResource } from "./base-resource.ts";
import type { EventSink } from "./event-sink.ts";
import { openLineWriter } from "./line-writer.ts";
import { OtlpSink } from "./otlp-sink.ts";
import { RecordSink } from "./record-sink.ts";

export interface SinkOptions {
  clock: ClockType;
  /** A collector, or "discard": encode everything as for a collector and throw it away, for measuring. */
  otlp?: OtlpOptions | "discard" | undefined;
  /** A file for v1 NDJSON, "-" for standard output. */
  output?: string | undefined;
  withExtensions: boolean;
  queueBytesMax?: number | undefined;
  batchBytesMax?: number | undefined;
  requestsInFlight?: number | undefined;
  /** Gets lines about trouble with delivery. */
  report: (line: string) => void;
}

/** Open sinks. With a collector, "exported" in the books means acknowledged by it; otherwise written. */
export interface Sinks {
  /** What the frame loop fills and the sinks read events with. */
  readonly context: FrameContext;
  readonly all: readonly EventSink[];
  readonly otlp: OtlpSink | undefined;
  /** Records that wait for an acknowledgement. */
  queuedRecords(): number;
}

/** Opens files and reads certificates now, while the caller's rights are still there. */
export async function openSinks(options: SinkOptions, ledger: Ledger): Promise<Sinks> {
  const context = createFrameContext(options.clock);
  const all: EventSink[] = [];
  let otlp: OtlpSink | undefined;
  const queue = createMemoryQueue(
    options.queueBytesMax === undefined ? {} : { bytesMax: options.queueBytesMax },
  );
  if (options.otlp !== undefined) {
    const discard = options.otlp === "discard";
    otlp = new OtlpSink({
      sender: options.otlp === "discard" ? discardingSender() : createSender(options.otlp),
      queue,
      resources: await detectBaseResource(options.clock),
      context,
      ledger,
      batchBytesMax: options.batchBytesMax,
      batchAgeMaxMs: options.otlp === "discard" ? undefined : options.otlp.batchAgeMaxMs,
      requestsInFlight: discard ? 1 : options.requestsInFlight,
      report: options.report,
    });
    all.push(otlp);
  }
  if (options.output !== undefined) {
    const alone = otlp === undefined;
    const writer = await openLineWriter(options.output);
    all.push(
      new RecordSink({
        writer,
        context,
        withExtensions: options.withExtensions,
        onWritten: (probe, count) => alone && ledger.exported(probe, count),
        onLost: (probe, count) => alone && ledger.lost(probe, "output_failed", count),
      }),
    );
  }
  return { context, all, otlp, queuedRecords: () => queue.stats().records };
}

/** Accepts everything at once. */
function discardingSender(): Sender {
  return {
    send: () => Promise.resolve({ kind: "accepted", rejectedRecords: 0, message: "" }),
    close: () => Promise.resolve(),
  };
}
