/** The wall clock, as records have it. */

/** Nanoseconds since the Unix epoch, to the millisecond. */
export function nowUnixNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
