/**
 * Splits a byte stream into frames, however the stream was torn into chunks.
 *
 * A frame begins with its own length (`bpf/frame.h`, docs/wire-format.md), so the only state is the torn
 * frame at the end of the last chunk. Frames that lie whole in a chunk are handed on without a copy.
 *
 * A length that no frame can have means that the stream is damaged. The splitter then looks, byte by
 * byte, for the next place that reads like a frame header and goes on there; what it passed over is
 * counted, so that a damaged recording gives all of its sound frames and an honest number.
 */
import {
  FRAME_ALIGN,
  FrameKind,
  FRAME_HEADER as HEADER,
  FRAME_HEADER_SIZE as HEADER_BYTES,
  PROBE_COUNT,
} from "./layout.gen.ts";

/** Longest frame that is believed; the longest real one is a process_exec with two 4,095-byte strings. */
export const FRAME_BYTES_MAX = 64 * 1024;

/** Called once per frame, with the buffer that holds it and where it starts; valid until it returns. */
export type OnFrame = (buffer: Buffer, start: number) => void;

const KNOWN_KINDS: ReadonlySet<number> = new Set(Object.values(FrameKind));

/** Cuts frames out of chunks. One splitter per stream. */
export class FrameSplitter {
  /** Whole frames handed on. */
  frameCount = 0;
  /** Bytes passed over to find the next frame after damage. */
  skippedBytes = 0;
  /** Offset in the stream of the first damaged byte, if any. */
  firstDamageOffset: number | undefined;
  /** Bytes seen by `push` so far. */
  streamBytes = 0;

  #torn: Buffer = Buffer.alloc(0);
  #searching = false;

  /** Takes the next chunk and calls `onFrame` for each frame that is complete with it. */
  push(chunk: Buffer, onFrame: OnFrame): void {
    this.streamBytes += chunk.length;
    const buffer = this.#torn.length === 0 ? chunk : this.#completeTorn(chunk, onFrame);
    if (buffer !== undefined) this.#splitWhole(buffer, onFrame);
  }

  /** Bytes of an unfinished frame that the stream ended with: 0 when it ended at a frame boundary. */
  get tornTailBytes(): number {
    return this.#torn.length;
  }

  /**
   * Finishes the torn frame from the chunk and returns what is left of the chunk, so that only one frame
   * per chunk is ever copied.
   */
  #completeTorn(chunk: Buffer, onFrame: OnFrame): Buffer | undefined {
    const torn = this.#torn;
    if (this.#searching || torn.length < 4) return this.#join(torn, chunk);
    const length = torn.readUInt32LE(0);
    const missing = length - torn.length;
    if (missing > chunk.length) {
      this.#torn = Buffer.concat([torn, chunk]);
      return undefined;
    }
    this.#torn = Buffer.alloc(0);
    const frame = Buffer.concat([torn, chunk.subarray(0, missing)]);
    this.frameCount++;
    onFrame(frame, 0);
    return chunk.subarray(missing);
  }

  #join(torn: Buffer, chunk: Buffer): Buffer {
    this.#torn = Buffer.alloc(0);
    return Buffer.concat([torn, chunk]);
  }

  #splitWhole(buffer: Buffer, onFrame: OnFrame): void {
    let at = 0;
    while (at + 4 <= buffer.length) {
      if (this.#searching) {
        const found = findHeader(buffer, at);
        this.skippedBytes += found.at - at;
        at = found.at;
        if (!found.sure) break;
        this.#searching = false;
      }
      const length = buffer.readUInt32LE(at);
      if (!isFrameLength(length)) {
        this.firstDamageOffset ??= this.streamBytes - buffer.length + at;
        this.#searching = true;
        this.skippedBytes++;
        at++;
        continue;
      }
      if (at + length > buffer.length) break;
      this.frameCount++;
      onFrame(buffer, at);
      at += length;
    }
    // A copy, because the chunk's memory is the stream's to reuse.
    if (at < buffer.length) this.#torn = Buffer.from(buffer.subarray(at));
  }
}

function isFrameLength(length: number): boolean {
  return length >= HEADER_BYTES && length <= FRAME_BYTES_MAX && length % FRAME_ALIGN === 0;
}

/**
 * The next offset at which a frame header may stand: length, kind and probe are possible, and so is the
 * length of the frame behind it where that one is in sight. `sure` is false when the buffer ended first.
 */
function findHeader(buffer: Buffer, from: number): { at: number; sure: boolean } {
  let at = from;
  for (; at + HEADER_BYTES <= buffer.length; at++) {
    const length = buffer.readUInt32LE(at);
    if (!isFrameLength(length)) continue;
    if (!KNOWN_KINDS.has(buffer.readUInt8(at + HEADER.kind.offset))) continue;
    if (buffer.readUInt8(at + HEADER.probe.offset) >= PROBE_COUNT) continue;
    const next = at + length;
    if (next + 4 <= buffer.length && !isFrameLength(buffer.readUInt32LE(next))) continue;
    return { at, sure: true };
  }
  return { at, sure: false };
}
