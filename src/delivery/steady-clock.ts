/** Wall-clock time that does not step while the process lives: an age must not jump when somebody sets the clock. */

/**
 * Milliseconds since the Unix epoch: the wall clock at the start of the process, and monotonic from there.
 * Time that the machine sleeps is not counted (CLOCK_MONOTONIC).
 */
export function steadyUnixMs(): number {
  return performance.timeOrigin + performance.now();
}
