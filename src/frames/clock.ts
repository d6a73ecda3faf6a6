/**
 * The clock of a capture. Kernel programs stamp with CLOCK_BOOTTIME; the probe measures how far the wall
 * clock is from it and says so in the hello frame, every minute and after a suspend.
 */

/** What `ts_ns` of a captured record means: nanoseconds since boot, as v1 says, or since the Unix epoch. */
export type ClockType = "boot" | "realtime";

/**
 * Turns boot time into wall-clock time. 64-bit values are kept as two unsigned 32-bit halves as well,
 * because BigInt arithmetic per event would cost more than all the rest of its encoding.
 */
export class CaptureClock {
  readonly type: ClockType;
  /** CLOCK_REALTIME minus CLOCK_BOOTTIME. */
  offsetNs = 0n;
  #offsetLo = 0;
  #offsetHi = 0;
  /** Halves of the last `toWall`. */
  lo = 0;
  hi = 0;

  constructor(type: ClockType) {
    this.type = type;
  }

  /** Takes a newly measured offset. */
  set(offsetNs: bigint): void {
    this.offsetNs = offsetNs;
    this.#offsetLo = Number(BigInt.asUintN(32, offsetNs));
    this.#offsetHi = Number(BigInt.asUintN(32, offsetNs >> 32n));
  }

  /** Adds the offset to a boot time; the sum modulo 2^64 is left in `lo` and `hi`. */
  toWall(bootLo: number, bootHi: number): void {
    const lo = bootLo + this.#offsetLo;
    this.lo = lo >>> 0;
    this.hi = (bootHi + this.#offsetHi + (lo > 0xffffffff ? 1 : 0)) >>> 0;
  }

  /** The same for a BigInt. */
  wall(bootNs: bigint): bigint {
    return BigInt.asUintN(64, bootNs + this.offsetNs);
  }
}
