/** The `Retry-After` header (RFC 9110, section 10.2.3): whole seconds or an HTTP-date. */

/**
 * The wait in milliseconds; `undefined` when the header is absent or is neither form. A date in the past is 0.
 * @param nowMs the current time as epoch milliseconds
 */
export function parseRetryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000;
  // Date.parse takes far more than HTTP-dates; all three HTTP-date forms begin with the name of a day.
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  // The asctime form has no zone, and it always means UTC.
  const dateMs = Date.parse(/GMT$/.test(text) ? text : `${text} GMT`);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
