/**
 * What an exporter says of itself while it runs: metrics over OTLP and for Prometheus. Without either nothing is
 * loaded, nobody listens and nothing is sent.
 */
import type { Attempt } from "../delivery/delivery.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { ExporterStatus } from "../health/exporter-status.ts";
import type { LoopbackAddress } from "../health/prometheus-endpoint.ts";

/** What a value is counted from: the start, or the value sent last; `lowmemory` is delta where that is free. */
export const TEMPORALITIES = ["cumulative", "delta", "lowmemory"] as const;
export type Temporality = (typeof TEMPORALITIES)[number];

/** Metrics sent over OTLP. */
export interface MetricExportOptions {
  readonly otlp: OtlpOptions;
  readonly intervalMs: number;
  /** For one collection and its export; at most the interval. */
  readonly timeoutMs: number;
  readonly temporality: Temporality;
}

export interface TelemetryOptions {
  readonly otlp?: MetricExportOptions | undefined;
  readonly prometheus?: LoopbackAddress | undefined;
  /** What sends the records, by its name in OpenTelemetry's conventions. */
  readonly senderType: string;
  /** Gets one line about each kind of trouble, at intervals. */
  readonly report: (line: string) => void;
}

export interface Telemetry {
  /** Where Prometheus asks. */
  readonly prometheusAddress: string | undefined;
  /** For `onAttempt` of a delivery. */
  readonly onAttempt: (attempt: Attempt) => void;
  /** Measures from now on: `statusOf` is asked when somebody wants to know. */
  start(statusOf: () => ExporterStatus): void;
  /** Sends the last values, for which it waits a few seconds at most, and closes. Never rejects. */
  end(): Promise<void>;
}

/**
 * Loads what is needed, listens, and reads certificates, while the caller's rights are still there. Nothing is
 * connected yet. Resolves with nothing where nothing was asked for.
 * @throws RuntimeEvidenceError what `createSender` and `openPrometheusEndpoint` throw.
 */
export async function prepareTelemetry(options: TelemetryOptions): Promise<Telemetry | undefined> {
  if (options.otlp === undefined && options.prometheus === undefined) return undefined;
  // Of some size, and most runs need none of it.
  const { openTelemetry } = await import("./metric-readers.ts");
  return openTelemetry(options);
}
