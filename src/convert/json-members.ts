/**
 * Where the parts of one JSON object or array stand in its bytes, without parsing them (RFC 8259). Whether a
 * part is valid JSON is for its decoder to say.
 */

import type { Damage, Range } from "./request-pieces.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A member of an object; the range is that of its value. */
export interface Member extends Range {
  /** As it is written, escapes and all. */
  readonly name: string;
  readonly nameStart: number;
}

/**
 * Where large values end, by where they start: whoever walks into a value after walking over it need not look
 * at its bytes again.
 */
export type KnownEnds = Map<number, number>;

/** Smaller values, and values further inside, are looked at again. */
const KNOWN_BYTES_MIN = 16 * 1024;
const KNOWN_DEPTH_MAX = 8;

/** The members of the object at `start`; last the damage where there is some. */
export function* membersOf(
  text: Buffer,
  start: number,
  ends: KnownEnds = new Map(),
): Generator<Member | Damage, void, undefined> {
  let index = inkFrom(text, start);
  if (text[index] !== OPEN_BRACE) return yield { offset: index, reason: "expected a JSON object" };
  index = inkFrom(text, index + 1);
  while (text[index] !== CLOSE_BRACE) {
    const nameEnd = text[index] === QUOTE ? stringEnd(text, index) : -1;
    if (nameEnd === -1) return yield { offset: index, reason: "expected the name of a JSON member" };
    const colon = inkFrom(text, nameEnd);
    if (text[colon] !== COLON) return yield { offset: colon, reason: "expected a colon" };
    const valueStart = inkFrom(text, colon + 1);
    const end = valueEnd(text, valueStart, ends);
    if (end === -1) return yield { offset: valueStart, reason: "expected a JSON value" };
    yield { name: text.toString("utf8", index + 1, nameEnd - 1), nameStart: index, start: valueStart, end };
    index = inkFrom(text, end);
    if (text[index] === COMMA) index = inkFrom(text, index + 1);
    else if (text[index] !== CLOSE_BRACE)
      return yield { offset: index, reason: "expected a comma or a brace" };
  }
}

/** The value of the first member called `name` in the object at `start`; nothing where damage stands before it. */
export function memberOf(text: Buffer, start: number, name: string): Range | undefined {
  for (const found of membersOf(text, start)) {
    if ("reason" in found) return undefined;
    if (found.name === name) return found;
  }
  return undefined;
}

/** The values of the array at `start`; last the damage where there is some. */
export function* itemsOf(
  text: Buffer,
  start: number,
  ends: KnownEnds = new Map(),
): Generator<Range | Damage, void, undefined> {
  if (text[start] !== OPEN_BRACKET) return yield { offset: start, reason: "expected a JSON array" };
  let index = inkFrom(text, start + 1);
  while (text[index] !== CLOSE_BRACKET) {
    const end = valueEnd(text, index, ends);
    if (end === -1) return yield { offset: index, reason: "expected a JSON value" };
    yield { start: index, end };
    index = inkFrom(text, end);
    if (text[index] === COMMA) index = inkFrom(text, index + 1);
    else if (text[index] !== CLOSE_BRACKET)
      return yield { offset: index, reason: "expected a comma or a bracket" };
  }
}

/** Just behind the value at `start`; -1 where there is none, or no end of it. Values inside are not checked. */
function valueEnd(text: Buffer, start: number, ends: KnownEnds): number {
  const first = text[start];
  if (first === QUOTE) return stringEnd(text, start);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return wordEnd(text, start);
  const known = ends.get(start);
  if (known !== undefined) return known;
  const starts: number[] = [];
  let depth = 0;
  for (let index = start; index < text.length; index++) {
    const byte = text[index] as number;
    if (byte === QUOTE) {
      index = stringEnd(text, index) - 1;
      if (index < 0) return -1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (depth < KNOWN_DEPTH_MAX) starts[depth] = index;
      depth += 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
      const opened = starts[depth];
      if (opened !== undefined && index - opened >= KNOWN_BYTES_MIN) ends.set(opened, index + 1);
      if (depth === 0) return index + 1;
    }
  }
  return -1;
}

/** Just behind the string at `start`, or -1. */
function stringEnd(text: Buffer, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const byte = text[index];
    if (byte === QUOTE) return index + 1;
    if (byte === BACKSLASH) index += 1;
  }
  return -1;
}

/** Just behind a number or a word. */
function wordEnd(text: Buffer, start: number): number {
  let index = start;
  while (index < text.length && isWordByte(text[index] as number)) index += 1;
  return index === start ? -1 : index;
}

function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e ||
    byte === 0x45
  );
}

function inkFrom(text: Buffer, start: number): number {
  let index = start;
  while (text[index] === 0x20 || text[index] === 0x0a || text[index] === 0x0d || text[index] === 0x09)
    index += 1;
  return index;
}
