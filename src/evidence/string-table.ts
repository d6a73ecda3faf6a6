/**
 * Strings by their UTF-8 bytes. Attribute keys, and values such as probe names, come again in every record:
 * comparing a few bytes is cheaper than making the same string anew.
 */
import { type ByteWords, byteWords, noBytes, standsAt } from "./byte-words.ts";

/** Power of two. A string goes to one place only; the last one there stays. */
const places = 512;

export class StringTable {
  readonly #bytesMax: number;
  readonly #bytes = new Array<ByteWords>(places).fill(noBytes);
  readonly #strings = new Array<string>(places).fill("");

  /** Strings of more than `bytesMax` bytes are not kept; `known` ones, which are ASCII, are there at once. */
  constructor(bytesMax: number, known: readonly string[] = []) {
    this.#bytesMax = bytesMax;
    for (const text of known) {
      const bytes = Buffer.from(text, "latin1");
      this.#put(hash(bytes, 0, bytes.length), bytes, text);
    }
  }

  /** Whether strings of so many bytes are kept. */
  keeps(byteLength: number): boolean {
    return byteLength <= this.#bytesMax;
  }

  /** The string of `buffer[start, end)`, which `view` shows, too; invalid UTF-8 becomes U+FFFD. */
  read(buffer: Buffer, view: DataView, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return "";
    if (length > this.#bytesMax) return buffer.toString("utf8", start, end);
    const place = hash(buffer, start, length);
    const known = this.#bytes[place] as ByteWords;
    if (known.byteLength === length && standsAt(known, view, start)) {
      return this.#strings[place] as string;
    }
    const text = buffer.toString("utf8", start, end);
    this.#put(place, buffer.subarray(start, end), text);
    return text;
  }

  #put(place: number, bytes: Uint8Array, text: string): void {
    this.#bytes[place] = byteWords(bytes);
    this.#strings[place] = text;
  }
}

/** Every byte counts little, but keys of one namespace differ at their end and in their length. */
function hash(buffer: Buffer, start: number, length: number): number {
  const last = start + length - 1;
  let value = Math.imul(length, 31) + (buffer[start] as number);
  value = Math.imul(value, 31) + (buffer[start + (length >> 1)] as number);
  value = Math.imul(value, 31) + (buffer[length > 3 ? last - 3 : last] as number);
  value = Math.imul(value, 31) + (buffer[last] as number);
  return Math.imul(value, 0x9e3779b1) >>> 23;
}
