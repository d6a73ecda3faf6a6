/**
 * Writes the body of a log record: one short line for people, made of values that stand in the record
 * already. It is never read back, so long values are cut and control characters are replaced.
 */
import type { AttributeSlot, BodyPiece } from "./attribute-slot.ts";
import { type ProtobufWriter, utf8Size, varintSize } from "./protobuf-writer.ts";

/** LogRecord.body: field 5, length-delimited. */
const bodyTag = 0x2a;
const stringTag = 0x0a;
/** A value is cut after this many bytes, at a character's boundary. */
const valueBytesMax = 256;
/** Room for the literals of the longest template, tags and lengths. */
const templateBytesMax = 256;
/** Tags and lengths of a body below 128 bytes. */
const headBytesExpected = 4;

/** The value of a slot, apart from the record it was written to. */
export interface BodyValue {
  readonly slot: AttributeSlot;
  readonly isInteger: boolean;
  /** Of a text where it ends, counted from where it was kept; of an integer the low half. */
  readonly first: number;
  /** Of a text its length, of an integer the high half. */
  readonly second: number;
}

/** Remembers where the values of the current record stand, and copies them into its body. */
export class BodyWriter {
  readonly #out: ProtobufWriter;
  /** By slot index: the record that a value belongs to, so that nothing has to be cleared. */
  readonly #record: Uint32Array;
  /** Where a text ends and how long it is; of an integer, the low and high half, and `#isInteger`. */
  readonly #first: Uint32Array;
  readonly #second: Uint32Array;
  readonly #isInteger: Uint8Array;
  #current = 0;

  constructor(out: ProtobufWriter, slotTotal: number) {
    this.#out = out;
    this.#record = new Uint32Array(slotTotal);
    this.#first = new Uint32Array(slotTotal);
    this.#second = new Uint32Array(slotTotal);
    this.#isInteger = new Uint8Array(slotTotal);
  }

  begin(): void {
    this.#current = (this.#current + 1) >>> 0;
  }

  /** The text value of `slot` was just written: its last byte is the last one of the buffer. */
  text({ index }: AttributeSlot, byteLength: number): void {
    this.#record[index] = this.#current;
    this.#first[index] = this.#out.position;
    this.#second[index] = byteLength;
    this.#isInteger[index] = 0;
  }

  integer({ index }: AttributeSlot, lo: number, hi: number): void {
    this.#record[index] = this.#current;
    this.#first[index] = lo;
    this.#second[index] = hi;
    this.#isInteger[index] = 1;
  }

  /** The values of `slots` that this record has; places are counted from `from`. */
  keep(slots: readonly AttributeSlot[], from: number): BodyValue[] {
    return slots
      .filter(({ index }) => this.#record[index] === this.#current)
      .map((slot) => {
        const isInteger = this.#isInteger[slot.index] === 1;
        const first = this.#first[slot.index] as number;
        const second = this.#second[slot.index] as number;
        return { slot, isInteger, first: isInteger ? first : first - from, second };
      });
  }

  /** Gives this record values that were kept; places are counted from `from`. */
  restore(values: readonly BodyValue[], from: number): void {
    for (const { slot, isInteger, first, second } of values) {
      const { index } = slot;
      this.#record[index] = this.#current;
      this.#first[index] = isInteger ? first : first + from;
      this.#second[index] = second;
      this.#isInteger[index] = isInteger ? 1 : 0;
    }
  }

  write(pieces: readonly BodyPiece[]): void {
    const out = this.#out;
    out.reserve(templateBytesMax + pieces.length * valueBytesMax);
    const start = out.position;
    out.position += headBytesExpected;
    for (const piece of pieces) this.#piece(piece);
    const length = out.position - start - headBytesExpected;
    const valueLength = 1 + varintSize(length) + length;
    const shift = 2 + varintSize(length) + varintSize(valueLength) - headBytesExpected;
    if (shift > 0) out.shift(start + headBytesExpected, shift);
    const end = out.position;
    out.position = start;
    out.byte(bodyTag);
    out.varint(valueLength);
    out.byte(stringTag);
    out.varint(length);
    out.position = end;
  }

  #piece({ before, slot, after }: BodyPiece): void {
    const out = this.#out;
    if (slot !== undefined && this.#record[slot.index] !== this.#current) return;
    if (before.byteLength > 0) out.block(before);
    if (slot !== undefined) {
      const first = this.#first[slot.index] as number;
      const second = this.#second[slot.index] as number;
      if (this.#isInteger[slot.index] === 0) this.#copy(first - second, first);
      else this.#digits(first, second);
    }
    if (after.byteLength > 0) out.block(after);
  }

  #digits(lo: number, hi: number): void {
    if (hi === 0) {
      this.#out.decimal(lo);
      return;
    }
    const text = String((BigInt(hi | 0) << 32n) | BigInt(lo));
    this.#out.text(text, utf8Size(text));
  }

  #copy(start: number, end: number): void {
    const { buffer } = this.#out;
    let stop = end;
    if (end - start > valueBytesMax) {
      stop = start + valueBytesMax;
      // A byte 10xxxxxx continues a character: the cut must not stand before one.
      while (stop > start && ((buffer[stop] as number) & 0xc0) === 0x80) stop--;
    }
    let { position } = this.#out;
    for (let index = start; index < stop; index++) {
      const byte = buffer[index] as number;
      buffer[position++] = byte < 0x20 || byte === 0x7f ? 0x3f : byte;
    }
    this.#out.position = position;
  }
}
