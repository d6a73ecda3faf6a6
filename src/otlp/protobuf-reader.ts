/**
 * Reads the protobuf wire format from bytes that nobody vouches for. Everything is checked against the end
 * of the message at hand; what is wrong is an error `bad-input` that names the byte.
 */
import { type ByteWords, standsAt } from "../evidence/byte-words.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Integer } from "../evidence/record.ts";
import { StringTable } from "../evidence/string-table.ts";
import { integerFromHalves } from "./any-value.ts";
import { ownAttributeKeys } from "./decoded-attributes.ts";
import { ExpectedAttributes } from "./expected-attributes.ts";

export const wireType = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;

/** Longest strings that are looked for among those already read; longer ones seldom come again. */
const keyBytesMax = 48;
const valueBytesMax = 17;

// Of all messages together, because many are small. Keys and values apart: values that never come again must not
// push out the keys, which always do.
const keys = new StringTable(keyBytesMax, ownAttributeKeys);
const values = new StringTable(valueBytesMax);
const expected = new ExpectedAttributes();

export class ProtobufReader {
  readonly #buffer: Buffer;
  readonly expected = expected;
  /** Of `#buffer`: whole words. */
  readonly #view: DataView;
  position = 0;
  /** Where the message ends that is being read. */
  #end: number;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.byteLength;
  }

  /** An error about the byte at `position`, or about the one before where that is the culprit. */
  error(reason: string, position = this.position): RuntimeEvidenceError {
    return new RuntimeEvidenceError("bad-input", `OTLP protobuf: ${reason} at byte ${position}`, {
      context: { byteOffset: position },
    });
  }

  /** Whether the current message has more fields. */
  get more(): boolean {
    return this.position < this.#end;
  }

  /** Enters a length-delimited message and returns what `leave` needs. */
  enter(): number {
    const length = this.#length();
    const outerEnd = this.#end;
    this.#end = this.position + length;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    this.#end = outerEnd;
  }

  /** Passes over these bytes if they stand here in the current message. */
  pass(bytes: ByteWords): boolean {
    const end = this.position + bytes.byteLength;
    if (end > this.#end || !standsAt(bytes, this.#view, this.position)) return false;
    this.position = end;
    return true;
  }

  /** The bytes from `start` to here. */
  bytesSince(start: number): Uint8Array {
    return this.#buffer.subarray(start, this.position);
  }

  /** The next tag: field number times eight, plus wire type. */
  tag(): number {
    const start = this.position;
    const tag = this.#varint();
    if (this.#high !== 0 || tag >>> 3 === 0) throw this.error("a field number out of range", start);
    return tag;
  }

  /** Passes over a field that is not known. */
  skip(tag: number): void {
    switch (tag & 7) {
      case wireType.varint:
        this.#varint();
        return;
      case wireType.fixed64:
        this.#take(8);
        return;
      case wireType.delimited:
        this.#take(this.#length());
        return;
      case wireType.fixed32:
        this.#take(4);
        return;
      default:
        throw this.error(`wire type ${tag & 7}, which is not in use`, this.position - 1);
    }
  }

  /** A varint as uint32 or enum; higher bits are dropped, as protobuf says. */
  uint32(): number {
    return this.#varint();
  }

  boolean(): boolean {
    return (this.#varint() | this.#high) !== 0;
  }

  /** A varint as int64. */
  int64(): Integer {
    const low = this.#varint();
    return integerFromHalves(low, this.#high);
  }

  fixed64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#take(8));
  }

  fixed32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  double(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  bytes(): Uint8Array {
    const start = this.#take(this.#length());
    return Uint8Array.prototype.slice.call(this.#buffer, start, this.position);
  }

  hex(): string {
    const start = this.#take(this.#length());
    return this.#buffer.toString("hex", start, this.position);
  }

  string(): string {
    const start = this.#take(this.#length());
    return values.read(this.#buffer, this.#view, start, this.position);
  }

  /** A string that comes again in every record. */
  key(): string {
    const start = this.#take(this.#length());
    return keys.read(this.#buffer, this.#view, start, this.position);
  }

  /** Passes over `count` bytes and returns where they start. */
  #take(count: number): number {
    const start = this.position;
    if (count > this.#end - start) throw this.error("the message ends too early", this.#end);
    this.position = start + count;
    return start;
  }

  #length(): number {
    const start = this.position;
    const length = this.#varint();
    if (this.#high !== 0 || length > this.#end - this.position) {
      throw this.error("a length beyond the end of the message", start);
    }
    return length;
  }

  /** A varint of up to 64 bits: returns the low half, and leaves the high one in `#high`. */
  #varint(): number {
    const first = this.position;
    const only = this.#buffer[first] as number;
    if (first >= this.#end || only > 0x7f) return this.#longVarint();
    this.position = first + 1;
    this.#high = 0;
    return only;
  }

  #longVarint(): number {
    const buffer = this.#buffer;
    const start = this.position;
    let low = 0;
    let high = 0;
    for (let index = 0; index < 10; index++) {
      if (start + index >= this.#end) throw this.error("the message ends within a number", this.#end);
      const byte = buffer[start + index] as number;
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (7 * index - 32);
      if (byte < 0x80) {
        this.position = start + index + 1;
        this.#high = high >>> 0;
        return low >>> 0;
      }
    }
    throw this.error("a number of more than ten bytes", start);
  }
}
