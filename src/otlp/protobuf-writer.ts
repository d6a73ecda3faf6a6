/**
 * A growing buffer for the protobuf wire format (https://protobuf.dev/programming-guides/encoding/).
 * Lengths and integers are always minimal varints. 64-bit values come as two unsigned 32-bit halves: a bigint
 * in the hot path would cost more than the rest of an attribute.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** A buffer never grows beyond this; an OTLP request of 64 MiB is the most that a server has to take. */
export const writerBytesMax = 256 * 1024 * 1024;

/** Bytes that are copied often: eight at a time, so padded to whole words. */
export interface ByteBlock {
  readonly words: Float64Array;
  readonly byteLength: number;
}

/** Compiles `bytes` for `putBlock`. */
export function byteBlock(bytes: Uint8Array): ByteBlock {
  const padded = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
  padded.set(bytes);
  const words = Float64Array.from({ length: padded.length / 8 }, (_, index) =>
    padded.readDoubleLE(index * 8),
  );
  // Doubles are the widest words that are copied without allocating. All are copied exactly but NaN, whose
  // bytes (0xf0 to 0xff, then 0x7f or 0xff) occur neither in UTF-8 nor in the lengths of short attributes.
  if (words.some(Number.isNaN)) throw new Error("these bytes cannot be copied as doubles");
  return { words, byteLength: bytes.length };
}

/** Bytes of the varint of an unsigned 32-bit value. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

/** Writes an unsigned 32-bit value at `position` and returns where it ends. */
export function putVarint(buffer: Buffer, position: number, value: number): number {
  let end = position;
  let rest = value;
  while (rest > 0x7f) {
    buffer[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[end++] = rest;
  return end;
}

/** Writes a 64-bit value at `position` and returns where it ends; int64 is its two's complement. */
export function putVarint64(buffer: Buffer, position: number, lo: number, hi: number): number {
  let end = position;
  let restLo = lo;
  let restHi = hi;
  while (restHi !== 0) {
    buffer[end++] = (restLo & 0x7f) | 0x80;
    restLo = (restLo >>> 7) | (restHi << 25);
    restHi >>>= 7;
  }
  return putVarint(buffer, end, restLo >>> 0);
}

/** Writes whole words at `position`; up to seven bytes after the block are overwritten. */
export function putBlock(view: DataView, position: number, words: Float64Array): void {
  for (let index = 0, at = position; index < words.length; index++, at += 8) {
    view.setFloat64(at, words[index] as number, true);
  }
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
  view: DataView;

  constructor(capacityBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Goes on in `next`, from its start; the old buffer belongs to the caller from now on. */
  release(next: Buffer): void {
    this.buffer = next;
    this.view = new DataView(next.buffer);
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
    this.view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.buffer[this.position++] = value;
  }

  /** An unsigned 32-bit value. */
  varint(value: number): void {
    this.position = putVarint(this.buffer, this.position, value);
  }

  block(block: ByteBlock): void {
    putBlock(this.view, this.position, block.words);
    this.position += block.byteLength;
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
