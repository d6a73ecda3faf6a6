/**
 * JSON without loss: integers of any size stay exact, which `JSON.parse` alone does not do beyond 2^53 (the
 * `ts_ns` of the schema's own example is such a one), and a member that stands twice is an error. Numbers that
 * are no integers are doubles (RFC 8259, section 6).
 *
 * `JSON.parse` builds the values. One pass over the text finds what it tells nobody: how many members there
 * are, and the integers that a double may not hold. One walk over the values puts these in.
 */
import { RuntimeEvidenceError } from "./error.ts";
import { parseExactly } from "./json-exact.ts";
import { jsonDepthMax, tooDeep } from "./json-scanner.ts";
import { isWide, surveyJson } from "./json-survey.ts";
import type { Integer, JsonValue } from "./record.ts";

export { integerDigitsMax, parseDecimal } from "./integer-text.ts";
export { jsonDepthMax } from "./json-scanner.ts";

/** `JSON.rawJSON` of ECMAScript's JSON.parse source text access; Node 22 has it. */
const exactJson = JSON as unknown as { rawJSON(text: string): object };

/**
 * Parses one JSON text. Throws `bad-input`, with `characterOffset` in its context, for text that is not JSON,
 * a member that stands twice in an object, an integer beyond `integerDigitsMax` or nesting beyond
 * `jsonDepthMax`.
 */
export function parseEvidenceJson(text: string): JsonValue {
  try {
    return parseFast(text) ?? parseExactly(text);
  } catch {
    // Says what is wrong and where; the words of JSON.parse may quote the input.
    return parseExactly(text);
  }
}

/** Nothing where `JSON.parse` alone can't say what the value is. Throws anything for what is no value. */
function parseFast(text: string): JsonValue | undefined {
  const value = JSON.parse(text) as JsonValue;
  const { members, wideIntegers, indexNames, escapedNames } = surveyJson(text);
  if (escapedNames || (indexNames && wideIntegers.length > 0)) return undefined;
  const settling = new Settling(wideIntegers);
  const settled = settling.settle(value, jsonDepthMax) as JsonValue;
  return settling.members === members ? settled : undefined;
}

/** Walks a value: counts its members, replaces the numbers that are not exact, and checks the depth. */
class Settling {
  members = 0;
  readonly #wideIntegers: readonly Integer[];
  #wideUsed = 0;

  constructor(wideIntegers: readonly Integer[]) {
    this.#wideIntegers = wideIntegers;
  }

  settle(value: unknown, levelsLeft: number): unknown {
    if (typeof value === "number") return this.#number(value);
    if (typeof value !== "object" || value === null) return value;
    if (levelsLeft === 0) throw tooDeep();
    if (Array.isArray(value)) this.#array(value, levelsLeft);
    else this.#object(value as Record<string, unknown>, levelsLeft);
    return value;
  }

  #object(object: Record<string, unknown>, levelsLeft: number): void {
    for (const name in object) {
      this.members++;
      const part = object[name];
      if (typeof part === "number") {
        if (isInexact(part)) object[name] = this.#number(part);
      } else if (typeof part === "object") this.settle(part, levelsLeft - 1);
    }
  }

  #array(items: unknown[], levelsLeft: number): void {
    for (let index = 0; index < items.length; index++) {
      const item = items[index];
      if (typeof item !== "string") items[index] = this.settle(item, levelsLeft - 1);
    }
  }

  #number(value: number): number | bigint {
    if (!isInexact(value)) return value;
    return isWide(value) ? (this.#wideIntegers[this.#wideUsed++] as Integer) : 0;
  }
}

/** A wide integer, or -0, which as JSON is the same as 0. */
function isInexact(value: number): boolean {
  return value === 0 ? Object.is(value, -0) : isWide(value);
}

/**
 * JSON of any value, on one line, integers exact. Throws `bad-input` for nesting beyond `jsonDepthMax` and for a
 * number that JSON has not.
 */
export function stringifyEvidence(value: JsonValue): string {
  if (!containsBigInt(value, jsonDepthMax)) return JSON.stringify(value);
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
    if (containsBigInt(copy, jsonDepthMax)) return undefined;
    const head = `{${JSON.stringify(first)}:`;
    return `${head}${members[first]}${JSON.stringify(copy).slice(head.length + 1)}`;
  }
  return undefined;
}

/** Also checks what `JSON.stringify` would pass over: it writes null for NaN, and its own stack is its limit. */
function containsBigInt(value: unknown, levelsLeft: number): boolean {
  if (typeof value === "bigint") return true;
  if (typeof value === "number" && !Number.isFinite(value)) throw notJson(value);
  if (typeof value !== "object" || value === null) return false;
  if (levelsLeft === 0) throw tooDeep();
  let found = false;
  if (Array.isArray(value)) {
    for (const item of value) if (containsBigInt(item, levelsLeft - 1)) found = true;
    return found;
  }
  const members = value as Record<string, unknown>;
  for (const member in members) {
    const part = members[member];
    if (typeof part !== "string" && containsBigInt(part, levelsLeft - 1)) found = true;
  }
  return found;
}

function notJson(value: number): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `${value} is no JSON value`);
}
