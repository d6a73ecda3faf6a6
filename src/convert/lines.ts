/**
 * Bytes to lines, whatever the chunks: used for JSON lines of OTLP and for v1 NDJSON. Memory is bounded by
 * the longest allowed line; a longer one is skipped, reported, and the next line is read as usual.
 */

import { type ByteSource, openByteSource } from "./byte-source.ts";
import { MessageBytes } from "./message-bytes.ts";

/**
 * Default of `lineBytesMax`: 4 MiB, a thousand times a v1 record. Not more, because JSON of many small values
 * takes thirty times its bytes when it is parsed.
 */
export const LINE_BYTES_MAX_DEFAULT = 4 * 1024 * 1024;

export interface LineLimits {
  /** Longest line in bytes, without its newline. Default {@link LINE_BYTES_MAX_DEFAULT}. */
  readonly lineBytesMax?: number;
}

/** One line that is not blank. */
export interface Line {
  readonly kind: "line";
  /** Counted from 1; blank lines count. */
  readonly number: number;
  /** Where its first byte is in the input. */
  readonly offset: number;
  /** Without the newline. Shares memory with what was read: copy it to keep it. */
  readonly bytes: Buffer;
  /** False for a last line that the input ends without a newline. */
  readonly terminated: boolean;
}

/** A line longer than the limit; its content was not kept. */
export interface OverlongLine {
  readonly kind: "overlong";
  readonly number: number;
  readonly offset: number;
  /** Its length, without the newline. */
  readonly byteCount: number;
}

export type LineItem = Line | OverlongLine;

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Splits chunks into lines. Blank lines (only spaces, tabs, carriage returns) are left out but counted. */
export class LineSplitter {
  /** The line so far. */
  readonly #line: MessageBytes;
  #number = 1;
  #offset = 0;

  constructor(limits: LineLimits = {}) {
    this.#line = new MessageBytes(limits.lineBytesMax ?? LINE_BYTES_MAX_DEFAULT);
  }

  /** The lines that `chunk` completes. */
  push(chunk: Buffer): LineItem[] {
    const items: LineItem[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#append(chunk, start, end);
      this.#take(items, true);
      this.#offset += 1;
      this.#number += 1;
      start = end + 1;
    }
    this.#append(chunk, start, chunk.length);
    return items;
  }

  /** The last line, where the input does not end with a newline. */
  end(): LineItem[] {
    const items: LineItem[] = [];
    this.#take(items, false);
    return items;
  }

  #append(chunk: Buffer, start: number, end: number): void {
    if (start < end) this.#line.append(chunk.subarray(start, end));
  }

  /** Ends the line so far and starts the next one behind it. */
  #take(items: LineItem[], terminated: boolean): void {
    const number = this.#number;
    let offset = this.#offset;
    const { byteCount, isOverLimit } = this.#line;
    let bytes = this.#line.take();
    if (isOverLimit) {
      items.push({ kind: "overlong", number, offset, byteCount });
    } else {
      if (number === 1 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
        bytes = bytes.subarray(3);
        offset += 3;
      }
      if (!isBlank(bytes)) items.push({ kind: "line", number, offset, bytes, terminated });
    }
    this.#offset += byteCount;
  }
}

/**
 * Reads lines in batches, one batch per chunk read (a batch may be empty of lines and is then left out).
 * Throws `RuntimeEvidenceError` with code `not-found` or `io` when the file can't be opened or read.
 */
export async function* readLines(
  source: ByteSource,
  limits: LineLimits = {},
): AsyncGenerator<readonly LineItem[], void, undefined> {
  const splitter = new LineSplitter(limits);
  for await (const chunk of openByteSource(source)) {
    const items = splitter.push(chunk);
    if (items.length > 0) yield items;
  }
  const last = splitter.end();
  if (last.length > 0) yield last;
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) {
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}
