/**
 * Self-metrics through OpenTelemetry's SDK: one meter, and a reader for each way out.
 *
 *   statusOf ──► observable instruments ──► periodic reader ──► OTLP, as evidence is sent
 *   attempts ──► histogram ────────────┘└─► reader on demand ─► Prometheus, on loopback
 */
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, MetricReader, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import type { Attempt } from "../delivery/delivery.ts";
import { within } from "../delivery/within.ts";
import { VERSION } from "../evidence/version.ts";
import type { ExporterStatus } from "../health/exporter-status.ts";
import { openPrometheusEndpoint, type PrometheusEndpoint } from "../health/prometheus-endpoint.ts";
import { registerSelfMetrics, type TimedAttempt } from "../health/self-metrics.ts";
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_VERSION } from "../health/standard-metrics.ts";
import { SCHEMA_URL } from "../otlp/attributes.gen.ts";
import { detectHost } from "./base-resource.ts";
import { OtlpMetricExporter } from "./otlp-metric-exporter.ts";
import type { MetricExportOptions, Telemetry, TelemetryOptions } from "./telemetry.ts";

/** How long the end waits for a collector to take the last values. */
const END_TIMEOUT_MS = 3000;
/** Attempts that are remembered before `start`. */
const EARLY_ATTEMPTS_MAX = 100;

/** See `prepareTelemetry`. */
export async function openTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const exporter = options.otlp && new OtlpMetricExporter(options.otlp, options.report);
  const endpoint = options.prometheus && (await openPrometheusEndpoint(options.prometheus));
  return new MeteredRun(options, await detectHost(), exporter, endpoint);
}

class MeteredRun implements Telemetry {
  readonly #options: TelemetryOptions;
  readonly #host: Readonly<Record<string, string>>;
  readonly #exporter: OtlpMetricExporter | undefined;
  readonly #endpoint: PrometheusEndpoint | undefined;
  readonly #early: TimedAttempt[] = [];
  #provider: MeterProvider | undefined;
  #record = (attempt: TimedAttempt): void => {
    if (this.#early.length < EARLY_ATTEMPTS_MAX) this.#early.push(attempt);
  };

  constructor(
    options: TelemetryOptions,
    host: Readonly<Record<string, string>>,
    exporter: OtlpMetricExporter | undefined,
    endpoint: PrometheusEndpoint | undefined,
  ) {
    this.#options = options;
    this.#host = host;
    this.#exporter = exporter;
    this.#endpoint = endpoint;
  }

  get prometheusAddress(): string | undefined {
    return this.#endpoint?.address;
  }

  readonly onAttempt = ({ outcome, durationMs }: Attempt): void => {
    const failure = outcome.kind === "accepted" ? undefined : outcome.reason;
    this.#record({ senderType: this.#options.senderType, durationMs, failure });
  };

  start(statusOf: () => ExporterStatus): void {
    const { otlp } = this.#options;
    const periodic = this.#exporter && otlp && periodicReader(this.#exporter, otlp);
    const onDemand = this.#endpoint && new ReaderOnDemand();
    this.#provider = new MeterProvider({
      resource: resourceFromAttributes({
        ...this.#host,
        [ATTR_SERVICE_VERSION]: VERSION,
        // The stream of this run is what `verify` knows it by; and no two runs may write one series.
        [ATTR_SERVICE_INSTANCE_ID]: statusOf().stream?.streamId ?? `${process.pid}`,
      }),
      readers: [periodic, onDemand].filter((reader) => reader !== undefined),
    });
    const meter = this.#provider.getMeter("runtime-evidence", VERSION, { schemaUrl: SCHEMA_URL });
    this.#record = registerSelfMetrics(meter, statusOf);
    for (const attempt of this.#early.splice(0)) this.#record(attempt);
    if (onDemand !== undefined) this.#endpoint?.serve(() => onDemand.text());
  }

  async end(): Promise<void> {
    if (this.#provider !== undefined) await within(this.#provider.shutdown(), END_TIMEOUT_MS);
    await this.#exporter?.shutdown();
    await this.#endpoint?.close();
  }
}

function periodicReader(
  exporter: OtlpMetricExporter,
  { intervalMs, timeoutMs }: MetricExportOptions,
): PeriodicExportingMetricReader {
  return new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: Math.min(timeoutMs, intervalMs),
  });
}

/** Collects when asked to, as Prometheus's text. */
class ReaderOnDemand extends MetricReader {
  /** Without a scope's labels, which would be the same on every line. */
  readonly #serializer = new PrometheusSerializer("", false, undefined, false, true);

  async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.collect();
    if (errors.length > 0) throw errors[0];
    return this.#serializer.serialize(resourceMetrics);
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}
