/**
 * What stands in a stream beside its evidence: that it began and ended, that earlier ones never did, and what was
 * lost. Each report is a record of the stream like any other; one that is lost itself is written again, and so is one
 * that an earlier run had written, with a number of this stream.
 *
 *   lost ──► registry ──report──► request being built ──sealed──► under way ──settled──► forgotten, or written again
 */
import type { RequestFacts } from "../delivery/queue.ts";
import { type Loss, LossRegistry } from "../health/loss-registry.ts";
import type { ControlContext } from "../otlp/control-record.ts";
import { encodeLossRecord, type LossRecord } from "../otlp/loss-record.ts";
import type { RequestBuilder } from "../otlp/request-builder.ts";
import { encodeStreamRecord, type StreamCounts, type StreamRecord } from "../otlp/stream-record.ts";
import type { ControlRecord } from "../otlp/to-evidence.ts";

/** Default of `lossIntervalMs`. */
export const LOSS_INTERVAL_MS = 10_000;

/** Stream records of earlier runs that wait for being written again. At the limit the oldest go: their streams have no end. */
const STREAMS_AGAIN_MAX = 256;

export interface StreamReportsOptions {
  readonly streamId: string;
  /** Shortest time between two loss records of one reason and probe. */
  readonly lossIntervalMs?: number | undefined;
  /** Gives a record its place in the stream and has it written into the request being built. */
  readonly append: (write: (builder: RequestBuilder, context: ControlContext) => void) => void;
}

/** What is written again when it is lost. */
interface Written {
  readonly losses: LossRecord[];
  readonly streams: StreamRecord[];
}

export class StreamReports {
  readonly #options: StreamReportsOptions;
  readonly #losses: LossRegistry;
  /** Of earlier runs, whose records were lost. */
  #streamsAgain: StreamRecord[] = [];
  #streamsDueMs = 0;
  /** In the request being built. */
  #written: Written = { losses: [], streams: [] };
  /** By the first sequence number of the request that they are in. */
  readonly #underWay = new Map<number, Written>();

  constructor(options: StreamReportsOptions) {
    this.#options = options;
    const { streamId, lossIntervalMs = LOSS_INTERVAL_MS } = options;
    this.#losses = new LossRegistry({ streamId, intervalMs: lossIntervalMs });
  }

  /** Losses that no delivered record has reported. */
  get pending(): number {
    return this.#losses.pending;
  }

  /** What nothing says that was written. */
  get unsaid(): number {
    return this.#losses.unreported + this.#streamsAgain.length;
  }

  begin(): void {
    this.#stream({ state: "start" });
  }

  /** Says of a stream of an earlier run that it never ended. */
  unended(streamId: string, lastSequence: number | undefined): void {
    this.#stream({ streamId, state: "unended", ...(lastSequence !== undefined && { lastSequence }) });
  }

  lost(losses: readonly Loss[]): void {
    for (const loss of losses) this.#losses.add(loss);
  }

  /** What an earlier run had reported, in records that are lost. That a stream began goes without saying. */
  again(reports: readonly ControlRecord[]): void {
    for (const report of reports) {
      if (report.event === "loss") this.#losses.add(report.loss);
      else if (report.stream.state !== "start") this.#keepStream(report.stream);
    }
  }

  /** Writes what is due. `nowMs` is of a clock that never steps. */
  report(nowMs: number): void {
    if (this.#streamsAgain.length > 0 && nowMs >= this.#streamsDueMs) {
      this.#streamsDueMs = nowMs + (this.#options.lossIntervalMs ?? LOSS_INTERVAL_MS);
      this.#writeStreams();
    }
    if (this.#losses.pending > 0) this.#write(this.#losses.take(nowMs));
  }

  /** Writes everything that is left to say, the end last. */
  end(counts: readonly StreamCounts[]): void {
    this.#writeStreams();
    this.#write(this.#losses.takeAll());
    this.#stream({ state: "end", counts });
  }

  /** The request being built, with what was written since the last, is this one. */
  sealed({ firstSequence }: RequestFacts): void {
    const { losses, streams } = this.#written;
    if (losses.length + streams.length === 0 || firstSequence === undefined) return;
    this.#underWay.set(firstSequence, this.#written);
    this.#written = { losses: [], streams: [] };
  }

  /** A request of this stream has arrived whole, or has not. */
  settled({ firstSequence }: RequestFacts, arrived: boolean): void {
    if (this.#underWay.size === 0 || firstSequence === undefined) return;
    const { losses, streams } = this.#underWay.get(firstSequence) ?? { losses: [], streams: [] };
    for (const loss of losses) {
      if (arrived) this.#losses.delivered(loss);
      else this.#losses.undelivered(loss);
    }
    if (!arrived) for (const stream of streams) this.#keepStream(stream);
    this.#underWay.delete(firstSequence);
  }

  #keepStream(stream: StreamRecord): void {
    this.#streamsAgain.push(stream);
    if (this.#streamsAgain.length > STREAMS_AGAIN_MAX) this.#streamsAgain.shift();
  }

  #writeStreams(): void {
    const streams = this.#streamsAgain;
    this.#streamsAgain = [];
    for (const stream of streams) {
      this.#written.streams.push(stream);
      this.#options.append((builder, context) => encodeStreamRecord(builder, stream, context));
    }
  }

  #write(losses: readonly LossRecord[]): void {
    for (const loss of losses) {
      // Before it is appended: that may seal the request.
      this.#written.losses.push(loss);
      this.#options.append((builder, context) => encodeLossRecord(builder, loss, context));
    }
  }

  #stream({ counts = [], ...state }: Partial<StreamRecord> & Pick<StreamRecord, "state">): void {
    this.#options.append((builder, context) => {
      const { streamId, sequence, observedTimeUnixNano } = context;
      const own = state.state === "end" ? { lastSequence: sequence } : {};
      const record = { streamId, timeUnixNano: observedTimeUnixNano, counts, ...own, ...state };
      encodeStreamRecord(builder, record, context);
    });
  }
}
