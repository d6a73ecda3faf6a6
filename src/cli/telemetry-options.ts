/**
 * Options about what a run says of itself: metrics and status.
 */

import { type Command, Option } from "commander";
import { type Environment, TIMER_MAX_MS } from "../delivery/otlp-environment.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { ExporterStatus } from "../health/exporter-status.ts";
import { statusJson } from "../health/status-json.ts";
import { senderTypeOf } from "../pipeline/exporter-status.ts";
import {
  type MetricExportOptions,
  prepareTelemetry,
  TEMPORALITIES,
  type Telemetry,
  type Temporality,
} from "../pipeline/telemetry.ts";
import { type DeliveryFlags, resolveOtlp } from "./delivery-options.ts";
import { type ListenAddress, parseListenAddress } from "./listen-address.ts";
import { parseStatusInterval, STATUS_HELP, STATUS_OPTION, startStatusReports } from "./status-reports.ts";

/** Values of the options added by `addTelemetryOptions`. */
export interface TelemetryFlags {
  metrics?: "otlp";
  metricsListen?: ListenAddress;
  status?: number | true;
}

/** Defaults of the SDK (OpenTelemetry specification, configuration/sdk-environment-variables.md). */
const INTERVAL_DEFAULT_MS = 60_000;
const TIMEOUT_DEFAULT_MS = 30_000;
/** A collector is not for measuring by the millisecond. */
const INTERVAL_MIN_MS = 100;

/** Adds the options that `capture`, `replay` and `export` share. */
export function addTelemetryOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--metrics <where>",
        "send metrics of the exporter itself to the collector, too (default: none)",
      ).choices(["otlp"]),
    )
    .option(
      "--metrics-listen <host:port>",
      "serve them for Prometheus at /metrics, on loopback only",
      parseMetricsAddress,
    )
    .option(STATUS_OPTION, STATUS_HELP, parseStatusInterval);
}

function parseMetricsAddress(text: string): ListenAddress {
  const address = parseListenAddress(text, "127.0.0.1:9464");
  return address.host === "localhost" ? { ...address, host: "127.0.0.1" } : address;
}

/** A run that says of itself what was asked for. */
export interface ObservedRun {
  /** For a delivery; absent where nobody wants to know. */
  readonly onAttempt: Telemetry["onAttempt"] | undefined;
  start(statusOf: (senderType: string) => ExporterStatus): void;
  end(): Promise<void>;
}

/**
 * Prepares what the flags and the environment ask for, while the caller's rights are still there.
 * @throws RuntimeEvidenceError what `resolveOtlp` and `prepareTelemetry` throw.
 */
export async function observeRun(
  command: string,
  flags: TelemetryFlags & DeliveryFlags,
  otlp: OtlpOptions | "discard" | undefined,
  print: (line: string) => void,
): Promise<ObservedRun> {
  const reports = startStatusReports(command, flags.status, print);
  const senderType = senderTypeOf(otlp);
  const telemetry = await prepareTelemetry({
    otlp: flags.metrics === undefined ? undefined : resolveMetricExport(flags, print),
    prometheus: flags.metricsListen,
    senderType,
    report: print,
  });
  if (telemetry?.prometheusAddress !== undefined) {
    print(`metrics on http://${telemetry.prometheusAddress}/metrics`);
  }
  return {
    onAttempt: telemetry?.onAttempt,
    start: (statusOf) => {
      reports.watch(() => statusJson(statusOf(senderType)));
      telemetry?.start(() => statusOf(senderType));
    },
    end: async () => {
      reports.end();
      await telemetry?.end();
    },
  };
}

/** How to send metrics: as evidence is sent, unless `OTEL_EXPORTER_OTLP_METRICS_*` says otherwise. */
export function resolveMetricExport(
  flags: DeliveryFlags,
  report: (line: string) => void,
  environment: Environment = process.env,
): MetricExportOptions {
  const otlp = resolveOtlp(flags, (line) => report(`metrics: ${line}`), environment, "metrics");
  const milliseconds = (name: string, minimumMs: number, defaultMs: number): number => {
    const text = environment[name]?.trim() || `${defaultMs}`;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimumMs && value <= TIMER_MAX_MS) return value;
    report(
      `warning: ${name} is ignored: it is no number of milliseconds from ${minimumMs} up and below 2^31`,
    );
    return defaultMs;
  };
  return {
    otlp,
    intervalMs: milliseconds("OTEL_METRIC_EXPORT_INTERVAL", INTERVAL_MIN_MS, INTERVAL_DEFAULT_MS),
    timeoutMs: milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 1, TIMEOUT_DEFAULT_MS),
    temporality: temporalityOf(environment, report),
  };
}

function temporalityOf(environment: Environment, report: (line: string) => void): Temporality {
  const name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
  const text = environment[name]?.trim().toLowerCase() || TEMPORALITIES[0];
  const known = TEMPORALITIES.find((temporality) => temporality === text);
  if (known === undefined)
    report(`warning: ${name} is ignored: it is not one of ${TEMPORALITIES.join(", ")}`);
  return known ?? TEMPORALITIES[0];
}
