/**
 * How long to wait before the next try: exponential backoff with jitter, or what the collector asked for
 * (OTLP specification, "OTLP/gRPC Throttling" and "OTLP/HTTP Throttling").
 */

export interface RetryOptions {
  /** Wait after the first failure, before jitter. */
  readonly initialMs: number;
  /** Longest wait, before jitter. */
  readonly maxMs: number;
  /** Growth from one wait to the next. */
  readonly multiplier: number;
  /** A wait is multiplied by a random number from 1 - jitter to 1 + jitter. */
  readonly jitter: number;
  /** Longest wait that a collector can ask for; a longer one is cut to this. */
  readonly collectorDelayMaxMs: number;
  /**
   * A request that fails once more when this much time has passed since it was sealed, in this run or an earlier
   * one, is given up and counted as lost; default: never. It is always tried once.
   */
  readonly maxAgeMs?: number;
}

/** The defaults: 1 s, then x1.5 up to 30 s, +-50 %, no end. */
export const RETRY_DEFAULTS: RetryOptions = {
  initialMs: 1000,
  maxMs: 30_000,
  multiplier: 1.5,
  jitter: 0.5,
  collectorDelayMaxMs: 10 * 60_000,
};

/**
 * The wait before the next try.
 * @param failures how many tries of this request have failed in a row, from 1
 * @param collectorDelayMs what the collector asked for; it is never undercut, and spread by up to 10 % upwards
 *   so that exporters told the same do not come back together
 * @param random uniform in [0, 1)
 */
export function retryDelayMs(
  options: RetryOptions,
  failures: number,
  collectorDelayMs: number | undefined,
  random: () => number,
): number {
  if (collectorDelayMs !== undefined && collectorDelayMs > 0) {
    return Math.min(collectorDelayMs, options.collectorDelayMaxMs) * (1 + random() * 0.1);
  }
  const backoffMs = Math.min(options.maxMs, options.initialMs * options.multiplier ** (failures - 1));
  return backoffMs * (1 - options.jitter + 2 * options.jitter * random());
}
