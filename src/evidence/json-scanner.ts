/**
 * Reads JSON text (RFC 8259) from front to back without building what nobody asked for. Strict: whatever is no
 * JSON is an error `bad-input` that names the character.
 *
 * An object is read as `if (scanner.beginObject()) do { scanner.name(); ...value... } while (scanner.moreMembers())`,
 * an array in the same way with `beginArray` and `moreItems`.
 */
import { type ByteWords, standsAt } from "./byte-words.ts";
import { RuntimeEvidenceError } from "./error.ts";
import { StringTable } from "./string-table.ts";

/** Deepest nesting that is read; what walks values (`JSON.stringify`, too) is recursive, and stacks end. */
export const jsonDepthMax = 1000;

/** First characters of tokens. */
export const jsonToken = {
  quote: 0x22,
  comma: 0x2c,
  minus: 0x2d,
  colon: 0x3a,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;
const { quote, comma, minus, colon, openBracket, backslash, closeBracket, openBrace, closeBrace } = jsonToken;

/** Longest names that are kept; longer ones seldom come again. */
export const nameBytesMax = 48;
/** Shared, because texts are many and small, and have the same names. */
const anyNames = new StringTable(nameBytesMax);
/** Stands for every character beyond ASCII, which JSON has in strings only. */
const beyondAscii = 0x7f;
/** What a byte means within a string. */
const inString = { plain: 0, beyondAscii: 1, end: 2, escape: 3, control: 4 } as const;
const stringClasses = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === quote) return inString.end;
  if (byte === backslash) return inString.escape;
  if (byte < 0x20) return inString.control;
  return byte >= beyondAscii ? inString.beyondAscii : inString.plain;
});
const escapeToken = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

export class JsonScanner {
  readonly text: string;
  /** A byte for each UTF-16 unit of the text: bytes are read several times as fast as characters. */
  protected readonly bytes: Buffer;
  /** Of `bytes`: whole words. */
  readonly #view: DataView;
  position = 0;
  readonly #names: StringTable;
  #depth = 0;
  #hasEscapes = false;
  #isAscii = true;

  /** `names` has the member names that are expected: `name` gives these very strings, which compare fast. */
  constructor(text: string, names: StringTable = anyNames) {
    this.text = text;
    this.bytes = maskedBytes(text);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.#names = names;
  }

  /** An error about the character at `position`. */
  error(reason: string, position = this.position): RuntimeEvidenceError {
    return new RuntimeEvidenceError("bad-input", `not JSON: ${reason} at character ${position}`, {
      context: { characterOffset: position },
    });
  }

  /** Passes over white space; the code of the next character, -1 at the end. */
  peek(): number {
    const { bytes } = this;
    let { position } = this;
    if (position >= bytes.length) return -1;
    let code = bytes[position] as number;
    if (code > 0x20) return code;
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      if (++position >= bytes.length) code = -1;
      else code = bytes[position] as number;
    }
    this.position = position;
    return code;
  }

  beginObject(): boolean {
    return this.#begin(openBrace, closeBrace, "an object");
  }

  beginArray(): boolean {
    return this.#begin(openBracket, closeBracket, "an array");
  }

  /**
   * Passes over text that stands here to the letter, and enters the `levels` objects that it opens; otherwise
   * nothing is passed over. The text has to be ASCII without DEL.
   */
  enterObjects(text: ByteWords, levels: number): boolean {
    if (!standsAt(text, this.#view, this.position)) return false;
    if (this.#depth + levels > jsonDepthMax) throw tooDeep(this.position);
    this.#depth += levels;
    this.position += text.byteLength;
    return true;
  }

  /** The same for text that leaves objects. */
  leaveObjects(text: ByteWords, levels: number): boolean {
    if (!standsAt(text, this.#view, this.position)) return false;
    this.#depth -= levels;
    this.position += text.byteLength;
    return true;
  }

  moreMembers(): boolean {
    return this.#more(closeBrace);
  }

  moreItems(): boolean {
    return this.#more(closeBracket);
  }

  #begin(open: number, close: number, what: string): boolean {
    if (this.peek() !== open) throw this.#unexpected(what);
    if (this.#depth === jsonDepthMax) throw tooDeep(this.position);
    this.position++;
    if (this.peek() === close) {
      this.position++;
      return false;
    }
    this.#depth++;
    return true;
  }

  #more(close: number): boolean {
    const code = this.peek();
    if (code !== comma && code !== close) throw this.#unexpected(`a comma or ${String.fromCharCode(close)}`);
    this.position++;
    if (code === comma) return true;
    this.#depth--;
    return false;
  }

  /** The name of a member, and the colon after it. */
  name(): string {
    if (this.peek() !== quote) throw this.#unexpected("the name of a member");
    const start = this.position + 1;
    const end = this.#passString();
    const name = this.#content(start, end, this.#names);
    if (this.peek() !== colon) throw this.#unexpected("a colon");
    this.position++;
    return name;
  }

  /** A string; with `table` for those that come again and again. */
  string(table?: StringTable): string {
    if (this.peek() !== quote) throw this.#unexpected("a string");
    const start = this.position + 1;
    return this.#content(start, this.#passString(), table);
  }

  /** The string that was just passed over, never as a slice: one that is kept would keep the whole text. */
  #content(start: number, end: number, table: StringTable | undefined): string {
    if (this.#hasEscapes) return JSON.parse(this.text.slice(start - 1, end + 1)) as string;
    if (!this.#isAscii) return Buffer.from(this.text.slice(start, end), "utf16le").toString("utf16le");
    return table?.keeps(end - start)
      ? table.read(this.bytes, this.#view, start, end)
      : this.bytes.toString("latin1", start, end);
  }

  /** Passes over a string and returns where its last quote stands. */
  #passString(): number {
    const { bytes } = this;
    const start = this.position;
    let position = start + 1;
    this.#hasEscapes = false;
    this.#isAscii = true;
    for (;;) {
      while (stringClasses[bytes[position] as number] === inString.plain) position++;
      if (position >= bytes.length) throw this.error("the text ends within the string", start);
      const what = stringClasses[bytes[position] as number];
      if (what === inString.end) break;
      if (what === inString.escape) position = this.#passEscape(position);
      else if (what === inString.control) throw this.error("a control character in a string", position);
      else {
        this.#isAscii = false;
        position++;
      }
    }
    this.position = position + 1;
    return position;
  }

  #passEscape(position: number): number {
    this.#hasEscapes = true;
    escapeToken.lastIndex = position;
    if (!escapeToken.test(this.text)) throw this.error("an unknown escape", position);
    return escapeToken.lastIndex;
  }

  /** The text of a number. */
  number(): string {
    this.peek();
    numberToken.lastIndex = this.position;
    const token = numberToken.exec(this.text)?.[0];
    if (token === undefined) throw this.#unexpected("a number");
    this.position += token.length;
    return token;
  }

  /** Passes over `word` if it stands here: `true`, `false` or `null`. */
  word(word: "true" | "false" | "null"): boolean {
    this.peek();
    if (!this.text.startsWith(word, this.position)) return false;
    this.position += word.length;
    return true;
  }

  /** Passes over any value. */
  skip(): void {
    const code = this.peek();
    if (code === quote) this.#passString();
    else if (code === openBrace) {
      if (!this.beginObject()) return;
      do {
        this.name();
        this.skip();
      } while (this.moreMembers());
    } else if (code === openBracket) {
      if (!this.beginArray()) return;
      do this.skip();
      while (this.moreItems());
    } else if (code === minus || (code >= 0x30 && code <= 0x39)) this.number();
    else if (!this.word("true") && !this.word("false") && !this.word("null")) {
      throw this.#unexpected("a value");
    }
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.peek() !== -1) throw this.#unexpected("nothing more");
  }

  #unexpected(expected: string): RuntimeEvidenceError {
    return this.error(this.position < this.text.length ? `not ${expected}` : `an end instead of ${expected}`);
  }
}

/** One byte for each UTF-16 unit, and no byte of a unit beyond ASCII that looks like another. */
function maskedBytes(text: string): Buffer {
  if (Buffer.byteLength(text) === text.length) return Buffer.from(text, "latin1");
  const bytes = Buffer.allocUnsafeSlow(text.length);
  for (let index = 0; index < text.length; index++) {
    bytes[index] = Math.min(text.charCodeAt(index), beyondAscii);
  }
  return bytes;
}

export function tooDeep(position?: number): RuntimeEvidenceError {
  const where = position === undefined ? "" : ` at character ${position}`;
  return new RuntimeEvidenceError("bad-input", `JSON nested deeper than ${jsonDepthMax} levels${where}`, {
    ...(position !== undefined && { context: { characterOffset: position } }),
  });
}
