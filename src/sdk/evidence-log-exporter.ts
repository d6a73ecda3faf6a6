/**
 * The durable log exporter for any LoggerProvider: to an OTLP endpoint, configured by options and by the
 * variables that OpenTelemetry's own exporters take.
 */
import { createSender } from "../delivery/create-sender.ts";
import { openDiskQueue, type SpoolOptions } from "../delivery/disk-queue.ts";
import { createMemoryQueue, MEMORY_QUEUE_BYTES_MAX } from "../delivery/memory-queue.ts";
import { type Environment, type OtlpOverrides, readOtlpOptions } from "../delivery/otlp-environment.ts";
import type { OtlpCompression, OtlpProtocol } from "../delivery/otlp-options.ts";
import type { Sender } from "../delivery/outcome.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { startLogExporter } from "./log-exporter.ts";
import type { EvidenceLogExporter, LogExporterLimits } from "./log-exporter-options.ts";

export type { SpoolOptions };

/** Everything is optional; what is given wins over `OTEL_EXPORTER_OTLP_*`. */
export interface EvidenceLogExporterOptions extends LogExporterLimits {
  /** Base URL (`v1/logs` is appended unless it is there), or for gRPC also `host:port`. */
  readonly endpoint?: string | undefined;
  /** Default http/protobuf; grpc for an endpoint given here on port 4317. */
  readonly protocol?: OtlpProtocol | undefined;
  /** Sent with each request. Values may be secrets; no message shows them. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Time for one attempt; 0: no limit. Default 10 s. */
  readonly timeoutMs?: number | undefined;
  readonly compression?: OtlpCompression | undefined;
  /** gRPC without TLS for an endpoint without scheme. */
  readonly insecure?: boolean | undefined;
  /** Paths of PEM files: CA certificates, and for mutual TLS the client's key and certificate. */
  readonly certificateFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
  readonly clientCertificateFile?: string | undefined;
  /** Where `OTEL_EXPORTER_OTLP_*` are looked up. Default `process.env`. */
  readonly environment?: Environment | undefined;
  /** Bytes of requests that are not acknowledged yet, in memory. Default 32 MiB. */
  readonly queueBytesMax?: number | undefined;
  /** Gets one line about each kind of trouble, at most every 10 s. Default: a warning of the process. */
  readonly report?: ((line: string) => void) | undefined;
}

/**
 * Makes an exporter for a BatchLogRecordProcessor or a SimpleLogRecordProcessor; nothing is connected yet. What
 * it promises is in docs/library.md. Throws RuntimeEvidenceError `usage` for options that make no sense, and
 * `not-found`, `not-permitted` or `io` for TLS files that can't be used.
 */
export function createEvidenceLogExporter(options: EvidenceLogExporterOptions = {}): EvidenceLogExporter {
  const resolved = resolve(options);
  const queue = createMemoryQueue({ bytesMax: options.queueBytesMax ?? MEMORY_QUEUE_BYTES_MAX });
  return startLogExporter({ ...options, ...resolved, queue });
}

/**
 * The same over a spool on disk, so that what is queued outlives the process: what an earlier exporter left there is
 * delivered first. `queueBytesMax` then limits what is kept in memory beside it.
 * Rejects with what `createEvidenceLogExporter` throws, with `limit` where another exporter uses the spool, and with
 * `not-permitted` or `io` where its directory can't be used.
 */
export async function openEvidenceLogExporter(
  options: EvidenceLogExporterOptions & { readonly spool: SpoolOptions },
): Promise<EvidenceLogExporter> {
  const resolved = resolve(options);
  let exporter: ReturnType<typeof startLogExporter> | undefined;
  const queue = await openDiskQueue({
    ...options.spool,
    memoryBytesMax: options.queueBytesMax ?? MEMORY_QUEUE_BYTES_MAX,
    onDropped: (request, reason) => exporter?.dropped(request, reason),
    onTrouble: resolved.report,
  });
  exporter = startLogExporter({ ...options, ...resolved, queue, endSpool: () => queue.end() });
  return exporter;
}

function resolve(options: EvidenceLogExporterOptions): { sender: Sender; report: (line: string) => void } {
  checkLimits(options);
  const report = options.report ?? warn;
  const { options: otlp, warnings } = readOtlpOptions(options.environment ?? process.env, overrides(options));
  warnings.forEach(report);
  return { sender: createSender(otlp, { onTrouble: report }), report };
}

function warn(line: string): void {
  process.emitWarning(line, "RuntimeEvidenceWarning");
}

/** Options in the shape of the command line's; an `undefined` one counts as not given there too. */
function overrides({ headers, ...options }: EvidenceLogExporterOptions): OtlpOverrides {
  const pairs = Object.entries(headers ?? {});
  return {
    ...options,
    headers: pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`),
  } as OtlpOverrides;
}

const limits = [
  "batchBytesMax",
  "requestsInFlight",
  "handoverBytesMax",
  "queueBytesMax",
  "backpressureMaxMs",
  "flushTimeoutMs",
  "shutdownTimeoutMs",
] as const satisfies readonly (keyof EvidenceLogExporterOptions)[];

function checkLimits(options: EvidenceLogExporterOptions): void {
  for (const name of limits) {
    const value = options[name];
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue;
    throw new RuntimeEvidenceError("usage", `${name} must be a positive number, not ${value}`);
  }
}
