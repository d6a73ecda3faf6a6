/**
 * Durations and sizes as people write them on a command line.
 */
import { InvalidArgumentError } from "commander";

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: 1024,
  k: 1024,
  mib: 1024 ** 2,
  m: 1024 ** 2,
  gib: 1024 ** 3,
  g: 1024 ** 3,
};

/** The longest that a timer can wait: 2^31 - 1 ms, almost 25 days. */
const DURATION_MAX_MS = 2 ** 31 - 1;

/** `500ms`, `10s`, `1.5m`, `2h`; a bare number is seconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = DURATION_UNITS_MS[match?.[2] ?? "s"];
  if (match === null || unit === undefined)
    throw new InvalidArgumentError("write it as 500ms, 10s, 5m or 1h.");
  const durationMs = Math.round(Number(match[1]) * unit);
  if (durationMs > DURATION_MAX_MS) throw new InvalidArgumentError("at most 24 days.");
  return durationMs;
}

/** A size that the kernel takes for a ring buffer: a power of two from a page to 1 GiB. */
export function parseRingBytes(text: string): number {
  const bytes = parseSizeBytes(text);
  if (Number.isInteger(Math.log2(bytes)) && bytes >= 4096 && bytes <= 2 ** 30) return bytes;
  throw new InvalidArgumentError("a power of two from 4KiB to 1GiB is needed.");
}

/** `4096`, `64KiB`, `16MiB`, `1GiB`. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
  const unit = SIZE_UNITS_BYTES[match?.[2]?.toLowerCase() ?? "?"];
  if (match === null || unit === undefined)
    throw new InvalidArgumentError("write it as 4096, 64KiB or 16MiB.");
  return Math.round(Number(match[1]) * unit);
}

/** A whole number from `minimum` up. */
export function parseCount(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`a whole number from ${minimum} up is needed.`);
    }
    return value;
  };
}

/** Commander's accumulator for an option that may be given more than once. */
export function repeatable<Value>(
  parse: (text: string) => Value,
): (text: string, before?: Value[]) => Value[] {
  return (text, before = []) => [...before, parse(text)];
}
