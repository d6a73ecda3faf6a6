/**
 * What `ts_ns` of a v1 record counts from, and which wall-clock time it therefore is. The schema says
 * nanoseconds since boot, and its own examples are nanoseconds since the Unix epoch.
 */
import type { Integer } from "../evidence/record.ts";

/** `runtime_evidence.clock.type`, and `auto`: by the value. */
export type RecordClock = "auto" | "boot" | "realtime";

/**
 * From here up `auto` takes a time for one since the Unix epoch: 1e18 ns is September 2001 since the epoch, and
 * 31 years of uptime since boot.
 */
export const EPOCH_FROM_NS = 1_000_000_000_000_000_000n;

/** Latest time that is written: many backends keep nanoseconds in a signed integer of 64 bits (year 2262). */
const TIME_MAX_NS = 2n ** 63n - 1n;

/** A time on the clock it was read from. */
export interface ClockTime {
  readonly clock: "boot" | "realtime";
  /** Nanoseconds since the Unix epoch. 0, which OTLP takes for unknown, where that is beyond `TIME_MAX_NS`. */
  readonly timeUnixNano: bigint;
}

/**
 * Reads `ts_ns` by `clock`. The result is for backends to sort and search by: what comes back is `ts_ns` itself,
 * which travels as an attribute of its own.
 * @param bootTimeUnixNano when the host of the record booted, in nanoseconds since the Unix epoch.
 */
export function readRecordTime(tsNs: Integer, clock: RecordClock, bootTimeUnixNano: bigint): ClockTime {
  const exact = BigInt(tsNs);
  const isRealtime = clock === "realtime" || (clock === "auto" && exact >= EPOCH_FROM_NS);
  const time = isRealtime ? exact : exact + bootTimeUnixNano;
  const inRange = time >= 0n && time <= TIME_MAX_NS;
  return { clock: isRealtime ? "realtime" : "boot", timeUnixNano: inRange ? time : 0n };
}
