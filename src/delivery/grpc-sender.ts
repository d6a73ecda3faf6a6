/**
 * OTLP/gRPC: `Export` of the signal's service as a unary call of raw bytes. The body
 * is already protobuf, so no generated client and no copy stands between the queue and the socket.
 */
import type { SecureContext } from "node:tls";
import {
  Client,
  type ClientOptions,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { remoteText } from "../evidence/remote-text.ts";
import { AddressWatch } from "./address-watch.ts";
import { ConnectionRotation } from "./connection-rotation.ts";
import { classifyGrpcStatus } from "./grpc-status.ts";
import { RequestHeaders } from "./headers-file.ts";
import type { OtlpOptions, OtlpSignal, RenewalOptions } from "./otlp-options.ts";
import type { Sender, SendOutcome } from "./outcome.ts";
import { readPartialSuccess } from "./partial-success.ts";
import { grpcMismatch } from "./protocol-mismatch.ts";
import { retryInfoDelayMs } from "./retry-info.ts";
import { TlsMaterial } from "./tls-files.ts";
import { USER_AGENT } from "./user-agent.ts";

const EXPORT_METHODS = {
  logs: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
  metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
} as const satisfies Record<OtlpSignal, string>;

/** Largest response that is read, as the OTLP specification recommends. */
const RESPONSE_BYTES_MAX = 4 * 1024 * 1024;

const CHANNEL_OPTIONS: ClientOptions = {
  "grpc.primary_user_agent": USER_AGENT,
  // Batches are sized before; what the server takes is the server's to say.
  "grpc.max_send_message_length": -1,
  "grpc.max_receive_message_length": RESPONSE_BYTES_MAX,
  // Retries are this project's; grpc-js would keep a second copy of each message for its own.
  "grpc.enable_retries": 0,
  // A half-open connection answers nothing; without pings every call would run into its deadline until TCP
  // gives up, about a quarter of an hour later.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // The default of two minutes would keep failing calls long after the collector is back.
  "grpc.initial_reconnect_backoff_ms": 500,
  "grpc.max_reconnect_backoff_ms": 5_000,
  // A service config from DNS could change retries and balancing behind our back.
  "grpc.service_config_disable_resolution": 1,
  // As over HTTP: evidence goes where the endpoint says, and nowhere else because of an environment variable.
  "grpc.enable_http_proxy": 0,
  // A client that replaces another must not be given the other's connection.
  "grpc.use_local_subchannel_pool": 1,
};

const ABORTED: SendOutcome = { kind: "retryable", reason: "aborted" };

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * Makes the sender; TLS files and the headers file are read here. Throws RuntimeEvidenceError `usage`, `not-found`,
 * `not-permitted`, `io` or `limit` for them.
 */
export function createGrpcSender(options: OtlpOptions, renewal: RenewalOptions): Sender {
  return new GrpcSender(options, renewal);
}

class GrpcSender implements Sender {
  readonly #method: string;
  /** Host and port, for people. */
  readonly #server: string;
  readonly #secure: boolean;
  readonly #timeoutMs: number;
  readonly #headers: RequestHeaders;
  readonly #tls: TlsMaterial | undefined;
  readonly #addresses: AddressWatch;
  readonly #clients: ConnectionRotation<Client>;
  #metadata: Metadata;
  /** When the collector answered last, whatever it was, on any connection. */
  #answeredMs = Number.NEGATIVE_INFINITY;
  #halfOpen = false;
  #hasDelivered = false;

  constructor(options: OtlpOptions, renewal: RenewalOptions) {
    this.#method = EXPORT_METHODS[options.signal];
    this.#server = options.target.replace(/^dns:(?:\/\/[^/]*\/)?/, "");
    this.#secure = options.secure;
    this.#timeoutMs = options.timeoutMs;
    this.#headers = new RequestHeaders(options.headers, options.headersFile, renewal);
    this.#metadata = toMetadata(this.#headers.current);
    this.#tls = options.secure ? new TlsMaterial(options.tlsFiles, renewal) : undefined;
    // `dns:host:port` and `dns://authority/host:port`; other schemes have nothing to look up.
    this.#addresses = new AddressWatch(
      /^dns:(?:\/\/[^/]*\/)?([^/]+?)(?::\d+)?$/.exec(options.target)?.[1],
      renewal,
    );
    this.#clients = new ConnectionRotation({
      open: () => createClient(options, this.#tls?.context),
      close: (client) => client.close(),
    });
  }

  send(request: { readonly body: Buffer }, signal: AbortSignal): Promise<SendOutcome> {
    if (signal.aborted) return Promise.resolve(ABORTED);
    if (this.#headers.refresh()) this.#metadata = toMetadata(this.#headers.current);
    if (this.#isOutdated()) this.#clients.rotate();
    return this.#clients.use((client) => this.#call(client, request.body, signal));
  }

  async close(): Promise<void> {
    this.#clients.close();
  }

  #isOutdated(): boolean {
    const renewed = this.#tls?.refresh() ?? false;
    const moved = this.#addresses.moved();
    const outdated = renewed || moved || this.#halfOpen;
    this.#halfOpen = false;
    return outdated;
  }

  #call(client: Client, body: Buffer, signal: AbortSignal): Promise<SendOutcome> {
    const startedMs = performance.now();
    const deadline = this.#timeoutMs === 0 ? Number.POSITIVE_INFINITY : Date.now() + this.#timeoutMs;
    return new Promise((resolve) => {
      const cancel = () => call.cancel();
      const call = client.makeUnaryRequest<Buffer, Buffer>(
        this.#method,
        identity,
        identity,
        body,
        this.#metadata,
        { deadline },
        (error, response) => {
          signal.removeEventListener("abort", cancel);
          if (error !== null && signal.aborted) return resolve(ABORTED);
          const outcome = error === null ? this.#accepted(response ?? Buffer.alloc(0)) : this.#failed(error);
          this.#noteAnswer(client, outcome, startedMs);
          resolve(outcome);
        },
      );
      signal.addEventListener("abort", cancel, { once: true });
    });
  }

  /** A connection on which nothing at all was answered while a call ran into its deadline may be half-open. */
  #noteAnswer(client: Client, outcome: SendOutcome, startedMs: number): void {
    if (outcome.kind !== "retryable" || outcome.timedOut !== true) this.#answeredMs = performance.now();
    else if (this.#answeredMs < startedMs && this.#clients.isCurrent(client)) this.#halfOpen = true;
  }

  #accepted(response: Buffer): SendOutcome {
    const partial = readPartialSuccess(response, "protobuf");
    this.#hasDelivered = true;
    return { kind: "accepted", ...partial, message: remoteText(partial.message, this.#headers.secrets) };
  }

  #failed(error: ServiceError): SendOutcome {
    const details = error.metadata?.get("grpc-status-details-bin")[0];
    const delayMs = Buffer.isBuffer(details) ? retryInfoDelayMs(details) : undefined;
    const message = remoteText(error.details ?? error.message, this.#headers.secrets);
    const code = error.code ?? status.UNKNOWN;
    if (code === status.UNAUTHENTICATED && this.#headers.refresh({ now: true })) {
      this.#metadata = toMetadata(this.#headers.current);
      return { kind: "retryable", reason: "grpc UNAUTHENTICATED", message };
    }
    const outcome = classifyGrpcStatus(code, message, delayMs);
    const mismatch = grpcMismatch(message, {
      server: this.#server,
      secure: this.#secure,
      hasDelivered: this.#hasDelivered,
    });
    if (mismatch === undefined || outcome.kind === "accepted") return outcome;
    return { kind: "retryable", reason: outcome.reason, message: mismatch };
  }
}

function createClient(options: OtlpOptions, secureContext: SecureContext | undefined): Client {
  return new Client(
    options.target,
    secureContext === undefined
      ? credentials.createInsecure()
      : credentials.createFromSecureContext(secureContext),
    options.compression === "gzip"
      ? { ...CHANNEL_OPTIONS, "grpc.default_compression_algorithm": compressionAlgorithms.gzip }
      : CHANNEL_OPTIONS,
  );
}

/** Names that end in `-bin` carry bytes, given as base64 (grpc/grpc doc/PROTOCOL-HTTP2.md). */
function toMetadata(headers: ReadonlyMap<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) {
    metadata.set(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}
