/**
 * What an exporter is doing, at one moment. The self-metrics, the status of SIGUSR1 and the summary at the end are
 * made of the same values, so that they never contradict each other.
 */
import type { ProbeBalance } from "./ledger.ts";

/** What the kernel's programs have counted, totals since the start. */
export interface KernelStatus {
  readonly seen: bigint;
  readonly filtered: bigint;
  readonly emitted: bigint;
}

/** One kind of events. */
export interface ProbeStatus {
  readonly probe: string;
  /** Only of a capture and its replay. */
  readonly kernel?: KernelStatus;
  /** Acknowledged by the collector; without one, written. */
  readonly exported: bigint;
  /** Left on disk for the next run, at the end. */
  readonly spooled: bigint;
  readonly lost: ReadonlyMap<string, bigint>;
  /** On the way. The kernel's counts come once a second: what was exported before it was told counts as 0. */
  readonly pending: bigint;
}

/** Frames on their way from the probe or from a recording. */
export interface PipeStatus {
  readonly bytesRead: number;
  readonly framesDamaged: number;
  /** Time in which nothing was read because what comes after took nothing. */
  readonly blockedMs: number;
  readonly probeRestarts: number;
}

export interface StreamStatus {
  readonly streamId: string;
  /** Of the newest record. */
  readonly lastSequence: number;
  /** Losses that no delivered record has reported yet. */
  readonly lossesPending: number;
}

export type QueueType = "memory" | "disk";

/** What is not acknowledged, requests in flight included. */
export interface QueueStatus {
  readonly type: QueueType;
  readonly requests: number;
  readonly records: number;
  readonly oldestAgeMs: number;
  /** Bytes, and how many there may be; a queue on disk has some of its requests in memory, too. */
  readonly room: readonly { readonly type: QueueType; readonly bytes: number; readonly bytesMax: number }[];
  /** Records that were dropped before they were sent, by reason. */
  readonly recordsDropped: ReadonlyMap<string, number>;
}

export interface SpoolStatus {
  readonly bytesWritten: number;
  /** Records that earlier runs had left. */
  readonly recordsRecovered: number;
  readonly damagedFiles: number;
  /** Operations of the file system that failed, by `write ENOSPC` and the like. */
  readonly failures: ReadonlyMap<string, number>;
}

export interface SenderStatus {
  /** One of the values that OpenTelemetry has for `otel.component.type`, or `discard`. */
  readonly type: string;
  readonly recordsInFlight: number;
  readonly recordsAccepted: number;
  /** Records that were sent and not stored, by reason. */
  readonly recordsFailed: ReadonlyMap<string, number>;
  readonly recordsDeadLettered: number;
  readonly requestsAccepted: number;
  /** Attempts that failed, by reason; most of them are followed by another. */
  readonly attemptsFailed: ReadonlyMap<string, number>;
  readonly retries: number;
  readonly requestsSplit: number;
  readonly bytesAccepted: number;
}

/** Records that were read to be exported; read = encoded + invalid + refused. */
export interface InputStatus {
  readonly read: number;
  readonly invalid: number;
  readonly refused: number;
}

/** What this process itself takes. */
export interface ProcessStatus {
  readonly uptimeMs: number;
  readonly rssBytes: number;
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
}

export interface ExporterStatus {
  readonly probes: readonly ProbeStatus[];
  readonly input?: InputStatus | undefined;
  readonly pipe?: PipeStatus | undefined;
  /** These four where there is a collector. */
  readonly stream?: StreamStatus | undefined;
  readonly queue?: QueueStatus | undefined;
  readonly sender?: SenderStatus | undefined;
  /** Where the queue is on disk. */
  readonly spool?: SpoolStatus | undefined;
  readonly process: ProcessStatus;
}

/** The line of a probe in the books, as a status. */
export function probeStatusOf(balance: ProbeBalance): ProbeStatus {
  const { probe, seen, filtered, emitted, exported, spooled, lost, pending } = balance;
  const kernel = { seen, filtered, emitted };
  return { probe, kernel, exported, spooled, lost, pending: pending > 0n ? pending : 0n };
}

/** What the process that asks takes. */
export function processStatus(): ProcessStatus {
  const { user, system } = process.cpuUsage();
  return {
    uptimeMs: performance.now(),
    rssBytes: process.memoryUsage.rss(),
    cpuUserMs: user / 1000,
    cpuSystemMs: system / 1000,
  };
}
