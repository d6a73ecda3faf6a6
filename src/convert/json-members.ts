/**
 * Where the parts of one JSON object or array stand in its bytes, without parsing them (RFC 8259). Whether a
 * part is valid JSON is for its decoder to say.
 */
import { JsonNesting } from "./json-nesting.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export interface JsonPart {
  readonly start: number;
  /** Just behind it. */
  readonly end: number;
}

/**
 * The values of the object at `start` by their names, as they are written between the quotes; of a name that
 * comes twice the last. Nothing where no whole object is there.
 */
export function jsonMembers(bytes: Buffer, start: number): ReadonlyMap<string, JsonPart> | undefined {
  if (bytes[start] !== OPEN_BRACE) return undefined;
  const members = new Map<string, JsonPart>();
  let index = inkFrom(bytes, start + 1);
  if (bytes[index] === CLOSE_BRACE) return members;
  for (;;) {
    const name = bytes[index] === QUOTE ? partAt(bytes, index) : undefined;
    const colon = name === undefined ? -1 : inkFrom(bytes, name.end);
    const value = bytes[colon] === COLON ? partAt(bytes, inkFrom(bytes, colon + 1)) : undefined;
    if (name === undefined || value === undefined) return undefined;
    members.set(bytes.toString("utf8", name.start + 1, name.end - 1), value);
    index = inkFrom(bytes, value.end);
    if (bytes[index] === CLOSE_BRACE) return members;
    if (bytes[index] !== COMMA) return undefined;
    index = inkFrom(bytes, index + 1);
  }
}

/** The items of the array at `start`; nothing where no whole array is there. */
export function jsonItems(bytes: Buffer, start: number): readonly JsonPart[] | undefined {
  if (bytes[start] !== OPEN_BRACKET) return undefined;
  const items: JsonPart[] = [];
  let index = inkFrom(bytes, start + 1);
  if (bytes[index] === CLOSE_BRACKET) return items;
  for (;;) {
    const item = partAt(bytes, index);
    if (item === undefined) return undefined;
    items.push(item);
    index = inkFrom(bytes, item.end);
    if (bytes[index] === CLOSE_BRACKET) return items;
    if (bytes[index] !== COMMA) return undefined;
    index = inkFrom(bytes, index + 1);
  }
}

function partAt(bytes: Buffer, start: number): JsonPart | undefined {
  const first = bytes[start];
  if (first === OPEN_BRACE || first === OPEN_BRACKET) {
    const end = new JsonNesting().read(bytes, start);
    return end === -1 ? undefined : { start, end };
  }
  if (first === QUOTE) {
    for (let index = start + 1; index < bytes.length; index++) {
      if (bytes[index] === QUOTE) return { start, end: index + 1 };
      if (bytes[index] === BACKSLASH) index += 1;
    }
    return undefined;
  }
  // A number, true, false or null.
  let end = start;
  while (end < bytes.length && /[\w.+-]/.test(String.fromCharCode(bytes[end] as number))) end += 1;
  return end === start ? undefined : { start, end };
}

function inkFrom(bytes: Buffer, start: number): number {
  let index = start;
  while (bytes[index] === 0x20 || bytes[index] === 0x09 || bytes[index] === 0x0d || bytes[index] === 0x0a) {
    index += 1;
  }
  return index;
}
