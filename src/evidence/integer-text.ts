/** Numbers by their text, exact where they are integers. */
import { RuntimeEvidenceError } from "./error.ts";
import { type Integer, integerFromBigInt } from "./record.ts";

/** Longest integer that is read, in digits. Conversion takes quadratic time, and exponents cost nothing to write. */
export const integerDigitsMax = 1000;

/**
 * The value of a JSON number: exact when it is an integer in whatever form (1e3, 1.0), else the nearest
 * double. Throws `bad-input` for an integer beyond `integerDigitsMax` and for a fraction beyond doubles.
 */
export function exactNumber(token: string): number | bigint {
  const value = Number(token);
  if (Number.isSafeInteger(value) && !/[.eE]/.test(token)) return value + 0;
  const [, sign = "", whole = "", fraction = "", exponentText = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = withoutTrailingZeros(`${whole}${fraction}`);
  if (/^0*$/.test(digits)) return 0;
  // digits * 10^power is the value, and the last digit is not 0: an integer has no negative power.
  const power = Number(exponentText) + whole.length - digits.length;
  if (power < 0) {
    if (Number.isFinite(value)) return value + 0;
    throw new RuntimeEvidenceError("bad-input", "a number with a fraction that is beyond doubles");
  }
  const significant = digits.replace(/^0+/, "");
  if (significant.length + power > integerDigitsMax) {
    throw new RuntimeEvidenceError("bad-input", `an integer of more than ${integerDigitsMax} digits`);
  }
  return integerFromBigInt(BigInt(`${sign}${significant}${"0".repeat(power)}`));
}

/** By hand: a regular expression tries again from each zero of a long run that something follows. */
function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === 0x30) end--;
  return digits.slice(0, end);
}

/** Reads decimal text, as attributes hold integers beyond int64; nothing when it is none or too long. */
export function parseDecimal(text: string): Integer | undefined {
  if (text.length > integerDigitsMax + 1 || !/^-?\d+$/.test(text)) return undefined;
  return text.length < 16 ? Number(text) + 0 : integerFromBigInt(BigInt(text));
}

/** Of a character or byte; there is none at the end of a text. */
export function isDigit(code: number | undefined): code is number {
  return code !== undefined && code <= 0x39 && code >= 0x30;
}

/** Whether digits go on as a fraction or with an exponent. */
export function isFractionOrExponent(code: number | undefined): boolean {
  return code === 0x2e || code === 0x65 || code === 0x45;
}
