/**
 * What can be chosen about the log exporter, and what it tells: its limits, losses and books.
 */
import type { LogRecordExporter } from "@opentelemetry/sdk-logs";
import type { RetryOptions } from "../delivery/retry.ts";

/** Default of `batchAgeMaxMs`: short, because a batching processor has waited already. */
export const EXPORTER_BATCH_AGE_MAX_MS = 200;
/** Default of `handoverBytesMax`. */
export const HANDOVER_BYTES_MAX = 16 * 1024 * 1024;
/** Default of `backpressureMaxMs`: below the 30 s after which a BatchLogRecordProcessor says "Timeout". */
export const BACKPRESSURE_MAX_MS = 20_000;
/** Default of `flushTimeoutMs` and `shutdownTimeoutMs`. */
export const FLUSH_TIMEOUT_MS = 10_000;

/** Records that will not be delivered. */
export interface Loss {
  /** One of a small set of texts, listed in docs/library.md. */
  readonly reason: string;
  readonly records: number;
  /** What the collector or the serializer said of it. */
  readonly message?: string;
}

/** When `export` calls back with success. */
export type SuccessWhen = "queued" | "acknowledged";

/** How a log exporter behaves, wherever it sends; each has a default. */
export interface LogExporterLimits {
  /** Uncompressed size of a request at most. Default 3.5 MiB. A single larger record goes alone. */
  readonly batchBytesMax?: number | undefined;
  /** Longest time that a batch is filled. Default 200 ms; no wait where success is "acknowledged". */
  readonly batchAgeMaxMs?: number | undefined;
  /** Default 4. */
  readonly requestsInFlight?: number | undefined;
  /** Default: 1 s, then x1.5 up to 30 s, +-50 %, without end. */
  readonly retry?: Partial<RetryOptions> | undefined;
  /**
   * "queued" (default): when the records are taken over; from then on each is delivered or told to `onLoss`.
   * "acknowledged": when the collector has them.
   */
  readonly successWhen?: SuccessWhen | undefined;
  /** Bytes taken over that the full queue has no room for; at the limit records are lost. Default 16 MiB. */
  readonly handoverBytesMax?: number | undefined;
  /** How long the callback is held back at most while the queue is full. Default 20 s. */
  readonly backpressureMaxMs?: number | undefined;
  /** How long `forceFlush` waits at most. Default 10 s. */
  readonly flushTimeoutMs?: number | undefined;
  /** How long `shutdown` delivers at most. Default 10 s. */
  readonly shutdownTimeoutMs?: number | undefined;
  /** Told at once about each loss. */
  readonly onLoss?: ((loss: Loss) => void) | undefined;
}

/** Always: received = accepted + lost of all reasons + pending + spooled. */
export interface LogExporterCounters {
  /** Records given to `export`. */
  readonly recordsReceived: number;
  /** Acknowledged by the collector. */
  readonly recordsAccepted: number;
  /** By reason; the reasons are listed in docs/library.md. */
  readonly recordsLost: ReadonlyMap<string, number>;
  /** Taken over and on their way. */
  readonly recordsPending: number;
  /** On disk at the end of `shutdown`: the next exporter with the same spool delivers them. */
  readonly recordsSpooled: number;
  /** Tries of requests after the first. */
  readonly retries: number;
  /** Uncompressed size of what was acknowledged. */
  readonly bytesAccepted: number;
}

/** A LogRecordExporter that keeps books. */
export interface EvidenceLogExporter extends LogRecordExporter {
  counters(): LogExporterCounters;
}
