/** How many values JSON text holds, counted before anything builds them: each takes far more memory than its bytes. */

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Default of `valuesMax`: the members and items of one record. A thousand times what a v1 record with a long
 * stack has; 1.4 million empty arrays, which are 4 MiB, take more than 200 MiB.
 */
export const VALUES_MAX_DEFAULT = 100_000;

/** Bytes that a value takes at least: its own, and one between it and the next one. */
export const VALUE_BYTES_MIN = 2;

/**
 * Whether `text`, JSON of one record, has more members and items than `valuesMax`. Of text that is no JSON it says
 * whether a parser could come upon more. Looks only at what is long enough.
 */
export function hasMoreValues(text: Uint8Array, valuesMax: number): boolean {
  if (text.length <= VALUE_BYTES_MIN * valuesMax) return false;
  let count = 0;
  /** Behind a bracket: whatever comes first is a value, but for the bracket that closes it. */
  let isFirst = false;
  for (let index = 0; index < text.length; index++) {
    const byte = text[index] as number;
    if (byte <= 0x20) continue;
    if (byte === COMMA) count++;
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) isFirst = false;
    else {
      if (isFirst) count++;
      isFirst = byte === OPEN_BRACKET || byte === OPEN_BRACE;
      if (byte === QUOTE) index = stringEnd(text, index);
    }
    if (count > valuesMax) return true;
  }
  return false;
}

/** Why such a record is left out. */
export function tooManyValues(what: string, valuesMax: number): string {
  return `${what} has more than ${valuesMax} members and items`;
}

/** The quote that ends the string whose first quote is at `start`. */
function stringEnd(text: Uint8Array, start: number): number {
  let index = start + 1;
  while (index < text.length && text[index] !== QUOTE) index += text[index] === BACKSLASH ? 2 : 1;
  return index;
}
