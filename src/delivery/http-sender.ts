/**
 * OTLP/HTTP: one POST per request over kept-alive connections, protobuf or JSON (OTLP specification,
 * "OTLP/HTTP"). Redirects are not followed: they could send evidence and credentials elsewhere.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { remoteText } from "../evidence/remote-text.ts";
import { parseRetryAfterMs } from "../otlp/retry-after.ts";
import { AddressWatch } from "./address-watch.ts";
import { ConnectionRotation } from "./connection-rotation.ts";
import { RequestHeaders } from "./headers-file.ts";
import { classifyHttpStatus } from "./http-status.ts";
import { jsonBody } from "./json-body.ts";
import type { OtlpOptions, RenewalOptions } from "./otlp-options.ts";
import type { Sender, SendOutcome } from "./outcome.ts";
import { readPartialSuccess, readStatusMessage } from "./partial-success.ts";
import { type ConnectionError, httpFailureMismatch, httpStatusMismatch } from "./protocol-mismatch.ts";
import { TlsMaterial } from "./tls-files.ts";
import { USER_AGENT } from "./user-agent.ts";

/** Largest response that is read, as the OTLP specification recommends; the rest is not waited for. */
const RESPONSE_BYTES_MAX = 4 * 1024 * 1024;

/** An idle connection is closed after this; shorter than what most servers and proxies keep. */
const IDLE_CONNECTION_MS = 15_000;

const AGENT_OPTIONS = { keepAlive: true, timeout: IDLE_CONNECTION_MS };

const ABORTED: SendOutcome = { kind: "retryable", reason: "aborted" };

const gzipAsync = promisify(gzip);

/**
 * Makes the sender; TLS files and the headers file are read here. Throws RuntimeEvidenceError `usage`, `not-found`,
 * `not-permitted`, `io` or `limit` for them.
 */
export function createHttpSender(options: OtlpOptions, renewal: RenewalOptions): Sender {
  return new HttpSender(options, renewal);
}

interface Response {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

class HttpSender implements Sender {
  readonly #options: OtlpOptions;
  readonly #url: URL;
  readonly #headers: RequestHeaders;
  readonly #tls: TlsMaterial | undefined;
  readonly #addresses: AddressWatch;
  readonly #agents: ConnectionRotation<HttpAgent>;
  #hasDelivered = false;

  constructor(options: OtlpOptions, renewal: RenewalOptions) {
    this.#options = options;
    this.#url = new URL(options.target);
    this.#headers = new RequestHeaders(options.headers, options.headersFile, renewal);
    this.#tls = options.secure ? new TlsMaterial(options.tlsFiles, renewal) : undefined;
    this.#addresses = new AddressWatch(this.#url.hostname, renewal);
    this.#agents = new ConnectionRotation({
      open: () =>
        this.#tls === undefined
          ? new HttpAgent(AGENT_OPTIONS)
          : new HttpsAgent({ ...AGENT_OPTIONS, secureContext: this.#tls.context }),
      close: (agent) => agent.destroy(),
    });
  }

  async send(request: { readonly body: Buffer }, signal: AbortSignal): Promise<SendOutcome> {
    let body: Buffer;
    try {
      body = await this.#encode(request.body);
    } catch (thrown) {
      // Only a body that is no OTLP request fails here, and it would fail every time.
      return {
        kind: "permanent",
        reason: "encoding",
        message: thrown instanceof Error ? thrown.message : "",
      };
    }
    try {
      this.#headers.refresh();
      if (this.#isOutdated()) this.#agents.rotate();
      return this.#outcome(await this.#agents.use((agent) => this.#post(agent, body, signal)));
    } catch (thrown) {
      return signal.aborted ? ABORTED : this.#failed(thrown);
    }
  }

  async close(): Promise<void> {
    this.#agents.close();
  }

  #isOutdated(): boolean {
    const renewed = this.#tls?.refresh() ?? false;
    return this.#addresses.moved() || renewed;
  }

  async #encode(body: Buffer): Promise<Buffer> {
    const { signal, protocol } = this.#options;
    // Metrics are not made by the hand-written encoder, but by one that makes JSON, too.
    const encoded = protocol === "http/json" && signal === "logs" ? await jsonBody(body) : body;
    return this.#options.compression === "gzip" ? gzipAsync(encoded) : encoded;
  }

  #post(agent: HttpAgent, body: Buffer, signal: AbortSignal): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const send = this.#options.secure ? httpsRequest : httpRequest;
      const request = send(this.#url, {
        method: "POST",
        agent,
        headers: this.#requestHeaders(body),
      });
      const { timeoutMs } = this.#options;
      const settled = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      };
      // Rejected before the request is destroyed: what destroying does to the response says nothing useful.
      const end = (reason: Error) => {
        settled();
        reject(reason);
        request.destroy();
      };
      const timer = timeoutMs === 0 ? undefined : setTimeout(() => end(new Timeout(timeoutMs)), timeoutMs);
      const abort = () => end(new Error("aborted"));
      signal.addEventListener("abort", abort, { once: true });
      readResponse(request)
        .then(resolve, reject)
        .finally(() => {
          settled();
          // Answered before it has read everything: nothing more may be read from the body, and this connection
          // is of no use.
          if (!request.writableFinished) request.destroy();
        });
      request.end(body);
    });
  }

  #requestHeaders(body: Buffer): Record<string, string | number> {
    const { protocol, compression } = this.#options;
    return {
      "user-agent": USER_AGENT,
      ...Object.fromEntries(this.#headers.current),
      "content-type": protocol === "http/json" ? "application/json" : "application/x-protobuf",
      ...(compression === "gzip" && { "content-encoding": "gzip" }),
      "content-length": body.byteLength,
    };
  }

  #outcome(response: Response): SendOutcome {
    if (response.status >= 200 && response.status < 300) {
      const encoding = response.contentType.startsWith("application/json") ? "json" : "protobuf";
      const partial = readPartialSuccess(response.body, encoding);
      this.#hasDelivered = true;
      return { kind: "accepted", ...partial, message: remoteText(partial.message, this.#headers.secrets) };
    }
    const message = remoteText(readStatusMessage(response.body, response.contentType), this.#headers.secrets);
    if (response.status === 401 && this.#headers.refresh({ now: true })) {
      return { kind: "retryable", reason: "http 401", message };
    }
    const mismatch = httpStatusMismatch(response.status, message, this.#url.host);
    if (mismatch !== undefined) {
      return { kind: "retryable", reason: `http ${response.status}`, message: mismatch };
    }
    const retryAfterMs = parseRetryAfterMs(response.retryAfter, Date.now());
    return classifyHttpStatus(response.status, message, retryAfterMs);
  }

  /** No response: the connection failed or ended before there was one. Always worth another try. */
  #failed(thrown: unknown): SendOutcome {
    if (thrown instanceof Timeout) {
      return { kind: "retryable", reason: "timeout", message: thrown.message, timedOut: true };
    }
    const error = thrown as ConnectionError & { errors?: readonly ConnectionError[] };
    // A name with several addresses fails with an AggregateError without message.
    const cause = error.errors?.[0] ?? error;
    const mismatch = httpFailureMismatch(cause, {
      server: this.#url.host,
      secure: this.#options.secure,
      hasDelivered: this.#hasDelivered,
    });
    const message = mismatch ?? remoteText(cause.message ?? "", this.#headers.secrets);
    return { kind: "retryable", reason: `connection ${cause.code ?? "failed"}`, message };
  }
}

class Timeout extends Error {
  constructor(timeoutMs: number) {
    super(`no response within ${timeoutMs} ms`);
  }
}

function readResponse(request: ClientRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    // Stays for the life of the socket: an error after the response must not become an uncaught one.
    request.on("error", reject);
    request.on("response", (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const finish = () =>
        resolve({
          status: response.statusCode ?? 0,
          contentType: (response.headers["content-type"] ?? "").toLowerCase(),
          retryAfter: response.headers["retry-after"],
          body: Buffer.concat(chunks),
        });
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= RESPONSE_BYTES_MAX) chunks.push(chunk);
        else {
          finish();
          response.destroy();
        }
      });
      response.on("end", finish);
      response.on("error", reject);
    });
  });
}
