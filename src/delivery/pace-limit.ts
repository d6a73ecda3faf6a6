/**
 * How much to send at a time so that a slow collector, or a slow line, answers before the timeout: a request that
 * never fits into the timeout would be tried for ever. Shrinks at a timeout, and grows again as soon as answers come
 * with time to spare, so that a collector that merely hung for a while is soon sent full requests again.
 */

/** Never less: below this the overhead is larger than the records. */
export const PACED_BYTES_MIN = 16 * 1024;

/** Grown beyond this, there is no limit: no OTLP receiver has to take more (OTLP specification). */
const NO_LIMIT_BYTES = 64 * 1024 * 1024;

/** A little more than half: both halves of a request have its resource and scope. */
const SHARE_LEFT = 0.6;

/** An answer within this share of the timeout leaves room for twice as much. */
const SHARE_TO_GROW = 0.25;

export class PaceLimit {
  #bytesMax = Number.POSITIVE_INFINITY;
  /** How long the attempt took that timed out last. */
  #timeoutMs = 0;

  /** What to send at most, in bytes before compression. */
  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** An attempt to send `bytes` ended without an answer after `durationMs`. */
  timedOut(bytes: number, durationMs: number): void {
    this.#bytesMax = Math.min(this.#bytesMax, Math.max(PACED_BYTES_MIN, Math.floor(bytes * SHARE_LEFT)));
    this.#timeoutMs = durationMs;
  }

  /** An attempt was accepted after `durationMs`. */
  accepted(durationMs: number): void {
    if (durationMs > this.#timeoutMs * SHARE_TO_GROW) return;
    this.#bytesMax = this.#bytesMax < NO_LIMIT_BYTES ? this.#bytesMax * 2 : Number.POSITIVE_INFINITY;
  }
}
