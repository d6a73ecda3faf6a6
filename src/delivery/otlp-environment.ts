/**
 * OTLP options from the environment and the command line (OpenTelemetry specification, protocol/exporter.md and
 * configuration/sdk-environment-variables.md). The command line wins, then the variables of the signal
 * (`OTEL_EXPORTER_OTLP_LOGS_*`, `OTEL_EXPORTER_OTLP_METRICS_*`), then `OTEL_EXPORTER_OTLP_*`, then the default. Empty
 * is unset; what cannot be parsed is a warning and ignored.
 *
 * `OTEL_BLRP_MAX_QUEUE_SIZE`, `_MAX_EXPORT_BATCH_SIZE` and `_EXPORT_TIMEOUT` have no effect: they count records,
 * where queue and batches here are bounded by bytes, and a request is tried until it is delivered.
 *
 * Beyond the specification: with an endpoint from the command line on port 4317 and no protocol given
 * anywhere, the protocol is grpc, because that port is gRPC's by registration.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { BATCH_AGE_MAX_MS } from "./batch.ts";
import { defaultEndpoint, type EndpointKind, endpointPort, resolveEndpoint } from "./otlp-endpoint.ts";
import { parseHeader, parseHeaderList } from "./otlp-headers.ts";
import type { OtlpCompression, OtlpOptions, OtlpProtocol, OtlpSignal, TlsFiles } from "./otlp-options.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line says; everything is optional and wins over the environment. */
export interface OtlpOverrides {
  /** Base URL (`v1/logs` is appended unless it is there), or for gRPC also `host:port`. */
  readonly endpoint?: string;
  readonly protocol?: string;
  /** `name=value` each, values percent-encoded where needed; added to those of the environment. */
  readonly headers?: readonly string[];
  /** A file of `name=value` lines, see `headers-file.ts`; they win over all other headers. */
  readonly headersFile?: string;
  readonly timeoutMs?: number;
  readonly compression?: string;
  /** gRPC without TLS for an endpoint without scheme. */
  readonly insecure?: boolean;
  readonly certificateFile?: string;
  readonly clientKeyFile?: string;
  readonly clientCertificateFile?: string;
  readonly batchAgeMaxMs?: number;
}

const PROTOCOLS: readonly OtlpProtocol[] = ["grpc", "http/protobuf", "http/json"];
const COMPRESSIONS: readonly OtlpCompression[] = ["none", "gzip"];
const TIMEOUT_DEFAULT_MS = 10_000;
/** The longest a Node timer can wait: almost 25 days. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * Resolves all options. Warnings are lines for people about variables that were ignored; neither they nor errors
 * contain values of headers or endpoints. Throws RuntimeEvidenceError `usage` for an override that makes no sense.
 */
export function readOtlpOptions(
  environment: Environment,
  commandLine: OtlpOverrides = {},
  signal: OtlpSignal = "logs",
): { readonly options: OtlpOptions; readonly warnings: readonly string[] } {
  const reader = new VariableReader(environment, signal);
  // The command line is about the collector of evidence: its headers may be secrets that another must not see.
  const isElsewhere =
    signal === "metrics" && reader.text("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") !== undefined;
  const overrides = isElsewhere ? {} : commandLine;
  const protocol = resolveProtocol(reader, overrides);
  const options: OtlpOptions = {
    signal,
    protocol,
    ...resolveTarget(reader, overrides, protocol),
    headers: resolveHeaders(reader, overrides),
    ...(overrides.headersFile !== undefined && { headersFile: overrides.headersFile }),
    timeoutMs:
      overrideMs("timeout", overrides.timeoutMs) ?? reader.milliseconds("TIMEOUT") ?? TIMEOUT_DEFAULT_MS,
    compression:
      overrideChoice("compression", overrides.compression, COMPRESSIONS) ??
      reader.choice("COMPRESSION", COMPRESSIONS) ??
      "none",
    tlsFiles: resolveTlsFiles(reader, overrides),
    batchAgeMaxMs:
      overrideMs("batch age", overrides.batchAgeMaxMs) ??
      reader.millisecondsOf("OTEL_BLRP_SCHEDULE_DELAY") ??
      BATCH_AGE_MAX_MS,
  };
  return { options, warnings: reader.warnings };
}

/** Reads variables by the suffix that the generic one and the signal's share, and gathers warnings. */
class VariableReader {
  readonly warnings: string[] = [];
  readonly signal: OtlpSignal;
  /** What the names of the signal's variables begin with. */
  readonly signalPrefix: string;
  readonly #environment: Environment;

  constructor(environment: Environment, signal: OtlpSignal) {
    this.#environment = environment;
    this.signal = signal;
    this.signalPrefix = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_`;
  }

  text(name: string): string | undefined {
    const value = this.#environment[name]?.trim();
    return value === "" ? undefined : value;
  }

  /** The first of the signal's and the generic variable that is set and that `parse` accepts. */
  first<T>(suffix: string, parse: (value: string, name: string) => T | string): T | undefined {
    for (const name of [`${this.signalPrefix}${suffix}`, `OTEL_EXPORTER_OTLP_${suffix}`]) {
      const value = this.parsed(name, parse);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** One variable; `parse` returns a string as the reason why it is ignored. */
  parsed<T>(name: string, parse: (value: string, name: string) => T | string): T | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const parsed = parse(value, name);
    if (typeof parsed !== "string") return parsed;
    this.warnings.push(`${name} is ignored: ${parsed}`);
    return undefined;
  }

  milliseconds(suffix: string): number | undefined {
    return this.first(suffix, (value) => parseMs(value));
  }

  millisecondsOf(name: string): number | undefined {
    return this.parsed(name, (value) => parseMs(value));
  }

  choice<T extends string>(suffix: string, choices: readonly T[]): T | undefined {
    return this.first(suffix, (value) => parseChoice(value, choices))?.choice;
  }

  file(suffix: string): string | undefined {
    return this.first(suffix, (value) => ({ value }))?.value;
  }
}

function resolveProtocol(reader: VariableReader, overrides: OtlpOverrides): OtlpProtocol {
  const given =
    overrideChoice("protocol", overrides.protocol, PROTOCOLS) ?? reader.choice("PROTOCOL", PROTOCOLS);
  if (given !== undefined) return given;
  if (overrides.endpoint !== undefined) {
    return endpointPort(overrides.endpoint) === 4317 ? "grpc" : "http/protobuf";
  }
  const endpoint = reader.first("ENDPOINT", (value) => ({ value }))?.value;
  if (endpoint !== undefined && endpointPort(endpoint) === 4317) {
    reader.warnings.push(
      "the OTLP endpoint has the port of gRPC, but no protocol is set and the default is http/protobuf; " +
        "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc if it is gRPC",
    );
  }
  return "http/protobuf";
}

function resolveTarget(
  reader: VariableReader,
  overrides: OtlpOverrides,
  protocol: OtlpProtocol,
): Pick<OtlpOptions, "target" | "secure"> {
  const insecure =
    overrides.insecure ??
    reader.first("INSECURE", (value) => ({ is: value.toLowerCase() === "true" }))?.is ??
    false;
  if (overrides.endpoint !== undefined) {
    const resolved = resolveEndpoint(overrides.endpoint, "flag", protocol, insecure, reader.signal);
    if (typeof resolved === "string") {
      throw new RuntimeEvidenceError(
        "usage",
        `the OTLP endpoint cannot be used with ${protocol}: ${resolved}`,
      );
    }
    return resolved;
  }
  const fromEnvironment = reader.first("ENDPOINT", (value, name) => {
    const kind: EndpointKind = name.startsWith(reader.signalPrefix) ? "signal" : "generic";
    return resolveEndpoint(value, kind, protocol, insecure, reader.signal);
  });
  if (fromEnvironment !== undefined) return fromEnvironment;
  const fallback = resolveEndpoint(defaultEndpoint(protocol), "generic", protocol, insecure, reader.signal);
  if (typeof fallback === "string") throw new RuntimeEvidenceError("usage", fallback);
  return fallback;
}

function resolveHeaders(reader: VariableReader, overrides: OtlpOverrides): ReadonlyMap<string, string> {
  const headers = new Map(
    reader.first("HEADERS", (value, name) => {
      const parsed = parseHeaderList(value);
      for (const problem of parsed.problems) reader.warnings.push(`${name}, ${problem}; it is left out`);
      return parsed.headers;
    }),
  );
  for (const pair of overrides.headers ?? []) {
    const parsed = parseHeader(pair);
    if (typeof parsed === "string") {
      throw new RuntimeEvidenceError("usage", `a header given as an option cannot be used: ${parsed}`);
    }
    headers.set(parsed.name, parsed.value);
  }
  return headers;
}

function resolveTlsFiles(reader: VariableReader, overrides: OtlpOverrides): TlsFiles {
  const certificateFile = overrides.certificateFile ?? reader.file("CERTIFICATE");
  const clientKeyFile = overrides.clientKeyFile ?? reader.file("CLIENT_KEY");
  const clientCertificateFile = overrides.clientCertificateFile ?? reader.file("CLIENT_CERTIFICATE");
  return {
    ...(certificateFile !== undefined && { certificateFile }),
    ...(clientKeyFile !== undefined && { clientKeyFile }),
    ...(clientCertificateFile !== undefined && { clientCertificateFile }),
  };
}

function parseMs(value: string): number | string {
  const ms = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  return ms <= TIMER_MAX_MS ? ms : "it is not a whole number of milliseconds below 2^31";
}

function parseChoice<T extends string>(
  value: string,
  choices: readonly T[],
): { readonly choice: T } | string {
  const choice = choices.find((known) => known === value);
  return choice === undefined ? `it is not one of ${choices.join(", ")}` : { choice };
}

function overrideChoice<T extends string>(
  what: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const parsed = parseChoice(value, choices);
  if (typeof parsed !== "string") return parsed.choice;
  throw new RuntimeEvidenceError("usage", `the OTLP ${what} cannot be used: ${parsed}`);
}

function overrideMs(what: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= TIMER_MAX_MS)) return value;
  throw new RuntimeEvidenceError(
    "usage",
    `the OTLP ${what} must be a whole number of milliseconds below 2^31`,
  );
}
