/**
 * Length-prefixed protobuf, as the Collector's file exporter writes it with `format: proto`
 * (opentelemetry-collector-contrib, exporter/fileexporter/file_writer.go):
 *
 *     ┌────────────────────────┬───────────────────┬────────────────────────┬─────
 *     │ length: u32 big-endian │ length bytes      │ length: u32 big-endian │ ...
 *     └────────────────────────┴───────────────────┴────────────────────────┴─────
 *
 * The bytes are one `LogsData` in protobuf, or in JSON where the exporter has an encoding of its own; with
 * `compression: zstd` either of them is a zstd frame of its own. An empty message has no log records and is
 * passed over.
 */

import { MessageBytes } from "./message-bytes.ts";
import { type MessageSplitter, overLimitReason, type SplitItem } from "./stored-item.ts";
import { isZstd } from "./zstd-steps.ts";

const PREFIX_BYTES = 4;
const OPEN_BRACE = 0x7b;

/** Splits length-prefixed messages. One over the limit is skipped by its length and reported. */
export class FramedProtobufSplitter implements MessageSplitter {
  readonly #messageBytesMax: number;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixFilled = 0;
  /** The message so far; stays empty for one over the limit. */
  readonly #kept: MessageBytes;
  #length = 0;
  /** Bytes of the message that are still to come. */
  #missing = 0;
  /** Offset of the current frame, its prefix included. */
  #frameOffset = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
    this.#kept = new MessageBytes(messageBytesMax);
  }

  push(chunk: Buffer): SplitItem[] {
    const items: SplitItem[] = [];
    let index = 0;
    while (index < chunk.length) {
      if (this.#prefixFilled < PREFIX_BYTES) index = this.#readPrefix(chunk, index);
      if (this.#prefixFilled < PREFIX_BYTES) break;
      const end = Math.min(index + this.#missing, chunk.length);
      if (end > index && !this.#isOverLimit()) this.#kept.append(chunk.subarray(index, end));
      this.#missing -= end - index;
      index = end;
      if (this.#missing === 0) this.#endMessage(items);
    }
    return items;
  }

  end(): SplitItem[] {
    const offset = this.#frameOffset;
    if (this.#prefixFilled === 0) return [];
    if (this.#isOverLimit()) return [this.#overLimit()];
    return [{ kind: "partial-tail", offset, bytes: this.#prefixFilled + this.#length - this.#missing }];
  }

  #readPrefix(chunk: Buffer, index: number): number {
    if (this.#prefixFilled === 0 && chunk.length - index >= PREFIX_BYTES) {
      this.#startMessage(chunk.readUInt32BE(index));
      return index + PREFIX_BYTES;
    }
    const copied = chunk.copy(this.#prefix, this.#prefixFilled, index);
    this.#prefixFilled += copied;
    if (this.#prefixFilled === PREFIX_BYTES) this.#startMessage(this.#prefix.readUInt32BE());
    return index + copied;
  }

  #startMessage(length: number): void {
    this.#prefixFilled = PREFIX_BYTES;
    this.#length = length;
    this.#missing = length;
  }

  #endMessage(items: SplitItem[]): void {
    if (this.#isOverLimit()) items.push(this.#overLimit());
    else if (this.#length > 0) items.push(this.#message());
    this.#frameOffset += PREFIX_BYTES + this.#length;
    this.#prefixFilled = 0;
    this.#length = 0;
  }

  #message(): SplitItem {
    const stored = this.#kept.take();
    const offset = this.#frameOffset + PREFIX_BYTES;
    if (isZstd(stored)) return { kind: "compressed", body: stored, offset };
    return {
      kind: "request",
      encoding: stored[0] === OPEN_BRACE ? "json" : "protobuf",
      body: stored,
      offset,
    };
  }

  #isOverLimit(): boolean {
    return this.#length > this.#messageBytesMax;
  }

  #overLimit(): SplitItem {
    const skipped = this.#length - this.#missing;
    const reason = `${overLimitReason(this.#length, this.#messageBytesMax)}; skipped ${skipped} bytes`;
    return { kind: "rejected", offset: this.#frameOffset + PREFIX_BYTES, reason };
  }
}
