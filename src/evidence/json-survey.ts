/** What `JSON.parse` tells nobody of the text that it read. */
import { RuntimeEvidenceError } from "./error.ts";
import { exactNumber } from "./integer-text.ts";
import { jsonToken } from "./json-scanner.ts";
import type { Integer } from "./record.ts";

export interface JsonSurvey {
  /** Members of all objects, those with the same name counted each. */
  readonly members: number;
  /** The integers that a double does not hold for sure, in the order of the text. */
  readonly wideIntegers: readonly Integer[];
  /** Some name may be an array index; objects put such members first, out of the order of the text. */
  readonly indexNames: boolean;
}

const { quote, backslash, colon, minus } = jsonToken;
/** Every integer of at most so many characters is exact as a double. */
const exactCharactersMax = 15;
const numberToken = /-?[0-9.eE+-]+/y;

/**
 * Surveys text that is JSON for sure, in one pass. Throws `bad-input` for an integer of more digits than
 * `integerDigitsMax`.
 */
export function surveyJson(text: string): JsonSurvey {
  let members = 0;
  let indexNames = false;
  const wideIntegers: Integer[] = [];
  let stringStart = 0;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === quote) {
      stringStart = position + 1;
      position = endOfString(text, stringStart);
    } else if (code === colon) {
      members++;
      const first = text.charCodeAt(stringStart);
      if (isDigit(first) || first === backslash) indexNames = true;
    } else if (isDigit(code) || code === minus) {
      let end = position + 1;
      while (isDigit(text.charCodeAt(end))) end++;
      if (end - position > exactCharactersMax || isFractionOrExponent(text.charCodeAt(end))) {
        end = takeNumber(text, position, end, wideIntegers);
      }
      position = end - 1;
    }
  }
  return { members, wideIntegers, indexNames };
}

function isDigit(code: number): boolean {
  return code <= 0x39 && code >= 0x30;
}

function isFractionOrExponent(code: number): boolean {
  return code === 0x2e || code === 0x65 || code === 0x45;
}

function endOfString(text: string, start: number): number {
  let position = start;
  for (;;) {
    const code = text.charCodeAt(position);
    if (code === quote) return position;
    position += code === backslash ? 2 : 1;
  }
}

/** Adds the number at `start` if it is a wide integer, and returns where it ends. */
function takeNumber(text: string, start: number, digitsEnd: number, wideIntegers: Integer[]): number {
  let end = digitsEnd;
  if (isFractionOrExponent(text.charCodeAt(end))) {
    numberToken.lastIndex = start;
    numberToken.test(text);
    end = numberToken.lastIndex;
  }
  const token = text.slice(start, end);
  if (isWide(Number(token))) wideIntegers.push(wideInteger(token, start));
  return end;
}

/** Whether `JSON.parse` gives this number for an integer that it may have rounded. */
export function isWide(value: number): boolean {
  return !Number.isSafeInteger(value) && (Number.isInteger(value) || !Number.isFinite(value));
}

function wideInteger(token: string, characterOffset: number): Integer {
  try {
    return exactNumber(token);
  } catch (cause) {
    const { message } = RuntimeEvidenceError.from(cause);
    throw new RuntimeEvidenceError("bad-input", `${message} at character ${characterOffset}`, {
      context: { characterOffset },
      cause,
    });
  }
}
