/**
 * Strings by their UTF-8 bytes. Attribute keys, and values such as probe names, come again in every record:
 * comparing a few bytes is cheaper than making the same string anew.
 */

/** Power of two. A string goes to one place only; the last one there stays. */
const places = 512;

export class StringTable {
  readonly #bytesMax: number;
  readonly #bytes = new Array<Uint8Array | undefined>(places).fill(undefined);
  readonly #strings = new Array<string>(places).fill("");

  /** Strings of more than `bytesMax` bytes are not kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The string of `buffer[start, end)`; invalid UTF-8 becomes U+FFFD. */
  read(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return "";
    if (length > this.#bytesMax) return buffer.toString("utf8", start, end);
    const place = hash(buffer, start, length);
    const known = this.#bytes[place];
    if (known !== undefined && equals(known, buffer, start, length)) return this.#strings[place] as string;
    const text = buffer.toString("utf8", start, end);
    this.#bytes[place] = Uint8Array.prototype.slice.call(buffer, start, end);
    this.#strings[place] = text;
    return text;
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

function equals(known: Uint8Array, buffer: Buffer, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (known[index] !== buffer[start + index]) return false;
  }
  return true;
}
