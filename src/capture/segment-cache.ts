/**
 * Remembers how runs of attributes were encoded, by the bytes of the frame that decide them: the same process
 * opens many files, and most opens pass the same flags. Copying costs a fraction of encoding.
 *
 * Direct-mapped: each key has one place, and a new key takes the place of the old one. Its size is its limit.
 */
import type { WrittenSegment } from "../otlp/log-record-writer.ts";

/** Places; a power of two. */
const PLACES = 256;

/** Segments by the words of a frame from `beginOffset` up to `endOffset`, both multiples of four. */
export class SegmentCache {
  readonly #beginOffset: number;
  readonly #wordCount: number;
  readonly #keys: Int32Array;
  readonly #segments: (WrittenSegment | undefined)[] = new Array(PLACES).fill(undefined);
  /** Where `find` looked last, for `put`. */
  #place = 0;
  /** Of the chunk that `find` was last given: a DataView reads words faster than a Buffer does. */
  #chunk: Buffer = Buffer.alloc(0);
  #words = new DataView(this.#chunk.buffer);

  constructor(beginOffset: number, endOffset: number) {
    this.#beginOffset = beginOffset;
    this.#wordCount = (endOffset - beginOffset) / 4;
    this.#keys = new Int32Array(PLACES * this.#wordCount);
  }

  /** The segment of the frame at `start`, if it is remembered. */
  find(buffer: Buffer, start: number): WrittenSegment | undefined {
    if (buffer !== this.#chunk) this.#look(buffer);
    const words = this.#words;
    const count = this.#wordCount;
    const begin = start + this.#beginOffset;
    let hash = 0;
    for (let index = 0; index < count; index++) {
      hash = Math.imul(hash ^ words.getInt32(begin + 4 * index, true), 0x9e3779b1);
    }
    this.#place = hash >>> 24;
    const keys = this.#keys;
    const key = this.#place * count;
    for (let index = 0; index < count; index++) {
      if (keys[key + index] !== words.getInt32(begin + 4 * index, true)) return undefined;
    }
    return this.#segments[this.#place];
  }

  #look(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#words = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }

  /** Remembers the segment of the frame that was not found just now. */
  put(buffer: Buffer, start: number, segment: WrittenSegment): void {
    const count = this.#wordCount;
    for (let index = 0; index < count; index++) {
      this.#keys[this.#place * count + index] = buffer.readInt32LE(start + this.#beginOffset + 4 * index);
    }
    this.#segments[this.#place] = segment;
  }
}
