/**
 * Length-prefixed protobuf, as the Collector's file exporter writes it with `format: proto`
 * (opentelemetry-collector-contrib, exporter/fileexporter/file_writer.go):
 *
 *     ┌────────────────────────┬───────────────────┬────────────────────────┬─────
 *     │ length: u32 big-endian │ length bytes      │ length: u32 big-endian │ ...
 *     └────────────────────────┴───────────────────┴────────────────────────┴─────
 *
 * The bytes are one `LogsData` in protobuf, or in JSON where the exporter has an encoding of its own.
 */

import { type MessageSplitter, overLimitReason, type StoredItem } from "./stored-item.ts";

const PREFIX_BYTES = 4;
const OPEN_BRACE = 0x7b;
/** RFC 8878 section 3.1.1, as little-endian bytes. */
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** Splits length-prefixed messages. One over the limit is skipped by its length and reported. */
export class FramedProtobufSplitter implements MessageSplitter {
  readonly #messageBytesMax: number;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixFilled = 0;
  /** Kept bytes of the current message; stays empty for one over the limit. */
  #parts: Buffer[] = [];
  #length = 0;
  #missing = 0;
  /** Offset of the current frame, its prefix included. */
  #frameOffset = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  push(chunk: Buffer): StoredItem[] {
    const items: StoredItem[] = [];
    let index = 0;
    while (index < chunk.length) {
      index =
        this.#prefixFilled < PREFIX_BYTES ? this.#readPrefix(chunk, index) : this.#readBody(chunk, index);
      if (this.#prefixFilled === PREFIX_BYTES && this.#missing === 0) items.push(this.#takeMessage());
    }
    return items;
  }

  end(): StoredItem[] {
    const offset = this.#frameOffset;
    if (this.#prefixFilled === 0) return [];
    if (this.#isOverLimit()) return [this.#overLimit()];
    return [{ kind: "partial-tail", offset, bytes: this.#prefixFilled + this.#length - this.#missing }];
  }

  #readPrefix(chunk: Buffer, index: number): number {
    const copied = chunk.copy(this.#prefix, this.#prefixFilled, index);
    this.#prefixFilled += copied;
    if (this.#prefixFilled === PREFIX_BYTES) {
      this.#length = this.#prefix.readUInt32BE();
      this.#missing = this.#length;
    }
    return index + copied;
  }

  #readBody(chunk: Buffer, index: number): number {
    const taken = Math.min(this.#missing, chunk.length - index);
    if (!this.#isOverLimit()) this.#parts.push(chunk.subarray(index, index + taken));
    this.#missing -= taken;
    return index + taken;
  }

  #takeMessage(): StoredItem {
    const item = this.#isOverLimit() ? this.#overLimit() : this.#message();
    this.#frameOffset += PREFIX_BYTES + this.#length;
    this.#prefixFilled = 0;
    this.#length = 0;
    this.#parts = [];
    return item;
  }

  #message(): StoredItem {
    const body = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    const offset = this.#frameOffset + PREFIX_BYTES;
    if (body.subarray(0, ZSTD_MAGIC.length).equals(ZSTD_MAGIC)) {
      const reason = "message is compressed with zstd; let the file exporter write without compression";
      return { kind: "rejected", offset, reason };
    }
    return { kind: "request", encoding: body[0] === OPEN_BRACE ? "json" : "protobuf", body, offset };
  }

  #isOverLimit(): boolean {
    return this.#length > this.#messageBytesMax;
  }

  #overLimit(): StoredItem {
    const skipped = this.#length - this.#missing;
    const reason = `${overLimitReason(this.#length, this.#messageBytesMax)}; skipped ${skipped} bytes`;
    return { kind: "rejected", offset: this.#frameOffset + PREFIX_BYTES, reason };
  }
}
