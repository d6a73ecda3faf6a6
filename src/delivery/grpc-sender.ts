/**
 * OTLP/gRPC: `opentelemetry.proto.collector.logs.v1.LogsService/Export` as a unary call of raw bytes. The body
 * is already protobuf, so no generated client and no copy stands between the queue and the socket.
 */
import {
  Client,
  type ClientOptions,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { classifyGrpcStatus } from "./grpc-status.ts";
import type { OtlpOptions } from "./otlp-options.ts";
import type { Sender, SendOutcome } from "./outcome.ts";
import { readPartialSuccess } from "./partial-success.ts";
import { headerSecrets, remoteText } from "./remote-text.ts";
import { retryInfoDelayMs } from "./retry-info.ts";
import { loadTls } from "./tls-files.ts";
import { USER_AGENT } from "./user-agent.ts";

const EXPORT_METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

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
  "grpc.keepalive_timeout_ms": 10_000,
  // The default of two minutes would keep failing calls long after the collector is back.
  "grpc.initial_reconnect_backoff_ms": 500,
  "grpc.max_reconnect_backoff_ms": 5_000,
  // A service config from DNS could change retries and balancing behind our back.
  "grpc.service_config_disable_resolution": 1,
};

const ABORTED: SendOutcome = { kind: "retryable", reason: "aborted" };

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * Makes the sender; TLS files are read here. Throws RuntimeEvidenceError `usage`, `not-found`, `not-permitted`
 * or `io` for them.
 */
export function createGrpcSender(options: OtlpOptions): Sender {
  return new GrpcSender(options);
}

class GrpcSender implements Sender {
  readonly #client: Client;
  readonly #metadata: Metadata;
  readonly #secrets: readonly string[];
  readonly #timeoutMs: number;

  constructor(options: OtlpOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#secrets = headerSecrets(options.headers);
    this.#metadata = toMetadata(options.headers);
    this.#client = new Client(
      options.target,
      options.secure
        ? credentials.createFromSecureContext(loadTls(options.tlsFiles))
        : credentials.createInsecure(),
      options.compression === "gzip"
        ? { ...CHANNEL_OPTIONS, "grpc.default_compression_algorithm": compressionAlgorithms.gzip }
        : CHANNEL_OPTIONS,
    );
  }

  send(request: { readonly body: Buffer }, signal: AbortSignal): Promise<SendOutcome> {
    if (signal.aborted) return Promise.resolve(ABORTED);
    const deadline = this.#timeoutMs === 0 ? Number.POSITIVE_INFINITY : Date.now() + this.#timeoutMs;
    return new Promise((resolve) => {
      const cancel = () => call.cancel();
      const call = this.#client.makeUnaryRequest<Buffer, Buffer>(
        EXPORT_METHOD,
        identity,
        identity,
        request.body,
        this.#metadata,
        { deadline },
        (error, response) => {
          signal.removeEventListener("abort", cancel);
          if (error === null) resolve(this.#accepted(response ?? Buffer.alloc(0)));
          else resolve(signal.aborted ? ABORTED : this.#failed(error));
        },
      );
      signal.addEventListener("abort", cancel, { once: true });
    });
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  #accepted(response: Buffer): SendOutcome {
    const partial = readPartialSuccess(response, "protobuf");
    return { kind: "accepted", ...partial, message: remoteText(partial.message, this.#secrets) };
  }

  #failed(error: ServiceError): SendOutcome {
    const details = error.metadata?.get("grpc-status-details-bin")[0];
    const delayMs = Buffer.isBuffer(details) ? retryInfoDelayMs(details) : undefined;
    const message = remoteText(error.details ?? error.message, this.#secrets);
    return classifyGrpcStatus(error.code ?? status.UNKNOWN, message, delayMs);
  }
}

/** Names that end in `-bin` carry bytes, given as base64 (grpc/grpc doc/PROTOCOL-HTTP2.md). */
function toMetadata(headers: ReadonlyMap<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) {
    metadata.set(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}
