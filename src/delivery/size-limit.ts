/**
 * The largest request that a collector takes, learnt from its refusals, so that later requests are cut before
 * they are sent and not after. Collectors rarely say the figure, so it is approached from above.
 */

/** Default of `largerAgainMs`: a limit that somebody raised is found out within minutes. */
export const LARGER_AGAIN_MS = 10 * 60_000;

/** A limit that has grown beyond this is none: no OTLP receiver has to take more (OTLP specification). */
const NO_LIMIT_BYTES = 64 * 1024 * 1024;

/** A little more than half: both halves of a request have its resource and scope. */
const SHARE_LEFT = 0.6;

export class SizeLimit {
  readonly #largerAgainMs: number;
  readonly #nowMs: () => number;
  #bytesMax = Number.POSITIVE_INFINITY;
  #changedMs = 0;

  /**
   * @param largerAgainMs after this long without a refusal twice as much is tried
   * @param nowMs a clock that never goes back, in milliseconds
   */
  constructor(largerAgainMs: number, nowMs: () => number) {
    this.#largerAgainMs = largerAgainMs;
    this.#nowMs = nowMs;
  }

  /** What to send at most, in bytes before compression; infinite while nothing was refused. */
  bytesMax(): number {
    if (this.#bytesMax < NO_LIMIT_BYTES && this.#nowMs() - this.#changedMs >= this.#largerAgainMs) {
      this.#set(this.#bytesMax * 2);
    }
    return this.#bytesMax;
  }

  /** A request of `bytes` was too large. One that was sent against the limit teaches nothing new. */
  refused(bytes: number): void {
    if (bytes <= this.#bytesMax) this.#set(Math.max(1, Math.floor(bytes * SHARE_LEFT)));
  }

  #set(bytesMax: number): void {
    this.#bytesMax = bytesMax < NO_LIMIT_BYTES ? bytesMax : Number.POSITIVE_INFINITY;
    this.#changedMs = this.#nowMs();
  }
}
