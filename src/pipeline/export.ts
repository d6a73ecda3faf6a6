/**
 * `export`: v1 records from files to a collector, on the same way that a capture's events go.
 */
import { TIMER_MAX_MS } from "../delivery/otlp-environment.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { Ledger, type ProbeBalance } from "../health/ledger.ts";
import { eventTypes } from "../otlp/mapping.ts";
import { SHUTDOWN_TIMEOUT_DEFAULT_MS } from "./capture.ts";
import { type DeliveryTuning, prepareDelivery } from "./delivery-tuning.ts";
import { openLineWriter } from "./line-writer.ts";
import { type OtlpOutlet, openOtlpOutlet } from "./otlp-outlet.ts";
import { requireOwnFiles } from "./output-files.ts";
import { createRecordEncoder, type EncodingOptions } from "./record-encoder.ts";
import { type SendCounts, type SendOptions, sendEvidence } from "./send-evidence.ts";
import { type InputProgress, type StoredInput, startProgress } from "./stored-inputs.ts";

export interface ExportOptions {
  inputs: readonly StoredInput[];
  otlp: OtlpOptions;
  encoding: EncodingOptions;
  delivery: DeliveryTuning;
  rejects?: string | undefined;
  /** Most records of an input that are not sent to name. Default {@link REJECTED_SHOWN_DEFAULT}. */
  rejectedShownMax?: number | undefined;
  /**
   * How long to wait for the collector once the reading has ended. By default as long as it takes when the inputs
   * have ended, and `SHUTDOWN_TIMEOUT_DEFAULT_MS` after `stop`.
   */
  shutdownTimeoutMs?: number | undefined;
  report: (line: string) => void;
}

/** The books of an export: read = exported + spooled + invalid + refused + Σ lost. */
export interface ExportBooks extends Omit<SendCounts, "encoded"> {
  /** Acknowledged by the collector. */
  exported: number;
  /** On disk: the next run with the same spool delivers them. */
  spooled: number;
  /** By reason. */
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
  /** What became of the records that were encoded, by type of event. */
  readonly ledger: Ledger;
  readonly outlet: OtlpOutlet;
  /** Records that wait for an acknowledgement. */
  queuedRecords(): number;
  /** Ends the reading; what was read is still delivered. */
  stop(): void;
  /** Ends the delivery, too. */
  abort(): void;
  readonly result: Promise<ExportResult>;
}

/** Starts reading and sending; files for rejects and certificates are opened before. */
export async function startExport(options: ExportOptions): Promise<RunningExport> {
  const { inputs, otlp, encoding, delivery, rejects, report } = options;
  await requireOwnFiles(inputs, [rejects]);
  const encoder = await createRecordEncoder(encoding);
  const prepared = await prepareDelivery(otlp, delivery, report);
  const writer = rejects === undefined ? undefined : await openLineWriter(rejects);
  const ledger = new Ledger(eventTypes);
  const outlet = await openOtlpOutlet({
    ...prepared,
    streamId: encoding.streamId,
    beginsWithRecord: true,
    saysItsCourse: encoding.isSentAgain !== true,
    resource: encoder.hostResource,
    probes: eventTypes,
    books: ledger,
  });
  const progress = startProgress(inputs);
  const counts: SendCounts = { read: 0, encoded: 0, invalid: 0, refused: 0 };
  const run = new ExportRun(outlet, options.shutdownTimeoutMs);
  const sending = {
    inputs,
    report,
    encoder,
    rejects: writer,
    rejectedShownMax: options.rejectedShownMax,
    progress,
    counts,
    outlet,
    signal: run.signal,
  };
  const result = run.run(sending).then(({ stopped, failure }) => {
    return { books: closeBooks(counts, ledger.balances()), stopped, failure };
  });
  return {
    progress,
    counts,
    ledger,
    outlet,
    result,
    stop: run.stop,
    abort: () => outlet.abort(),
    queuedRecords: () => outlet.queuedRecords,
  };
}

function closeBooks(
  { read, invalid, refused }: Readonly<SendCounts>,
  balances: readonly ProbeBalance[],
): ExportBooks {
  const books = { read, invalid, refused, exported: 0, spooled: 0, lost: new Map<string, number>() };
  for (const { exported, spooled, lost } of balances) {
    books.exported += Number(exported);
    books.spooled += Number(spooled);
    for (const [reason, count] of lost) books.lost.set(reason, (books.lost.get(reason) ?? 0) + Number(count));
  }
  return books;
}

/** Reading, and its end. */
class ExportRun {
  readonly #outlet: OtlpOutlet;
  readonly #shutdownTimeoutMs: number | undefined;
  readonly #reading = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(outlet: OtlpOutlet, shutdownTimeoutMs: number | undefined) {
    this.#outlet = outlet;
    this.#shutdownTimeoutMs = shutdownTimeoutMs;
  }

  get signal(): AbortSignal {
    return this.#reading.signal;
  }

  async run(sending: SendOptions): Promise<Pick<ExportResult, "stopped" | "failure">> {
    const { report, rejects } = sending;
    let failure: RuntimeEvidenceError | undefined;
    const failed = (thrown: unknown): void => {
      failure ??= RuntimeEvidenceError.from(thrown);
    };
    try {
      failure = await sendEvidence(sending);
    } catch (thrown) {
      // The rejects can't be written, say: what was read before is delivered.
      failed(thrown);
      report(RuntimeEvidenceError.from(thrown).message);
    }
    const stopped = this.signal.aborted;
    await this.#outlet.end(this.#shutdownTimeoutMs ?? TIMER_MAX_MS);
    clearTimeout(this.#timer);
    await rejects?.close().catch(failed);
    return { stopped, failure };
  }

  readonly stop = (): void => {
    if (this.#timer !== undefined) return;
    const timeoutMs = this.#shutdownTimeoutMs ?? SHUTDOWN_TIMEOUT_DEFAULT_MS;
    this.#timer = setTimeout(() => this.#outlet.abort(), timeoutMs);
    this.#reading.abort();
  };
}
