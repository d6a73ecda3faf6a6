/**
 * Metrics to a collector on the way that evidence goes: the same senders, with their TLS files, headers and limits.
 * An export that fails is not tried again: the next one has newer values.
 */
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import {
  AggregationTemporality,
  InstrumentType,
  type PushMetricExporter,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { createSender } from "../delivery/create-sender.ts";
import type { Sender } from "../delivery/outcome.ts";
import { createReport, REPORT_INTERVAL_MS, type Report } from "../delivery/report.ts";
import { said } from "../evidence/remote-text.ts";
import type { MetricExportOptions, Temporality } from "./telemetry.ts";

/** Of which values are told as differences (OTLP metrics exporter specification). */
const DELTA_INSTRUMENTS: Readonly<Record<Temporality, readonly InstrumentType[]>> = {
  cumulative: [],
  delta: [InstrumentType.COUNTER, InstrumentType.OBSERVABLE_COUNTER, InstrumentType.HISTOGRAM],
  // Differences of what is observed would need the last values to be kept.
  lowmemory: [InstrumentType.COUNTER, InstrumentType.HISTOGRAM],
};

export class OtlpMetricExporter implements PushMetricExporter {
  readonly #options: MetricExportOptions;
  readonly #sender: Sender;
  readonly #report: Report;
  readonly #stop = new AbortController();
  #closed: Promise<void> | undefined;

  /** Reads certificates and the headers file; throws RuntimeEvidenceError as `createSender` does. */
  constructor(options: MetricExportOptions, report: (line: string) => void) {
    this.#options = options;
    this.#sender = createSender(options.otlp, { onTrouble: report });
    this.#report = createReport(report, REPORT_INTERVAL_MS, () => performance.now());
  }

  export(metrics: ResourceMetrics, done: (result: ExportResult) => void): void {
    void this.#send(metrics).then(
      () => done({ code: ExportResultCode.SUCCESS }),
      (thrown: unknown) => {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        this.#report("failed", `metrics: ${error.message}; these values are not sent again`);
        done({ code: ExportResultCode.FAILED, error });
      },
    );
  }

  selectAggregationTemporality(instrument: InstrumentType): AggregationTemporality {
    return DELTA_INSTRUMENTS[this.#options.temporality].includes(instrument)
      ? AggregationTemporality.DELTA
      : AggregationTemporality.CUMULATIVE;
  }

  async forceFlush(): Promise<void> {}

  /** Cancels what is being sent. */
  shutdown(): Promise<void> {
    this.#stop.abort();
    this.#closed ??= this.#sender.close();
    return this.#closed;
  }

  async #send(metrics: ResourceMetrics): Promise<void> {
    const isJson = this.#options.otlp.protocol === "http/json";
    const serializer = isJson ? JsonMetricsSerializer : ProtobufMetricsSerializer;
    const bytes = serializer.serializeRequest(metrics);
    if (bytes === undefined) throw new Error("the values could not be encoded");
    const request = { body: Buffer.from(bytes), recordCount: 0, sealedAtUnixMs: Date.now() };
    const outcome = await this.#sender.send(request, this.#stop.signal);
    if (outcome.kind !== "accepted") {
      throw new Error(`collector: ${said(outcome.reason, outcome.message)}`);
    }
    if (outcome.message !== "") this.#report("warning", `metrics: collector warns: ${outcome.message}`);
  }
}
