/** Bytes that are looked for again and again, compared four at a time. */

export interface ByteWords {
  /** Little-endian, padded with zeros to whole words. */
  readonly words: Int32Array;
  readonly byteLength: number;
}

export const noBytes: ByteWords = { words: new Int32Array(0), byteLength: 0 };

export function byteWords(bytes: Uint8Array): ByteWords {
  const words = new Int32Array((bytes.length + 3) >> 2);
  for (let index = 0; index < bytes.length; index++) {
    words[index >> 2] = (words[index >> 2] as number) | ((bytes[index] as number) << (8 * (index & 3)));
  }
  return { words, byteLength: bytes.length };
}

/** Whether these bytes stand at `start` of `view`; false where it ends before them. */
export function standsAt({ words, byteLength }: ByteWords, view: DataView, start: number): boolean {
  if (start + byteLength > view.byteLength) return false;
  const whole = byteLength >> 2;
  for (let word = 0; word < whole; word++) {
    if (words[word] !== view.getInt32(start + 4 * word, true)) return false;
  }
  for (let index = whole << 2; index < byteLength; index++) {
    const byte = ((words[whole] as number) >>> (8 * (index & 3))) & 0xff;
    if (byte !== view.getUint8(start + index)) return false;
  }
  return true;
}

export function sameBytes(one: ByteWords, other: ByteWords): boolean {
  return one.byteLength === other.byteLength && one.words.every((word, index) => word === other.words[index]);
}
