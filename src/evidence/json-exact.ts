/**
 * Parses JSON character by character. Slower than `JSON.parse`, which reads what this has to read only where it
 * can't be trusted (see `json-survey.ts`), and where an error has to say what is wrong, and where.
 */
import { RuntimeEvidenceError } from "./error.ts";
import { exactNumber } from "./integer-text.ts";
import { JsonScanner, jsonToken } from "./json-scanner.ts";
import type { JsonValue } from "./record.ts";

/** Longest name that is shown; names come from the input. */
const shownCharactersMax = 60;

/**
 * The value of one JSON text. Throws `bad-input`, with `characterOffset` in its context, for text that is not JSON,
 * a member that stands twice in an object, an integer beyond `integerDigitsMax` or nesting beyond `jsonDepthMax`.
 */
export function parseExactly(text: string): JsonValue {
  const scanner = new JsonScanner(text);
  const value = readValue(scanner);
  scanner.end();
  return value;
}

function readValue(scanner: JsonScanner): JsonValue {
  const first = scanner.peek();
  if (first === jsonToken.openBrace) return readObject(scanner);
  if (first === jsonToken.openBracket) return readArray(scanner);
  if (first === jsonToken.quote) return scanner.string();
  if (scanner.word("true")) return true;
  if (scanner.word("false")) return false;
  if (scanner.word("null")) return null;
  return readNumber(scanner);
}

function readObject(scanner: JsonScanner): JsonValue {
  const object: Record<string, JsonValue> = {};
  if (!scanner.beginObject()) return object;
  do {
    scanner.peek();
    const characterOffset = scanner.position;
    const name = scanner.name();
    if (Object.hasOwn(object, name)) throw duplicate(name, characterOffset);
    const value = readValue(scanner);
    // Assignment would not make a member that is called `__proto__`.
    if (name !== "__proto__") object[name] = value;
    else Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });
  } while (scanner.moreMembers());
  return object;
}

function readArray(scanner: JsonScanner): JsonValue {
  const items: JsonValue[] = [];
  if (!scanner.beginArray()) return items;
  do items.push(readValue(scanner));
  while (scanner.moreItems());
  return items;
}

function readNumber(scanner: JsonScanner): number | bigint {
  scanner.peek();
  const characterOffset = scanner.position;
  const token = scanner.number();
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

function duplicate(name: string, characterOffset: number): RuntimeEvidenceError {
  const shown = name.slice(0, shownCharactersMax).replace(/[^\x20-\x7e]/g, "?");
  return new RuntimeEvidenceError(
    "bad-input",
    `the member ${JSON.stringify(shown)} stands twice in one object, again at character ${characterOffset}`,
    { context: { characterOffset } },
  );
}
