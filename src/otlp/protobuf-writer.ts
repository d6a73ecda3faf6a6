/**
 * A growing buffer for the protobuf wire format (https://protobuf.dev/programming-guides/encoding/).
 * Lengths and integers are always minimal varints. 64-bit values come as two unsigned 32-bit halves: a bigint
 * in the hot path would cost more than the rest of an attribute.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** A buffer never grows beyond this; an OTLP request of 64 MiB is the most that a server has to take. */
export const writerBytesMax = 256 * 1024 * 1024;

/** Bytes that are copied often: four at a time, so padded to whole little-endian words. */
export interface ByteBlock {
  readonly words: Uint32Array;
  readonly byteLength: number;
}

export function byteBlock(bytes: Uint8Array): ByteBlock {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  for (const [index, byte] of bytes.entries())
    words[index >> 2] = (words[index >> 2] as number) | (byte << ((index & 3) * 8));
  return { words, byteLength: bytes.length };
}

/** Bytes of the varint of an unsigned 32-bit value. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

/** Bytes of the varint of a 64-bit value. */
export function varintSize64(lo: number, hi: number): number {
  if (hi === 0) return varintSize(lo);
  if (hi < 8) return 5;
  return 5 + varintSize(hi >>> 3);
}

/** Longer copies than this are left to the runtime; shorter ones are faster byte by byte. */
const loopBytesMax = 48;

/**
 * Writes at `position`. Only `reserve` grows the buffer: the other methods trust that their caller reserved
 * enough, which is one check per attribute and not one per byte.
 */
export class ProtobufWriter {
  buffer: Buffer;
  position = 0;
  #view: DataView;

  constructor(capacityBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.#view = new DataView(this.buffer.buffer);
  }

  /** Goes on in a new, empty buffer; the old one belongs to the caller from now on. */
  release(capacityBytes: number): void {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.#view = new DataView(this.buffer.buffer);
    this.position = 0;
  }

  /** Makes room for `byteCount` more bytes, and some to spare for whole-word copies. */
  reserve(byteCount: number): void {
    if (this.position + byteCount + 8 > this.buffer.length) this.#grow(byteCount + 8);
  }

  #grow(byteCount: number): void {
    const needed = this.position + byteCount;
    if (needed > writerBytesMax) {
      throw new RuntimeEvidenceError(
        "limit",
        `An OTLP request would be larger than ${writerBytesMax} bytes.`,
        {
          context: { neededBytes: needed },
        },
      );
    }
    const grown = Buffer.allocUnsafeSlow(Math.min(writerBytesMax, Math.max(needed, this.buffer.length * 2)));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
    this.#view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.buffer[this.position++] = value;
  }

  /** An unsigned 32-bit value. */
  varint(value: number): void {
    const { buffer } = this;
    let { position } = this;
    let rest = value;
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.position = position;
  }

  /** A 64-bit value; a negative one is written as its two's complement, as int64 wants it. */
  varint64(lo: number, hi: number): void {
    let restLo = lo >>> 0;
    let restHi = hi >>> 0;
    const { buffer } = this;
    let { position } = this;
    while (restHi !== 0) {
      buffer[position++] = (restLo & 0x7f) | 0x80;
      restLo = ((restLo >>> 7) | (restHi << 25)) >>> 0;
      restHi >>>= 7;
    }
    this.position = position;
    this.varint(restLo);
  }

  fixed64(lo: number, hi: number): void {
    this.#view.setUint32(this.position, lo, true);
    this.#view.setUint32(this.position + 4, hi, true);
    this.position += 8;
  }

  block({ words, byteLength }: ByteBlock): void {
    const view = this.#view;
    let { position } = this;
    for (let index = 0; index < words.length; index++, position += 4) {
      view.setUint32(position, words[index] as number, true);
    }
    this.position += byteLength;
  }

  bytes(source: Buffer, start: number, end: number): void {
    const { buffer } = this;
    let { position } = this;
    if (end - start > loopBytesMax) {
      source.copy(buffer, position, start, end);
      this.position = position + end - start;
      return;
    }
    for (let index = start; index < end; index++) buffer[position++] = source[index] as number;
    this.position = position;
  }

  /** Text of `byteLength` bytes of UTF-8; lone surrogates become U+FFFD. */
  text(text: string, byteLength: number): void {
    if (byteLength !== text.length) {
      this.position += this.buffer.write(text, this.position, "utf8");
      return;
    }
    if (byteLength > loopBytesMax) {
      this.position += this.buffer.write(text, this.position, "latin1");
      return;
    }
    const { buffer } = this;
    let { position } = this;
    for (let index = 0; index < byteLength; index++) buffer[position++] = text.charCodeAt(index);
    this.position = position;
  }

  /** An unsigned 32-bit value in decimal digits. */
  decimal(value: number): void {
    const { buffer } = this;
    const end = this.position + decimalSize(value);
    this.position = end;
    let rest = value;
    for (let index = end - 1; ; index--) {
      const quotient = Math.floor(rest / 10);
      buffer[index] = 0x30 + rest - quotient * 10;
      if (quotient === 0) return;
      rest = quotient;
    }
  }

  /** Moves what was written since `start` by `shift` bytes, which may be negative. */
  shift(start: number, shift: number): void {
    if (shift > 0) this.reserve(shift);
    this.buffer.copyWithin(start + shift, start, this.position);
    this.position += shift;
  }
}

/** Digits of an unsigned 32-bit value. */
export function decimalSize(value: number): number {
  let size = 1;
  for (let power = 10; size < 10 && value >= power; power *= 10) size++;
  return size;
}

/** Bytes of `text` in UTF-8. Short ASCII, the usual case, is found out without leaving JavaScript. */
export function utf8Size(text: string): number {
  if (text.length > loopBytesMax) return Buffer.byteLength(text, "utf8");
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text, "utf8");
  }
  return text.length;
}
