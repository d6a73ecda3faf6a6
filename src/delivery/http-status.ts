/**
 * What each HTTP status means for a request (OTLP specification, "Failures" of OTLP/HTTP; RFC 9110,
 * section 15). Success is any 2xx: Loki answers 204.
 */
import type { SendOutcome } from "./outcome.ts";

/** The only statuses that are worth another try. */
export const HTTP_RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Statuses that say that the request is too large. */
export const HTTP_TOO_LARGE: ReadonlySet<number> = new Set([413]);

/** A Collector answers 400 with this text, not 413, when a body is over its limit (confighttp). */
const BODY_TOO_LARGE = /request body too large/i;

/**
 * The outcome of a response that is no 2xx.
 * @param message what the body said, already fit to show
 * @param retryAfterMs the wait of `Retry-After` where there is one
 */
export function classifyHttpStatus(status: number, message: string, retryAfterMs?: number): SendOutcome {
  const reason = `http ${status}`;
  if (HTTP_RETRYABLE.has(status)) {
    const delay = retryAfterMs === undefined ? {} : { delayMs: retryAfterMs };
    return { kind: "retryable", reason, message, ...delay };
  }
  if (HTTP_TOO_LARGE.has(status) || (status === 400 && BODY_TOO_LARGE.test(message))) {
    return { kind: "too-large", reason, message };
  }
  if (status >= 300 && status < 400) {
    return {
      kind: "permanent",
      reason,
      message: "redirects are not followed; set the endpoint to the new address",
    };
  }
  return { kind: "permanent", reason, message };
}
