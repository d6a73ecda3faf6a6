/**
 * One `query_range` request to Loki (its HTTP API, "Query logs within a range of time") and what the answer
 * means. Says what to do next and does not do it: see `loki-client.ts`.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { headerSecrets, remoteText } from "../evidence/remote-text.ts";
import { parseRetryAfterMs } from "../otlp/retry-after.ts";

export interface LokiConnection {
  /** Address of Loki, without `/loki/api/v1/…`. */
  readonly url: string;
  /** Headers of each request, for example `authorization`. Their values are in no message. */
  readonly headers?: ReadonlyMap<string, string>;
  /** Sent as `X-Scope-OrgID`. */
  readonly tenant?: string;
  /** Longest that one request may take, its answer included. */
  readonly timeoutMs: number;
  /** Longest answer that is read, in bytes behind its compression. */
  readonly answerBytesMax: number;
  readonly signal?: AbortSignal;
}

export interface LokiRange {
  readonly query: string;
  /** Inclusive, in nanoseconds since the Unix epoch. */
  readonly startNs: bigint;
  /** Exclusive. */
  readonly endNs: bigint;
  readonly entriesMax: number;
}

export type LokiAnswer =
  | { readonly kind: "page"; readonly body: Buffer }
  /** More entries were asked for than a query may give; `entriesMax` where Loki has said how many may. */
  | { readonly kind: "too-many-entries"; readonly entriesMax: number | undefined; readonly reason: string }
  | { readonly kind: "range-too-long"; readonly reason: string }
  /** Worth another try; `heavy` where fewer entries per page may help. */
  | {
      readonly kind: "retryable";
      readonly reason: string;
      readonly heavy: boolean;
      readonly delayMs?: number;
    };

/** Longest wait that Loki can ask for. */
const RETRY_AFTER_MAX_MS = 60_000;
const RETRYABLE = new Set([429, 500, 502, 503, 504]);

/**
 * Sends the request. Throws `RuntimeEvidenceError`: `usage` for an address or a query that Loki refuses,
 * `not-permitted` where it wants (other) credentials, `not-found` where the address is no Loki, `io` for any
 * other answer, and what `signal` was aborted with.
 */
export async function queryRange(connection: LokiConnection, range: LokiRange): Promise<LokiAnswer> {
  const timeout = AbortSignal.timeout(connection.timeoutMs);
  const signals = connection.signal === undefined ? [timeout] : [timeout, connection.signal];
  try {
    const response = await fetch(rangeUrl(connection.url, range), {
      headers: requestHeaders(connection),
      // Credentials would go to wherever a redirect points.
      redirect: "manual",
      signal: AbortSignal.any(signals),
    });
    const body = await readBounded(response, connection.answerBytesMax);
    if (body === undefined) {
      await response.body?.cancel().catch(() => {});
      const reason = `an answer of more than ${connection.answerBytesMax} bytes`;
      return { kind: "retryable", reason, heavy: true };
    }
    if (response.status === 200) return { kind: "page", body };
    return refusal(response, remoteText(body.toString(), headerSecrets(connection.headers ?? [])));
  } catch (thrown) {
    if (thrown instanceof RuntimeEvidenceError) throw thrown;
    connection.signal?.throwIfAborted();
    return brokenConnection(thrown, timeout.aborted, connection.timeoutMs);
  }
}

function rangeUrl(base: string, range: LokiRange): URL {
  const url = parseBase(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/loki/api/v1/query_range`;
  url.search = new URLSearchParams({
    query: range.query,
    start: String(range.startNs),
    end: String(range.endNs),
    limit: String(range.entriesMax),
    direction: "forward",
  }).toString();
  return url;
}

/** The address is not repeated in messages: it may hold a password. */
function parseBase(base: string): URL {
  const url = URL.parse(base);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RuntimeEvidenceError("usage", "the address of Loki must be an http:// or https:// URL");
  }
  if (url.username !== "" || url.password !== "") {
    const message = "the address of Loki must hold no user or password; give an Authorization header instead";
    throw new RuntimeEvidenceError("usage", message);
  }
  return url;
}

function requestHeaders({ headers, tenant }: LokiConnection): Headers {
  const all = new Headers([...(headers ?? [])]);
  if (tenant !== undefined) all.set("x-scope-orgid", tenant);
  all.set("accept", "application/json");
  // Keeps what came with a record apart from labels of the stream and from what the query has parsed.
  all.set("x-loki-response-encoding-flags", "categorize-labels");
  return all;
}

/** The body; nothing where it is longer than `bytesMax`. */
async function readBounded(response: Response, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  for await (const chunk of response.body ?? []) {
    byteCount += chunk.length;
    if (byteCount > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refusal(response: Response, text: string): LokiAnswer {
  const { status } = response;
  const reason = text === "" ? `HTTP ${status}` : `HTTP ${status}: ${text}`;
  if (RETRYABLE.has(status)) {
    const waitMs = parseRetryAfterMs(response.headers.get("retry-after") ?? undefined, Date.now());
    // A time limit inside Loki is answered with 504, a page too large for its own messages with 500 or nothing.
    const heavy = status === 500 || status === 504;
    return {
      kind: "retryable",
      reason,
      heavy,
      ...(waitMs !== undefined && { delayMs: Math.min(waitMs, RETRY_AFTER_MAX_MS) }),
    };
  }
  if (status === 400) {
    const tooMany = /max entries limit.*?(?:\(\d+ > (\d+)\)|$)/i.exec(text);
    if (tooMany !== null) {
      const entriesMax = tooMany[1] === undefined ? undefined : Number(tooMany[1]);
      return { kind: "too-many-entries", entriesMax, reason };
    }
    if (/time range exceeds the limit|would read too many bytes/i.test(text)) {
      return { kind: "range-too-long", reason };
    }
    throw new RuntimeEvidenceError("usage", `Loki refused the query: ${text || reason}`);
  }
  throw permanent(status, reason);
}

function permanent(status: number, reason: string): RuntimeEvidenceError {
  const context = { status };
  if (status === 401 || status === 403) {
    const message = `Loki wants other credentials or another tenant (${reason})`;
    return new RuntimeEvidenceError("not-permitted", message, { context });
  }
  if (status === 404) {
    const message = "no Loki answers at this address (HTTP 404): give it without /loki/api/v1";
    return new RuntimeEvidenceError("not-found", message, { context });
  }
  if (status >= 300 && status < 400) {
    const message = `Loki's address redirects (HTTP ${status}), which is not followed: give the final address`;
    return new RuntimeEvidenceError("usage", message, { context });
  }
  return new RuntimeEvidenceError("io", `Loki gave no logs (${reason})`, { context });
}

function brokenConnection(thrown: unknown, timedOut: boolean, timeoutMs: number): LokiAnswer {
  if (timedOut) return { kind: "retryable", reason: `no whole answer within ${timeoutMs} ms`, heavy: true };
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  const code = (cause as { code?: unknown } | undefined)?.code;
  const reason = typeof code === "string" ? `connection failed: ${code}` : "connection failed";
  // Loki closes a connection without a word when an answer is late.
  return { kind: "retryable", reason, heavy: code === "UND_ERR_SOCKET" || code === "ECONNRESET" };
}
