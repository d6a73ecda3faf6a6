/**
 * Builds the value of a JSON text without `JSON.parse`, which in all V8 from about 12 to at least 14.6 may take
 * an escaped member name for another one, in an object of the same shape, that was read before it: after
 * `{"a":0,"\\":0}` the name in `{"a":0,"\"":0}` is read as `\` (nodejs/node issue 63785). Strings by themselves
 * are not affected.
 */
import { exactNumber } from "./integer-text.ts";
import { JsonScanner, jsonToken } from "./json-scanner.ts";
import type { JsonValue } from "./record.ts";

/** Some ten times as slow as `JSON.parse`; for text that has an escaped member name. Integers are exact. */
export function scanJson(text: string): JsonValue {
  return readValue(new JsonScanner(text));
}

function readValue(scanner: JsonScanner): JsonValue {
  switch (scanner.peek()) {
    case jsonToken.openBrace:
      return readObject(scanner);
    case jsonToken.openBracket:
      return readArray(scanner);
    case jsonToken.quote:
      return scanner.string();
  }
  if (scanner.word("null")) return null;
  if (scanner.word("true")) return true;
  return scanner.word("false") ? false : exactNumber(scanner.number());
}

function readObject(scanner: JsonScanner): JsonValue {
  const members: Record<string, JsonValue> = {};
  if (!scanner.beginObject()) return members;
  do {
    const name = scanner.name();
    const value = readValue(scanner);
    if (name !== "__proto__") members[name] = value;
    else
      Object.defineProperty(members, name, { value, configurable: true, enumerable: true, writable: true });
  } while (scanner.moreMembers());
  return members;
}

function readArray(scanner: JsonScanner): JsonValue {
  const items: JsonValue[] = [];
  if (!scanner.beginArray()) return items;
  do items.push(readValue(scanner));
  while (scanner.moreItems());
  return items;
}
