/**
 * Follows the frames and blocks of zstd without decompressing them (RFC 8878 section 3.1):
 *
 *     frame      magic 0xFD2FB528 │ header: 2 to 14 bytes │ block ... last block │ checksum: 0 or 4 bytes
 *     block      u24: last (1 bit), type (2 bits), size (21 bits) │ content
 *     skippable  magic 0x184D2A50 to 5F │ u32 size │ content
 *
 * For two reasons. Node's zstd stream ends behind the first frame of what it is given at once and drops the
 * rest without an error. And zstd has no limit to how much a byte expands to, but a block has.
 */

import { damaged } from "./inflate.ts";

const ZSTD_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** A frame's checksum, and the longest prefix that is read at once. */
const CHECKSUM_BYTES = 4;
const PREFIX_BYTES_MAX = 8;

/** Whether `bytes` starts with a zstd frame; a first frame to be skipped is none that anybody writes. */
export function isZstd(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32LE() === ZSTD_MAGIC;
}

/** What comes next: its first bytes, of this many, are read together. */
type Part = "magic" | "frame header" | "skippable header" | "block";
const prefixBytes: Readonly<Record<Part, number>> = {
  magic: 4,
  "frame header": 1,
  "skippable header": 4,
  block: 3,
};

/** Cuts compressed bytes into steps that a decompressor can be given one by one. */
export class ZstdSteps {
  readonly #blocksMax: number;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES_MAX);
  #prefixFilled = 0;
  #part: Part = "magic";
  /** Bytes to pass over before the next part. */
  #skip = 0;
  #hasChecksum = false;
  /** Blocks in the step so far. */
  #blocks = 0;
  #position = 0;

  /** @param blocksMax Most blocks of a step; one decompresses to at most 128 KiB. */
  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  /**
   * The steps of `chunk`, which share its memory: none holds bytes of two frames, or more than `blocksMax`
   * blocks. Throws `bad-input` with the offset where no frame or block can be.
   */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0;
    let index = 0;
    while (index < chunk.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - index);
        this.#skip -= passed;
        index += passed;
      } else {
        index = this.#readPrefix(chunk, index);
      }
      if (this.isFrameEnd || (this.#skip === 0 && this.#blocks >= this.#blocksMax)) {
        yield chunk.subarray(start, index);
        start = index;
        this.#blocks = 0;
      }
    }
    this.#position += chunk.length;
    if (start < chunk.length) yield chunk.subarray(start);
  }

  /** How many blocks the step has that was given last. */
  get stepBlocks(): number {
    return this.#blocks;
  }

  /** Whether what was pushed ends with a frame. */
  get isFrameEnd(): boolean {
    return this.#part === "magic" && this.#prefixFilled === 0 && this.#skip === 0;
  }

  #readPrefix(chunk: Buffer, index: number): number {
    const wanted = prefixBytes[this.#part];
    const copied = chunk.copy(this.#prefix, this.#prefixFilled, index, index + wanted - this.#prefixFilled);
    this.#prefixFilled += copied;
    if (this.#prefixFilled === wanted) {
      this.#prefixFilled = 0;
      this.#enter(this.#position + index + copied - wanted);
    }
    return index + copied;
  }

  /** Acts on the prefix of the part, which starts at `offset` of the input. */
  #enter(offset: number): void {
    switch (this.#part) {
      case "magic":
        this.#part = this.#partBehindMagic(offset);
        return;
      case "skippable header":
        this.#skip = this.#prefix.readUInt32LE();
        this.#part = "magic";
        return;
      case "frame header":
        this.#readFrameHeader(this.#prefix.readUInt8());
        this.#part = "block";
        return;
      case "block":
        this.#readBlockHeader(this.#prefix.readUIntLE(0, 3), offset);
    }
  }

  #partBehindMagic(offset: number): Part {
    const magic = this.#prefix.readUInt32LE();
    if (magic === ZSTD_MAGIC) return "frame header";
    if ((magic & ~0xf) === SKIPPABLE_MAGIC) return "skippable header";
    throw damaged("zstd", offset, "no frame starts there");
  }

  /** Section 3.1.1.1: the descriptor says how long the other fields are. */
  #readFrameHeader(descriptor: number): void {
    const isSingleSegment = (descriptor & 0x20) !== 0;
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
    const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
    this.#skip = (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
  }

  /** Section 3.1.1.2. A block of type 1 repeats one byte, and its size says how often. */
  #readBlockHeader(header: number, offset: number): void {
    const type = (header >> 1) & 3;
    if (type === 3) throw damaged("zstd", offset, "no block starts there");
    this.#blocks += 1;
    this.#skip = type === 1 ? 1 : header >> 3;
    if ((header & 1) === 0) return;
    if (this.#hasChecksum) this.#skip += CHECKSUM_BYTES;
    this.#part = "magic";
  }
}
