/**
 * What each gRPC status means for a request (OTLP specification, "Failures" of OTLP/gRPC; status codes:
 * grpc/grpc doc/statuscodes.md).
 */
import type { SendOutcome } from "./outcome.ts";

/** `throttle`: retryable only when RetryInfo is present. */
type Verdict = "retryable" | "permanent" | "throttle";

/** By code; a code that is not listed is permanent. 0 (OK) is no failure and not here. */
export const GRPC_STATUS: ReadonlyMap<number, { readonly name: string; readonly verdict: Verdict }> = new Map(
  [
    [1, { name: "CANCELLED", verdict: "retryable" }],
    [2, { name: "UNKNOWN", verdict: "permanent" }],
    [3, { name: "INVALID_ARGUMENT", verdict: "permanent" }],
    [4, { name: "DEADLINE_EXCEEDED", verdict: "retryable" }],
    [5, { name: "NOT_FOUND", verdict: "permanent" }],
    [6, { name: "ALREADY_EXISTS", verdict: "permanent" }],
    [7, { name: "PERMISSION_DENIED", verdict: "permanent" }],
    [8, { name: "RESOURCE_EXHAUSTED", verdict: "throttle" }],
    [9, { name: "FAILED_PRECONDITION", verdict: "permanent" }],
    [10, { name: "ABORTED", verdict: "retryable" }],
    [11, { name: "OUT_OF_RANGE", verdict: "retryable" }],
    [12, { name: "UNIMPLEMENTED", verdict: "permanent" }],
    [13, { name: "INTERNAL", verdict: "permanent" }],
    [14, { name: "UNAVAILABLE", verdict: "retryable" }],
    [15, { name: "DATA_LOSS", verdict: "retryable" }],
    [16, { name: "UNAUTHENTICATED", verdict: "permanent" }],
  ],
);

/**
 * How servers say that a message is larger than they take: grpc-go and grpc-js "larger than max", grpc-java
 * "exceeds maximum size", tonic "message length too large" (that one with OUT_OF_RANGE, so it would otherwise
 * be tried for ever).
 */
const TOO_LARGE = /larger than max|to a size larger than|exceeds maximum size|message length too large/i;

/** A proxy in front of a gRPC server says it in HTTP; grpc-js makes UNKNOWN of that (`mapHttpStatusCode`). */
const PROXY_TOO_LARGE = /^Received HTTP status code 413$/;

/**
 * Statuses that grpc-js makes up when a stream ends without one from the server: a disconnect without response,
 * which is worth another try (grpc-js `subchannel-call.ts`, `onStreamClosed`).
 */
const NO_RESPONSE = /^Received RST_STREAM with code|^Bandwidth exhausted or memory limit exceeded$/;

/**
 * The outcome of a call that ended with `code`.
 * @param message the status message, already fit to show
 * @param retryInfoDelayMs the delay of `google.rpc.RetryInfo` where the server sent one
 */
export function classifyGrpcStatus(code: number, message: string, retryInfoDelayMs?: number): SendOutcome {
  const status = GRPC_STATUS.get(code);
  const reason = `grpc ${status?.name ?? code}`;
  if ((code === 8 || code === 11) && TOO_LARGE.test(message)) return { kind: "too-large", reason, message };
  if (code === 2 && PROXY_TOO_LARGE.test(message)) return { kind: "too-large", reason, message };
  const hints = {
    ...(retryInfoDelayMs !== undefined && { delayMs: retryInfoDelayMs }),
    ...(code === 4 && { timedOut: true }),
  };
  if (status?.verdict === "retryable") return { kind: "retryable", reason, message, ...hints };
  if (status?.verdict === "throttle" && retryInfoDelayMs !== undefined) {
    return { kind: "retryable", reason, message, ...hints };
  }
  if (NO_RESPONSE.test(message)) return { kind: "retryable", reason: "grpc disconnected", message };
  return { kind: "permanent", reason, message };
}
