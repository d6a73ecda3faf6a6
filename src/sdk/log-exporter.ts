/**
 * Durable delivery as a LogRecordExporter: log records that a processor hands over are batched by bytes, queued
 * and delivered as captured evidence is. Each ends in exactly one counter.
 *
 *   export ──serialize──► batch being filled ──seal──► queue ──► N requests in flight ──► collector
 */
import { randomBytes } from "node:crypto";
import { context, diag } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode, suppressTracing } from "@opentelemetry/core";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { BATCH_BYTES_MAX, type Batch, createBatch } from "../delivery/batch.ts";
import { type Delivery, startDelivery } from "../delivery/delivery.ts";
import type { SealedRequest, Sender } from "../delivery/outcome.ts";
import type { DeliveryQueue, RequestFacts } from "../delivery/queue.ts";
import { createReport, REPORT_INTERVAL_MS, type Report } from "../delivery/report.ts";
import type { Settlement } from "../delivery/settlement.ts";
import { steadyUnixMs } from "../delivery/steady-clock.ts";
import { within } from "../delivery/within.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import {
  BACKPRESSURE_MAX_MS,
  type EvidenceLogExporter,
  EXPORTER_BATCH_AGE_MAX_MS,
  FLUSH_TIMEOUT_MS,
  HANDOVER_BYTES_MAX,
  type LogExporterCounters,
  type LogExporterLimits,
} from "./log-exporter-options.ts";
import { type LogsPart, serializeLogs } from "./serialize-logs.ts";

/** Reasons of losses beside those of the delivery's outcomes (`refused`, `too_large`, `given_up`). */
const SHUT_DOWN = "shut_down";
const NOT_SERIALIZABLE = "not_serializable";
const QUEUE_FULL = "queue_full";
const REJECTED = "rejected";
const UNDELIVERED = "undelivered";

export interface LogExporterOptions extends LogExporterLimits {
  readonly queue: DeliveryQueue;
  /** Where the queue is on disk: ends it. What is left then is not lost. */
  readonly endSpool?: (() => Promise<void>) | undefined;
  readonly sender: Sender;
  /** Gets one line about each kind of trouble, at intervals. */
  readonly report: (line: string) => void;
}

/** Starts an exporter, which owns the queue and the sender. */
export function startLogExporter(options: LogExporterOptions): DurableLogExporter {
  return new DurableLogExporter(options);
}

/** A request that is sealed and not settled; `settled` resolves with whether all its records were accepted. */
interface Unsettled {
  readonly recordCount: number;
  readonly settled: Promise<boolean>;
  settle(accepted: boolean): void;
}

export class DurableLogExporter implements EvidenceLogExporter {
  readonly #options: LogExporterOptions;
  readonly #delivery: Delivery;
  readonly #batch: Batch;
  readonly #report: Report;
  readonly #lost = new Map<string, number>();
  /** The stream that its requests are of: a spool may hold those of earlier exporters as well. */
  readonly #streamId = randomBytes(8).toString("hex");
  /** By their first sequence number: a request that was in a spool is another object when it is settled. */
  readonly #unsettled = new Map<number, Unsettled>();
  /** Requests that wait for room in the queue. */
  readonly #offers = new Set<Promise<void>>();
  #parts: LogsPart[] = [];
  #batchBytes = 0;
  #offeredBytes = 0;
  #sequence = 0;
  #received = 0;
  #accepted = 0;
  #spooled = 0;
  #pending = 0;
  #ended: Promise<void> | undefined;

  constructor(options: LogExporterOptions) {
    this.#options = options;
    this.#report = createReport(options.report, REPORT_INTERVAL_MS, () => performance.now());
    this.#batch = createBatch({
      bytesMax: options.batchBytesMax ?? BATCH_BYTES_MAX,
      ageMaxMs: options.batchAgeMaxMs ?? EXPORTER_BATCH_AGE_MAX_MS,
      marginBytes: 0,
      seal: () => this.#seal(),
    });
    this.#delivery = startDelivery({
      queue: options.queue,
      sender: untraced(options.sender),
      ...(options.requestsInFlight === undefined ? {} : { requestsInFlight: options.requestsInFlight }),
      retry: defined(options.retry ?? {}),
      report: options.report,
      onSettled: (settlement) => this.#settle(settlement),
    });
  }

  counters(): LogExporterCounters {
    const { retries, bytesAccepted } = this.#delivery.counters();
    return {
      recordsReceived: this.#received,
      recordsAccepted: this.#accepted,
      recordsLost: new Map(this.#lost),
      recordsPending: this.#pending,
      recordsSpooled: this.#spooled,
      retries,
      bytesAccepted,
    };
  }

  export(logs: readonly ReadableLogRecord[], resultCallback: (result: ExportResult) => void): void {
    this.#received += logs.length;
    this.#pending += logs.length;
    if (this.#ended !== undefined) {
      this.#lose(SHUT_DOWN, logs.length);
      resultCallback(failure([SHUT_DOWN]));
      return;
    }
    const { parts, refusedCount, refusal } = serializeLogs(
      logs,
      this.#options.batchBytesMax ?? BATCH_BYTES_MAX,
    );
    const reasons: string[] = [];
    if (refusedCount > 0) {
      this.#lose(NOT_SERIALIZABLE, refusedCount, String(refusal));
      reasons.push(NOT_SERIALIZABLE);
    }
    const sealedBefore = new Set(this.#unsettled.values());
    for (const part of parts) {
      if (this.#take(part)) continue;
      this.#lose(QUEUE_FULL, part.recordCount);
      if (!reasons.includes(QUEUE_FULL)) reasons.push(QUEUE_FULL);
    }
    if (reasons.length > 0) resultCallback(failure(reasons));
    else if (this.#options.successWhen === "acknowledged")
      this.#whenAcknowledged(sealedBefore, resultCallback);
    else this.#whenTaken(resultCallback);
  }

  /** Waits until the collector has everything that was exported before, at most `flushTimeoutMs`. */
  async forceFlush(): Promise<void> {
    if (this.#ended !== undefined) return this.#ended;
    this.#batch.flush();
    const settled = Promise.all(Array.from(this.#unsettled.values(), ({ settled }) => settled));
    const timeoutMs = this.#options.flushTimeoutMs ?? FLUSH_TIMEOUT_MS;
    if (await within(settled, timeoutMs)) return;
    // To reject would be worse: BatchLogRecordProcessor 3.1.1 then forgets the records that it has taken out of
    // its queue, and never flushes again.
    this.#report("flush", `${this.#pending} log records are not delivered after ${timeoutMs} ms of flushing`);
  }

  /** Delivers what is left, at most `shutdownTimeoutMs`; what is left then is lost. */
  shutdown(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#batch.flush();
    // Waiting offers are admitted while deliveries go on; draining closes the queue to them.
    const offered = Promise.all(this.#offers);
    const timeoutMs = this.#options.shutdownTimeoutMs ?? FLUSH_TIMEOUT_MS;
    const deadlineMs = performance.now() + timeoutMs;
    await within(offered, timeoutMs);
    await this.#delivery.drain(Math.max(0, deadlineMs - performance.now()));
    await this.#options.endSpool?.();
    // The offers that waited are refused by now, and booked.
    await Promise.all(this.#offers);
    for (const [firstSequence, { recordCount }] of this.#unsettled) {
      if (this.#options.endSpool === undefined) this.dropped({ recordCount, firstSequence }, UNDELIVERED);
      else {
        this.#spooled += recordCount;
        this.#pending -= recordCount;
        this.#forget(firstSequence, false);
      }
    }
  }

  #whenTaken(resultCallback: (result: ExportResult) => void): void {
    const success = () => resultCallback({ code: ExportResultCode.SUCCESS });
    if (this.#offers.size === 0) success();
    else {
      const room = Promise.all(this.#offers);
      void within(room, this.#options.backpressureMaxMs ?? BACKPRESSURE_MAX_MS).then(success);
    }
  }

  #whenAcknowledged(
    sealedBefore: ReadonlySet<Unsettled>,
    resultCallback: (result: ExportResult) => void,
  ): void {
    this.#batch.flush();
    const own = [...this.#unsettled.values()].filter((request) => !sealedBefore.has(request));
    void Promise.all(own.map(({ settled }) => settled)).then((all) =>
      resultCallback(all.every(Boolean) ? { code: ExportResultCode.SUCCESS } : failure(["not accepted"])),
    );
  }

  /** Puts a part into the batch; false when the queue is full and so is the room before it. */
  #take(part: LogsPart): boolean {
    const bytes = part.body.byteLength;
    const heldBytes = this.#batchBytes + this.#offeredBytes;
    const bytesMax = this.#options.handoverBytesMax ?? HANDOVER_BYTES_MAX;
    if (heldBytes > 0 && heldBytes + bytes > bytesMax) return false;
    if (!this.#batch.fits(this.#batchBytes, bytes)) this.#batch.flush();
    this.#parts.push(part);
    this.#batchBytes += bytes;
    this.#batch.grown(this.#batchBytes);
    return true;
  }

  #seal(): void {
    const [first, ...others] = this.#parts;
    if (first === undefined) return;
    // Requests one after another are one request: the fields of both are repeated ones.
    const body = others.length === 0 ? first.body : Buffer.concat(this.#parts.map((part) => part.body));
    const recordCount = this.#parts.reduce((sum, part) => sum + part.recordCount, 0);
    this.#parts = [];
    this.#batchBytes = 0;
    const firstSequence = this.#sequence + 1;
    this.#sequence += recordCount;
    const request: SealedRequest = {
      body,
      recordCount,
      sealedAtUnixMs: steadyUnixMs(),
      streamId: this.#streamId,
      firstSequence,
      lastSequence: this.#sequence,
    };
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#unsettled.set(firstSequence, { recordCount, settled: promise, settle: resolve });
    this.#offeredBytes += body.byteLength;
    const offer = this.#options.queue
      .offer(request)
      .catch((thrown) => this.dropped(request, UNDELIVERED, RuntimeEvidenceError.from(thrown).message))
      .finally(() => {
        this.#offeredBytes -= body.byteLength;
        this.#offers.delete(offer);
      });
    this.#offers.add(offer);
  }

  #settle({ request, acceptedRecords, rejectedRecords, lost, keptRecords, message }: Settlement): void {
    const { streamId, firstSequence = 0 } = request;
    // It is in the queue again, whole; or of an earlier exporter, which has given account of it.
    if (keptRecords > 0 || streamId !== this.#streamId) return;
    this.#accepted += acceptedRecords;
    this.#pending -= acceptedRecords;
    // The delivery has reported them.
    const said = message === "" ? undefined : message;
    for (const [reason, records] of lost) this.#book(reason, records, said);
    if (rejectedRecords > 0) this.#book(REJECTED, rejectedRecords, said);
    this.#forget(firstSequence, acceptedRecords === request.recordCount);
  }

  /** A request is lost on this side of the collector; it is known by its first sequence number. */
  dropped(
    request: Pick<RequestFacts, "recordCount" | "firstSequence">,
    reason: string,
    message?: string,
  ): void {
    const { recordCount, firstSequence = 0 } = request;
    if (!this.#unsettled.has(firstSequence)) return;
    this.#lose(reason, recordCount, message);
    this.#forget(firstSequence, false);
  }

  #forget(firstSequence: number, accepted: boolean): void {
    this.#unsettled.get(firstSequence)?.settle(accepted);
    this.#unsettled.delete(firstSequence);
  }

  #lose(reason: string, records: number, message?: string): void {
    this.#report(
      `lost ${reason}`,
      `lost ${records} log records: ${reason}${message === undefined ? "" : `: ${message}`}`,
    );
    this.#book(reason, records, message);
  }

  #book(reason: string, records: number, message: string | undefined): void {
    this.#pending -= records;
    this.#lost.set(reason, (this.#lost.get(reason) ?? 0) + records);
    try {
      this.#options.onLoss?.({ reason, records, ...(message === undefined ? {} : { message }) });
    } catch (thrown) {
      // Whoever listens must not end the delivery.
      diag.error("onLoss of the evidence log exporter threw", thrown);
    }
  }
}

/** Without members that are there and `undefined`: those would take the place of defaults. */
function defined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

function failure(reasons: readonly string[]): ExportResult {
  const message = `log records were lost: ${reasons.join(", ")}`;
  return { code: ExportResultCode.FAILED, error: new RuntimeEvidenceError("delivery-failed", message) };
}

/** So that instrumented HTTP and gRPC clients make no spans of the telemetry's own requests. */
function untraced(sender: Sender): Sender {
  return {
    send: (request, signal) =>
      context.with(suppressTracing(context.active()), () => sender.send(request, signal)),
    close: () => sender.close(),
  };
}
