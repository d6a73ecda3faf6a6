/**
 * Finds where length-prefixed messages go on behind bytes that are none: a writer that was killed within a message
 * appends the next one to what is there, and the length of the torn one then counts into those behind it.
 */

import { type Likeness, likenessOf, PREFIX_BYTES } from "./frame-shape.ts";

/** How much of a message is looked at before it is believed; what is found is looked at as a whole once it is there. */
const WINDOW_BYTES = 64 * 1024;
/** Steps of looking at what may be a message, for each byte passed over, and to start with. */
const STEPS_PER_BYTE = 4;
const STEPS_BASE = 4 * WINDOW_BYTES;

/** Looks at each byte in turn, whatever the chunks. */
export class FrameSearch {
  readonly #messageBytesMax: number;
  /** Bytes from `position` on, as far as they are known. */
  #bytes: Buffer;
  /** Where the next message may start. */
  #position: number;
  #stepsLeft = STEPS_BASE;

  /** Searches from `position` on, where `bytes` stand. */
  constructor(position: number, bytes: Buffer, messageBytesMax: number) {
    this.#position = position;
    this.#bytes = bytes;
    this.#messageBytesMax = messageBytesMax;
  }

  /** All before it was passed over. */
  get position(): number {
    return this.#position;
  }

  /**
   * Goes on with `chunk` behind what is known; `isEnd` says that there is no more. Returns all bytes from the start
   * of a message on, which is at `position`; nothing where it takes more bytes.
   */
  next(chunk: Buffer, isEnd: boolean): Buffer | undefined {
    const isMore = chunk.length > 0 && this.#bytes.length > 0;
    const bytes = isMore ? Buffer.concat([this.#bytes, chunk]) : chunk.length > 0 ? chunk : this.#bytes;
    let index = 0;
    let found: boolean | undefined = false;
    for (; index + PREFIX_BYTES < bytes.length; index++) {
      this.#stepsLeft += STEPS_PER_BYTE;
      found = this.#isFrame(bytes, index, isEnd);
      if (found !== false) break;
    }
    this.#position += index;
    this.#bytes = bytes.subarray(index);
    return found === true ? this.#bytes : undefined;
  }

  /** Nothing where it takes more bytes to tell. */
  #isFrame(bytes: Buffer, index: number, isEnd: boolean): boolean | undefined {
    // Most bytes are told here: no length within the limit starts with more, and no message with another byte.
    if ((bytes[index] as number) > this.#messageBytesMax >>> 24) return false;
    const first = bytes[index + PREFIX_BYTES];
    if (first !== 0x0a && first !== 0x7b && first !== 0x28) return false;
    const length = bytes.readUInt32BE(index);
    if (length === 0 || length > this.#messageBytesMax) return false;
    const start = index + PREFIX_BYTES;
    const there = bytes.length - start;
    if (isEnd && there < length) return false;
    if (there < Math.min(length, WINDOW_BYTES)) return undefined;
    if (this.#stepsLeft <= 0) return false;
    const window = bytes.subarray(start, start + Math.min(length, WINDOW_BYTES));
    const { isMessage, steps }: Likeness = likenessOf(length, window, this.#stepsLeft);
    this.#stepsLeft -= steps;
    return isMessage;
  }
}
