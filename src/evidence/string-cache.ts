/**
 * Strings by their characters within a longer text. Names and values that come again in every record are then
 * one string each, which compares at once and doesn't keep the text alive that a slice would share memory with.
 */

/** Power of two. A string goes to one place only; the last one there stays. */
const places = 512;

export class StringCache {
  readonly #charactersMax: number;
  readonly #strings = new Array<string>(places).fill("");

  /** Strings of more than `charactersMax` characters are not kept; `known` are kept from the start. */
  constructor(charactersMax: number, known: readonly string[] = []) {
    this.#charactersMax = charactersMax;
    for (const text of known) this.#strings[hash(text, 0, text.length)] = text;
  }

  /** The characters of `text` in [start, end). */
  read(text: string, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return "";
    if (length > this.#charactersMax) return text.slice(start, end);
    const place = hash(text, start, length);
    const known = this.#strings[place] as string;
    if (known.length === length && text.startsWith(known, start)) return known;
    // By way of a buffer: a slice would keep all of `text` alive.
    const own = Buffer.from(text.slice(start, end), "utf16le").toString("utf16le");
    this.#strings[place] = own;
    return own;
  }
}

/** Every character counts little, but keys of one namespace differ at their end and in their length. */
function hash(text: string, start: number, length: number): number {
  const last = start + length - 1;
  let value = Math.imul(length, 31) + text.charCodeAt(start);
  value = Math.imul(value, 31) + text.charCodeAt(start + (length >> 1));
  value = Math.imul(value, 31) + text.charCodeAt(length > 3 ? last - 3 : last);
  value = Math.imul(value, 31) + text.charCodeAt(last);
  return Math.imul(value, 0x9e3779b1) >>> 23;
}
