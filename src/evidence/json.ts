/**
 * JSON without loss: integers of any size stay exact, which `JSON.parse` alone does not do beyond 2^53
 * (the `ts_ns` of the schema's own example is such a one). Other numbers are doubles (RFC 8259, section 6).
 */
import { RuntimeEvidenceError } from "./error.ts";
import { type Integer, integerFromBigInt, type JsonValue } from "./record.ts";

/** Longest integer that is read, in digits. Conversion takes quadratic time, and exponents cost nothing to write. */
export const integerDigitsMax = 1000;
/** Deepest nesting that is read; deeper values could exhaust the stack of whatever walks them. */
export const jsonDepthMax = 300;

/** `JSON.rawJSON` and the reviver's `context` of ECMAScript's JSON.parse source text access; Node 22 has both. */
interface SourceTextAccess {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): object;
}
const exactJson = JSON as unknown as SourceTextAccess;

/** A number that JSON.parse may round although it is an integer (many digits, or an exponent), and -0. */
const needsExactness = /(?:^|[:,[\s])(?:-?(?:\d[\d.]{15}|[\d.]+[eE])|-0)/;

/**
 * Parses one JSON text. Throws `bad-input` for text that is not JSON, an integer beyond `integerDigitsMax`
 * or nesting beyond `jsonDepthMax`.
 */
export function parseEvidenceJson(text: string): JsonValue {
  let value: unknown;
  try {
    value = needsExactness.test(text)
      ? exactJson.parse(text, (_, member, { source }) =>
          typeof member === "number" && source !== undefined ? parseNumber(source) : member,
        )
      : JSON.parse(text);
  } catch (thrown) {
    throw parseError(thrown);
  }
  checkDepth(value, jsonDepthMax);
  return value as JsonValue;
}

function parseError(thrown: unknown): RuntimeEvidenceError {
  if (thrown instanceof RuntimeEvidenceError) return thrown;
  if (thrown instanceof RangeError) return tooDeep();
  // V8 quotes the text after a comma; the text is hostile and may be long.
  const reason = thrown instanceof Error ? (thrown.message.split(/, ?["']|[\r\n]/)[0] ?? "") : "";
  const printable = reason.slice(0, 120).replace(/[^\x20-\x7e]/g, "?");
  return new RuntimeEvidenceError("bad-input", `not JSON: ${printable}`);
}

function tooDeep(): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `JSON nested deeper than ${jsonDepthMax} levels`);
}

function checkDepth(value: unknown, levelsLeft: number): void {
  if (typeof value !== "object" || value === null) return;
  if (levelsLeft === 0) throw tooDeep();
  if (Array.isArray(value)) {
    for (const item of value) checkDepth(item, levelsLeft - 1);
    return;
  }
  const members = value as Record<string, unknown>;
  for (const member in members) {
    const part = members[member];
    if (typeof part === "object") checkDepth(part, levelsLeft - 1);
  }
}

/** The value of a JSON number: exact when it is an integer in whatever form, else the nearest double. */
function parseNumber(source: string): number | bigint {
  const value = Number(source);
  if (Number.isSafeInteger(value) && !/[.eE]/.test(source)) return value + 0;
  const [, sign = "", whole = "", fraction = "", exponentText = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = `${whole}${fraction}`.replace(/0+$/, "");
  if (/^0*$/.test(digits)) return 0;
  // digits * 10^power is the value, and the last digit is not 0: an integer has no negative power.
  const power = Number(exponentText) + whole.length - digits.length;
  if (power < 0) return value;
  const significant = digits.replace(/^0+/, "");
  if (significant.length + power > integerDigitsMax) {
    throw new RuntimeEvidenceError("bad-input", `an integer of more than ${integerDigitsMax} digits`);
  }
  return integerFromBigInt(BigInt(`${sign}${significant}${"0".repeat(power)}`));
}

/** Reads decimal text, as attributes hold integers beyond int64; nothing when it is none or too long. */
export function parseDecimal(text: string): Integer | undefined {
  if (text.length > integerDigitsMax + 1 || !/^-?\d+$/.test(text)) return undefined;
  return text.length < 16 ? Number(text) + 0 : integerFromBigInt(BigInt(text));
}

/** JSON of any value, on one line, integers exact. */
export function stringifyEvidence(value: JsonValue): string {
  if (!containsBigInt(value)) return JSON.stringify(value);
  return stringifyLeadingBigInt(value) ?? JSON.stringify(value, replaceBigInt);
}

function replaceBigInt(_: string, member: unknown): unknown {
  return typeof member === "bigint" ? exactJson.rawJSON(String(member)) : member;
}

/**
 * The usual case, a record whose one bigint is `ts_ns` at its front: written with 0 in its place, and the 0
 * replaced. A replacer function takes three times as long.
 */
function stringifyLeadingBigInt(value: JsonValue): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const members = value as Readonly<Record<string, JsonValue>>;
  for (const first in members) {
    if (typeof members[first] !== "bigint") return undefined;
    const copy = { ...members, [first]: 0 };
    if (containsBigInt(copy)) return undefined;
    const head = `{${JSON.stringify(first)}:`;
    return `${head}${members[first]}${JSON.stringify(copy).slice(head.length + 1)}`;
  }
  return undefined;
}

function containsBigInt(value: unknown): boolean {
  if (typeof value === "bigint") return true;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(containsBigInt);
  const members = value as Record<string, unknown>;
  for (const member in members) {
    if (containsBigInt(members[member])) return true;
  }
  return false;
}
