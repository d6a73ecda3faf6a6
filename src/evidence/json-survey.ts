/** What `JSON.parse` tells nobody of the text that it read. */
import { exactNumber, isDigit, isFractionOrExponent } from "./integer-text.ts";
import { jsonToken } from "./json-scanner.ts";
import { type Integer, integerFromBigInt } from "./record.ts";

export interface JsonSurvey {
  /** Members of all objects, those with the same name counted each. */
  readonly members: number;
  /** The integers that a double does not hold for sure, in the order of the text. */
  readonly wideIntegers: readonly Integer[];
  /** Some name may be an array index; objects put such members first, out of the order of the text. */
  readonly indexNames: boolean;
  /**
   * Some name has an escape. All V8 from about 12 to at least 14.6 may take such a name for another one that it
   * has read before in an object of the same shape: after `{"a":0,"\\":0}` it reads the second name of
   * `{"a":0,"\"":0}` as `\` (nodejs/node issue 63785). Strings by themselves are not affected.
   */
  readonly escapedNames: boolean;
}

const { quote, backslash, colon, minus } = jsonToken;
/** Every integer of at most so many characters is exact as a double. */
const exactCharactersMax = 15;
/** Characters of a 64-bit integer with its sign. */
const plainCharactersMax = 21;
const numberToken = /-?[0-9.eE+-]+/y;

/**
 * Surveys text that is JSON for sure, in one pass. Throws `bad-input` for an integer of more digits than
 * `integerDigitsMax`.
 */
export function surveyJson(text: string): JsonSurvey {
  let members = 0;
  let indexNames = false;
  let escapedNames = false;
  const wideIntegers: Integer[] = [];
  let stringStart = 0;
  let escaped = false;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === quote) {
      stringStart = ++position;
      escaped = false;
      for (let unit = text.charCodeAt(position); unit !== quote; unit = text.charCodeAt(position)) {
        if (unit === backslash) escaped = true;
        position += unit === backslash ? 2 : 1;
      }
    } else if (code === colon) {
      members++;
      if (isDigit(text.charCodeAt(stringStart))) indexNames = true;
      if (escaped) escapedNames = true;
    } else if (isDigit(code) || code === minus) {
      let end = position + 1;
      while (isDigit(text.charCodeAt(end))) end++;
      if (end - position > exactCharactersMax || isFractionOrExponent(text.charCodeAt(end))) {
        end = takeNumber(text, position, end, wideIntegers);
      }
      position = end - 1;
    }
  }
  return { members, wideIntegers, indexNames, escapedNames };
}

/** Adds the number at `start` if it is a wide integer, and returns where it ends. */
function takeNumber(text: string, start: number, digitsEnd: number, wideIntegers: Integer[]): number {
  if (!isFractionOrExponent(text.charCodeAt(digitsEnd)) && digitsEnd - start <= plainCharactersMax) {
    const exact = integerFromBigInt(BigInt(text.slice(start, digitsEnd)));
    if (typeof exact === "bigint") wideIntegers.push(exact);
    return digitsEnd;
  }
  numberToken.lastIndex = start;
  numberToken.test(text);
  const end = numberToken.lastIndex;
  const token = text.slice(start, end);
  if (isWide(Number(token))) wideIntegers.push(exactNumber(token));
  return end;
}

/** Whether `JSON.parse` gives this number for an integer that it may have rounded. */
export function isWide(value: number): boolean {
  return !Number.isSafeInteger(value) && (Number.isInteger(value) || !Number.isFinite(value));
}
