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
 *
 * A message is handed on when it is known how what is behind it starts. Where that is no message, or where the
 * message itself does not end with its length, it may be torn: the next message is searched in it and behind it.
 */

import { FrameSearch } from "./frame-search.ts";
import { HEAD_BYTES, headFits, isWholeMessage, PREFIX_BYTES } from "./frame-shape.ts";
import { MessageBytes } from "./message-bytes.ts";
import {
  type CompressedMessage,
  type MessageSplitter,
  overLimitReason,
  type SplitItem,
  type StoredRequest,
} from "./stored-item.ts";
import { isZstd } from "./zstd-steps.ts";

const OPEN_BRACE = 0x7b;
const EMPTY = Buffer.alloc(0);
/** How many bytes of messages are searched again, at most, for each byte of the input, and to start with. */
const SEARCHES_MAX = 4;
const SEARCHED_BYTES_BASE = 1024 * 1024;
/** Largest message that is searched, since it is in memory twice meanwhile; behind larger ones it is searched, too. */
const SEARCH_BYTES_MAX = 32 * 1024 * 1024;
const NO_MESSAGE = "no whole message";
/** Empty messages may be the first bytes of a length. */
const ZEROS = Buffer.alloc(PREFIX_BYTES - 1);

/** Splits length-prefixed messages. What is none, or over the limit, is passed over and reported. */
export class FramedProtobufSplitter implements MessageSplitter {
  readonly #messageBytesMax: number;
  #inputBytes = 0;
  /** Length and first bytes of the current frame, until they are all there. */
  #head: Buffer = EMPTY;
  /** Offset of the current frame, its prefix included. */
  #frameOffset = 0;
  /** Bytes of the current message; undefined within its head. */
  #length: number | undefined;
  /** Those that are still to come. */
  #missing = 0;
  /** The message so far; stays empty for one over the limit. */
  readonly #kept: MessageBytes;
  /** The frame before the current one, until it is known that a message starts behind it. */
  #held: { readonly item: StoredRequest | CompressedMessage; readonly start: number } | undefined;
  #isBehindEmpty = false;
  #search: FrameSearch | undefined;
  #searchedBytes = 0;
  #whyLost = NO_MESSAGE;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
    this.#kept = new MessageBytes(messageBytesMax);
  }

  push(chunk: Buffer): SplitItem[] {
    const items: SplitItem[] = [];
    this.#inputBytes += chunk.length;
    this.#readAll(chunk, items);
    return items;
  }

  end(): SplitItem[] {
    const items: SplitItem[] = [];
    for (let found = this.#readEnd(items); found.length > 0; found = this.#readEnd(items)) {
      this.#readAll(found, items);
    }
    return items;
  }

  #readAll(bytes: Buffer, items: SplitItem[]): void {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#search !== undefined) rest = this.#searchIn(this.#search, rest, items, false);
      else if (this.#length === undefined) rest = this.#readHead(rest, items);
      else rest = this.#readMessage(rest, items);
    }
  }

  /** Collects what tells whether a message starts here; returns the bytes behind it, or of the message. */
  #readHead(bytes: Buffer, items: SplitItem[]): Buffer {
    const isSplit = this.#head.length > 0;
    const head = isSplit ? Buffer.concat([this.#head, bytes]) : bytes;
    const length = head.length < PREFIX_BYTES ? HEAD_BYTES : head.readUInt32BE();
    if (head.length < PREFIX_BYTES + Math.min(length, HEAD_BYTES)) {
      this.#head = head;
      return EMPTY;
    }
    this.#head = EMPTY;
    const body = head.subarray(PREFIX_BYTES);
    if (length > 0 && !this.#startsMessage(length, body.subarray(0, Math.min(length, HEAD_BYTES)))) {
      this.#startSearch(head, items);
      return EMPTY;
    }
    this.#handOnHeld(items);
    this.#isBehindEmpty = length === 0;
    if (length === 0) this.#frameOffset += PREFIX_BYTES;
    else {
      this.#length = length;
      this.#missing = length;
    }
    return body;
  }

  /** What is too long may as well be no length at all, so that it is not skipped unseen. */
  #startsMessage(length: number, head: Buffer): boolean {
    const fits = headFits(length, head);
    const isOverLimit = length > this.#messageBytesMax;
    this.#whyLost = fits && isOverLimit ? overLimitReason(length, this.#messageBytesMax) : NO_MESSAGE;
    return fits && !isOverLimit;
  }

  #readMessage(bytes: Buffer, items: SplitItem[]): Buffer {
    const length = this.#length as number;
    const end = Math.min(this.#missing, bytes.length);
    this.#kept.append(bytes.subarray(0, end));
    this.#missing -= end;
    if (this.#missing === 0) this.#endMessage(length, items);
    return bytes.subarray(end);
  }

  #endMessage(length: number, items: SplitItem[]): void {
    const start = this.#frameOffset;
    this.#frameOffset += PREFIX_BYTES + length;
    this.#length = undefined;
    const body = this.#kept.take();
    this.#held = { item: itemOf(body, start + PREFIX_BYTES), start };
    if (!isWholeMessage(body) && this.#maySearch(length)) this.#startSearch(EMPTY, items);
  }

  /** No message starts at the current frame, whose bytes are `bytes` as far as they are known. */
  #startSearch(bytes: Buffer, items: SplitItem[]): void {
    const zeros = this.#isBehindEmpty ? ZEROS : EMPTY;
    this.#isBehindEmpty = false;
    if (this.#held !== undefined && bytes.length > 0 && !this.#maySearch(this.#held.item.body.length)) {
      this.#handOnHeld(items);
    }
    if (this.#held === undefined) {
      this.#frameOffset -= zeros.length;
      this.#search = new FrameSearch(this.#frameOffset, Buffer.concat([zeros, bytes]), this.#messageBytesMax);
      return;
    }
    const { body } = this.#held.item;
    this.#searchedBytes += body.length;
    this.#search = this.#searchBehind(this.#held.start, body.length, [body, bytes]);
  }

  /** A search in a frame, its first byte left out, and in what is behind it. */
  #searchBehind(start: number, length: number, parts: readonly Buffer[]): FrameSearch {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(length);
    const bytes = Buffer.concat([prefix.subarray(1), ...parts]);
    return new FrameSearch(start + 1, bytes, this.#messageBytesMax);
  }

  #maySearch(byteCount: number): boolean {
    if (byteCount > SEARCH_BYTES_MAX) return false;
    return this.#searchedBytes + byteCount <= SEARCHES_MAX * this.#frameOffset + SEARCHED_BYTES_BASE;
  }

  /** Returns all bytes from the next message on, where one is found. */
  #searchIn(search: FrameSearch, bytes: Buffer, items: SplitItem[], isEnd: boolean): Buffer {
    const found = search.next(bytes, isEnd);
    // None starts in the frame before: what is wrong with that is for its decoder to say.
    if (search.position >= this.#frameOffset) this.#handOnHeld(items);
    if (found === undefined) return EMPTY;
    if (this.#held !== undefined) this.#whyLost = NO_MESSAGE;
    this.#passOver(this.#held?.start ?? this.#frameOffset, search.position, items);
    this.#held = undefined;
    this.#search = undefined;
    this.#frameOffset = search.position;
    return found;
  }

  /** What is left when the input ends; returns bytes that are to be read again. */
  #readEnd(items: SplitItem[]): Buffer {
    if (this.#search !== undefined) return this.#endSearch(this.#search, items);
    if (this.#length !== undefined) return this.#endInMessage(this.#length, items);
    const head = this.#head;
    this.#head = EMPTY;
    const isStart =
      head.length <= PREFIX_BYTES || this.#startsMessage(head.readUInt32BE(), head.subarray(PREFIX_BYTES));
    if (!isStart) {
      this.#startSearch(head, items);
      return this.#readEnd(items);
    }
    this.#handOnHeld(items);
    if (head.length > 0) items.push(this.#partialTail(head.length));
    return EMPTY;
  }

  #endSearch(search: FrameSearch, items: SplitItem[]): Buffer {
    const found = this.#searchIn(search, EMPTY, items, true);
    if (found.length > 0) return found;
    this.#handOnHeld(items);
    this.#search = undefined;
    this.#passOver(this.#frameOffset, this.#inputBytes, items);
    return EMPTY;
  }

  /** A message that is cut by the end, or was torn before: then its length goes beyond others. */
  #endInMessage(length: number, items: SplitItem[]): Buffer {
    const start = this.#frameOffset;
    const byteCount = length - this.#missing;
    this.#length = undefined;
    const body = this.#kept.take();
    if (this.#maySearch(byteCount)) {
      this.#searchedBytes += byteCount;
      const search = this.#searchBehind(start, length, [body]);
      const found = search.next(EMPTY, true);
      if (found !== undefined) {
        this.#whyLost = NO_MESSAGE;
        this.#passOver(start, search.position, items);
        this.#frameOffset = search.position;
        return found;
      }
    }
    items.push(this.#partialTail(PREFIX_BYTES + byteCount));
    return EMPTY;
  }

  #handOnHeld(items: SplitItem[]): void {
    if (this.#held !== undefined) items.push(this.#held.item);
    this.#held = undefined;
  }

  #passOver(start: number, end: number, items: SplitItem[]): void {
    if (start === end) return;
    const reason = `${this.#whyLost}: ${end - start} bytes at byte ${start} were passed over`;
    items.push({ kind: "rejected", offset: start, reason });
  }

  #partialTail(bytes: number): SplitItem {
    return { kind: "partial-tail", offset: this.#frameOffset, bytes };
  }
}

function itemOf(body: Buffer, offset: number): StoredRequest | CompressedMessage {
  if (isZstd(body)) return { kind: "compressed", body, offset };
  return { kind: "request", encoding: body[0] === OPEN_BRACE ? "json" : "protobuf", body, offset };
}
