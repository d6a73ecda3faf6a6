/**
 * Points in time as people and programs write them on a command line.
 */
import { InvalidArgumentError } from "commander";

/** RFC 3339 with a time zone and up to nine digits of a second, or a date alone, which is midnight UTC. */
const DATE_TIME = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d))?$/;
/** Seconds since the Unix epoch, with a fraction or without. */
const SECONDS = /^(\d{1,11})(?:\.(\d{1,9}))?$/;
/** Nanoseconds since the Unix epoch: longer than any seconds. */
const NANOSECONDS = /^\d{16,19}$/;

/**
 * Nanoseconds since the Unix epoch of `2026-01-02T03:04:05.678Z`, `2026-01-02`, seconds (`1767323045.678`) or
 * nanoseconds (16 to 19 digits).
 */
export function parsePointInTimeNs(text: string): bigint {
  if (NANOSECONDS.test(text)) return BigInt(text);
  const seconds = SECONDS.exec(text);
  if (seconds !== null) return BigInt(seconds[1] as string) * 1_000_000_000n + fractionNs(seconds[2]);
  const [, date, time = "00:00:00", fraction, zone = "Z"] = DATE_TIME.exec(text) ?? [];
  const ms = date === undefined ? Number.NaN : Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  if (Number.isNaN(ms) || ms < 0) {
    throw new InvalidArgumentError(
      "write it as 2026-01-02T03:04:05Z, or in seconds or nanoseconds since 1970.",
    );
  }
  return BigInt(ms) * 1_000_000n + fractionNs(fraction);
}

function fractionNs(digits = ""): bigint {
  return BigInt(digits.padEnd(9, "0"));
}

const PERIOD_UNITS_NS: Readonly<Record<string, bigint>> = {
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

/** Nanoseconds of `30m`, `6h`, `7d`. */
export function parsePeriodNs(text: string): bigint {
  const [, count, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const unitNs = PERIOD_UNITS_NS[unit];
  if (count === undefined || unitNs === undefined) {
    throw new InvalidArgumentError("write it as 30m, 6h or 7d.");
  }
  return BigInt(count) * unitNs;
}
