/** Finds the member that stands twice in one object of a JSON text. */
import { RuntimeEvidenceError } from "./error.ts";
import { JsonScanner, jsonToken } from "./json-scanner.ts";

/** Longest name that is shown; names come from the input. */
const shownCharactersMax = 60;

/** The error about the first member with a name that its object has already; nothing when there is none. */
export function duplicateMember(text: string): RuntimeEvidenceError | undefined {
  return inValue(new JsonScanner(text));
}

function inValue(scanner: JsonScanner): RuntimeEvidenceError | undefined {
  const first = scanner.peek();
  if (first === jsonToken.openBrace) return inObject(scanner);
  if (first === jsonToken.openBracket) return inArray(scanner);
  scanner.skip();
  return undefined;
}

function inObject(scanner: JsonScanner): RuntimeEvidenceError | undefined {
  if (!scanner.beginObject()) return undefined;
  const names = new Set<string>();
  do {
    scanner.peek();
    const characterOffset = scanner.position;
    const name = scanner.name();
    if (names.has(name)) return duplicate(name, characterOffset);
    names.add(name);
    const inner = inValue(scanner);
    if (inner !== undefined) return inner;
  } while (scanner.moreMembers());
  return undefined;
}

function inArray(scanner: JsonScanner): RuntimeEvidenceError | undefined {
  if (!scanner.beginArray()) return undefined;
  do {
    const inner = inValue(scanner);
    if (inner !== undefined) return inner;
  } while (scanner.moreItems());
  return undefined;
}

function duplicate(name: string, characterOffset: number): RuntimeEvidenceError {
  const shown = name.slice(0, shownCharactersMax).replace(/[^\x20-\x7e]/g, "?");
  return new RuntimeEvidenceError(
    "bad-input",
    `the member ${JSON.stringify(shown)} stands twice in one object, again at character ${characterOffset}`,
    { context: { characterOffset } },
  );
}
