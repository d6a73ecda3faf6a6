/** Where and how to send: one resolved set of options, made by `otlp-environment.ts`. */

export type OtlpProtocol = "grpc" | "http/protobuf" | "http/json";
export type OtlpCompression = "none" | "gzip";
/** What is sent: evidence, or what an exporter measures of itself. */
export type OtlpSignal = "logs" | "metrics";

/** Paths of PEM files; read when the sender is created, and again when one changes. */
export interface TlsFiles {
  /** CA certificates to trust instead of those that come with Node. */
  readonly certificateFile?: string;
  readonly clientKeyFile?: string;
  readonly clientCertificateFile?: string;
}

export interface OtlpOptions {
  readonly signal: OtlpSignal;
  readonly protocol: OtlpProtocol;
  /** HTTP: the full URL that is posted to. gRPC: a grpc-js target such as `dns:collector:4317`. */
  readonly target: string;
  /** Whether the connection is TLS. */
  readonly secure: boolean;
  /** Sent with each request. Values may be secrets. Names are in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** A file with more of them, which win; read when the sender is created, and again when it changes. */
  readonly headersFile?: string;
  /** Time for one attempt, from connecting to the end of the response; 0: no limit. */
  readonly timeoutMs: number;
  readonly compression: OtlpCompression;
  readonly tlsFiles: TlsFiles;
  /** Longest time a record waits for its batch to fill (`OTEL_BLRP_SCHEDULE_DELAY`). */
  readonly batchAgeMaxMs: number;
}

/** How a sender follows what changes while it sends: TLS files, the headers file, the collector's addresses. */
export interface RenewalOptions {
  /** Gets one line when a file has changed and the new one cannot be used; what was read before stays in use. */
  readonly onTrouble?: (line: string) => void;
  /** Files are looked at when something is sent, but not more often; default 1 s. */
  readonly fileCheckIntervalMs?: number;
  /** Names are looked up anew when something is sent, but not more often; default 30 s. */
  readonly addressCheckIntervalMs?: number;
}

/** One line for people, without secrets: header values are left out, and so is the URL's query. */
export function describeOtlpOptions(options: OtlpOptions): string {
  const parts = [options.protocol, `to ${options.target.replace(/[?#].*$/s, "")}`];
  parts.push(options.secure ? (options.tlsFiles.clientKeyFile === undefined ? "TLS" : "mTLS") : "no TLS");
  if (options.compression !== "none") parts.push(options.compression);
  if (options.headers.size > 0) {
    parts.push(`headers ${[...options.headers.keys()].map((name) => `${name}=[redacted]`).join(",")}`);
  }
  if (options.headersFile !== undefined) parts.push(`headers of ${options.headersFile}`);
  parts.push(options.timeoutMs === 0 ? "no timeout" : `timeout ${options.timeoutMs} ms`);
  return parts.join(", ");
}
