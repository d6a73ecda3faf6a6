/**
 * Reads JSON text (RFC 8259) from front to back without building what nobody asked for. Strict: whatever is no
 * JSON is an error `bad-input` that names the character.
 *
 * An object is read as `if (scanner.beginObject()) do { scanner.name(); ...value... } while (scanner.moreMembers())`,
 * an array in the same way with `beginArray` and `moreItems`.
 */
import { RuntimeEvidenceError } from "./error.ts";
import { StringCache } from "./string-cache.ts";

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
const nameCharactersMax = 64;
const escapeToken = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

export class JsonScanner {
  readonly text: string;
  position = 0;
  readonly #names: StringCache;
  #depth = 0;
  #hasEscapes = false;

  /** `names` are the member names that are expected: `name` gives these very strings, which compare fast. */
  constructor(text: string, names: readonly string[] = []) {
    this.text = text;
    this.#names = new StringCache(nameCharactersMax, names);
  }

  /** An error about the character at `position`. */
  error(reason: string, position = this.position): RuntimeEvidenceError {
    return new RuntimeEvidenceError("bad-input", `not JSON: ${reason} at character ${position}`, {
      context: { characterOffset: position },
    });
  }

  /** Passes over white space; the code of the next character, -1 at the end. */
  peek(): number {
    const { text } = this;
    let { position } = this;
    let code = text.charCodeAt(position);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = text.charCodeAt(++position);
    }
    this.position = position;
    return position < text.length ? code : -1;
  }

  beginObject(): boolean {
    return this.#begin(openBrace, closeBrace, "an object");
  }

  beginArray(): boolean {
    return this.#begin(openBracket, closeBracket, "an array");
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
    const name = this.#hasEscapes ? this.#unescaped(start, end) : this.#names.read(this.text, start, end);
    if (this.peek() !== colon) throw this.#unexpected("a colon");
    this.position++;
    return name;
  }

  /** A string; may share the memory of the text. With `cache`, for strings that come again and again. */
  string(cache?: StringCache): string {
    if (this.peek() !== quote) throw this.#unexpected("a string");
    const start = this.position + 1;
    const end = this.#passString();
    if (this.#hasEscapes) return this.#unescaped(start, end);
    return cache === undefined ? this.text.slice(start, end) : cache.read(this.text, start, end);
  }

  #unescaped(start: number, end: number): string {
    return JSON.parse(this.text.slice(start - 1, end + 1)) as string;
  }

  /** Passes over a string and returns where its last quote stands. */
  #passString(): number {
    const { text } = this;
    const start = this.position;
    let position = start + 1;
    this.#hasEscapes = false;
    for (;;) {
      const code = text.charCodeAt(position);
      if (code === quote) break;
      if (code === backslash) {
        this.#hasEscapes = true;
        escapeToken.lastIndex = position;
        if (!escapeToken.test(text)) throw this.error("an unknown escape", position);
        position = escapeToken.lastIndex;
      } else if (code >= 0x20) position++;
      else if (position < text.length) throw this.error("a control character in a string", position);
      else throw this.error("the text ends within the string", start);
    }
    this.position = position + 1;
    return position;
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

export function tooDeep(position?: number): RuntimeEvidenceError {
  const where = position === undefined ? "" : ` at character ${position}`;
  return new RuntimeEvidenceError("bad-input", `JSON nested deeper than ${jsonDepthMax} levels${where}`, {
    ...(position !== undefined && { context: { characterOffset: position } }),
  });
}
