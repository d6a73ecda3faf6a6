/**
 * `export`: v1 records from files to a collector, on the same way that a capture's events go.
 */
import { createSender } from "../delivery/create-sender.ts";
import type { Settlement } from "../delivery/delivery.ts";
import { createMemoryQueue } from "../delivery/memory-queue.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { SealedRequest } from "../delivery/outcome.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { SHUTDOWN_TIMEOUT_DEFAULT_MS } from "./capture.ts";
import { type LineWriter, openLineWriter } from "./line-writer.ts";
import { OtlpOutlet } from "./otlp-outlet.ts";
import { createRecordEncoder, type EncodingOptions } from "./record-encoder.ts";
import { type SendCounts, sendEvidence } from "./send-evidence.ts";
import { type InputProgress, type StoredInput, startProgress } from "./stored-inputs.ts";

export interface ExportOptions {
  inputs: readonly StoredInput[];
  otlp: OtlpOptions;
  encoding: EncodingOptions;
  rejects?: string | undefined;
  queueBytesMax?: number | undefined;
  batchBytesMax?: number | undefined;
  requestsInFlight?: number | undefined;
  /**
   * How long to wait for the collector once the reading has ended. By default as long as it takes when the inputs
   * have ended, and `SHUTDOWN_TIMEOUT_DEFAULT_MS` after `stop`.
   */
  shutdownTimeoutMs?: number | undefined;
  report: (line: string) => void;
}

/** The books of an export: read = exported + invalid + refused + Σ lost. */
export interface ExportBooks extends Omit<SendCounts, "encoded"> {
  /** Acknowledged by the collector. */
  exported: number;
  /** By reason: what the collector said, `rejected` (a partial success), or `undelivered`. */
  lost: ReadonlyMap<string, number>;
}

export interface ExportResult {
  books: ExportBooks;
  /** Whether it was stopped before the inputs had ended: then there may be records that were not read. */
  stopped: boolean;
  /** The first failure of an input or of the rejects; what could still be done was done. */
  failure: RuntimeEvidenceError | undefined;
}

/** An export under way. */
export interface RunningExport {
  readonly progress: InputProgress;
  readonly counts: Readonly<SendCounts>;
  /** Records that wait for an acknowledgement. */
  queuedRecords(): number;
  /** Ends the reading; what was read is still delivered. */
  stop(): void;
  readonly result: Promise<ExportResult>;
}

/** Starts reading and sending; files for rejects and certificates are opened before. */
export async function startExport(options: ExportOptions): Promise<RunningExport> {
  const encoder = await createRecordEncoder(options.encoding);
  const sender = createSender(options.otlp);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  const run = new ExportRun(options, sender, rejects);
  const { progress, counts } = run;
  const sending = { inputs: options.inputs, report: options.report, encoder, rejects, progress, counts };
  const result = run.run((outlet, signal) => sendEvidence({ ...sending, outlet, signal }));
  return { progress, counts, result, stop: () => run.stop(), queuedRecords: () => run.outstanding };
}

type Send = (outlet: OtlpOutlet, signal: AbortSignal) => Promise<RuntimeEvidenceError | undefined>;

/** The delivery of an export and its end. */
class ExportRun {
  readonly counts: SendCounts = { read: 0, encoded: 0, invalid: 0, refused: 0 };
  readonly progress: InputProgress;
  /** Sealed and not settled. */
  outstanding = 0;
  readonly #options: ExportOptions;
  readonly #rejects: LineWriter | undefined;
  readonly #outlet: OtlpOutlet;
  readonly #reading = new AbortController();
  readonly #idle = Promise.withResolvers<void>();
  #readToEnd = false;
  #exported = 0;
  readonly #lost = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    options: ExportOptions,
    sender: ReturnType<typeof createSender>,
    rejects: LineWriter | undefined,
  ) {
    this.#options = options;
    this.#rejects = rejects;
    this.progress = startProgress(options.inputs);
    const { queueBytesMax, batchBytesMax, requestsInFlight, report } = options;
    this.#outlet = new OtlpOutlet({
      sender,
      queue: createMemoryQueue(queueBytesMax === undefined ? {} : { bytesMax: queueBytesMax }),
      batchBytesMax,
      batchAgeMaxMs: options.otlp.batchAgeMaxMs,
      requestsInFlight,
      report,
      onSealed: ({ recordCount }) => {
        this.outstanding += recordCount;
      },
      onSettled: (request, settlement) => this.#settle(request, settlement),
    });
  }

  async run(send: Send): Promise<ExportResult> {
    let failure: RuntimeEvidenceError | undefined;
    try {
      failure = await send(this.#outlet, this.#reading.signal);
    } catch (thrown) {
      // The rejects can't be written, say: what was read before is delivered.
      failure = RuntimeEvidenceError.from(thrown);
      this.#options.report(failure.message);
    }
    this.#readToEnd = true;
    const stopped = this.#reading.signal.aborted;
    await this.#deliverRest();
    await this.#rejects?.close().catch((thrown: unknown) => {
      failure ??= RuntimeEvidenceError.from(thrown);
    });
    if (this.outstanding > 0) this.#lose("undelivered", this.outstanding);
    const { read, invalid, refused } = this.counts;
    return {
      books: { read, exported: this.#exported, invalid, refused, lost: this.#lost },
      stopped,
      failure,
    };
  }

  stop(): void {
    if (this.#timer !== undefined) return;
    const timeoutMs = this.#options.shutdownTimeoutMs ?? SHUTDOWN_TIMEOUT_DEFAULT_MS;
    this.#timer = setTimeout(() => this.#outlet.abort(), timeoutMs);
    this.#reading.abort();
    this.#idle.resolve();
  }

  async #deliverRest(): Promise<void> {
    const { shutdownTimeoutMs = SHUTDOWN_TIMEOUT_DEFAULT_MS } = this.#options;
    this.#outlet.flush();
    if (this.outstanding === 0) this.#idle.resolve();
    if (this.#options.shutdownTimeoutMs === undefined) await this.#idle.promise;
    await this.#outlet.end(shutdownTimeoutMs);
    clearTimeout(this.#timer);
  }

  #settle({ recordCount }: SealedRequest, settlement: Settlement): void {
    this.outstanding -= recordCount;
    if (settlement.kind === "lost") this.#lose(settlement.reason, recordCount);
    else {
      const { rejectedRecords } = settlement;
      this.#exported += recordCount - rejectedRecords;
      if (rejectedRecords > 0) this.#lose("rejected", rejectedRecords);
    }
    if (this.#readToEnd && this.outstanding === 0) this.#idle.resolve();
  }

  #lose(reason: string, count: number): void {
    this.#lost.set(reason, (this.#lost.get(reason) ?? 0) + count);
  }
}
