/**
 * JSON that is no JSON lines: one object, pretty printed or not, several in a row, or an array of them. Whitespace, commas and the array's brackets between documents are passed over.
 */

import { JsonNesting } from "./json-nesting.ts";
import { MessageBytes } from "./message-bytes.ts";
import {
  type MessageSplitter,
  overLimitReason,
  type StoredEncoding,
  type StoredItem,
} from "./stored-item.ts";

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Splits JSON documents by their nesting; bytes between documents that are no JSON are rejected once. */
export class JsonDocumentSplitter implements MessageSplitter {
  readonly #encoding: StoredEncoding;
  readonly #messageBytesMax: number;
  readonly #nesting = new JsonNesting();
  /** The open document so far. */
  readonly #document: MessageBytes;
  #documentOffset = 0;
  #documentLine = 1;
  /** Offset of the current chunk. */
  #position = 0;
  #line = 1;
  #arrayDepth = 0;
  #inJunk = false;

  constructor(encoding: StoredEncoding, messageBytesMax: number) {
    this.#encoding = encoding;
    this.#messageBytesMax = messageBytesMax;
    this.#document = new MessageBytes(messageBytesMax);
  }

  push(chunk: Buffer): StoredItem[] {
    const items: StoredItem[] = [];
    let index = 0;
    while (index < chunk.length) {
      if (!this.#nesting.open) index = this.#passOver(chunk, index, items);
      if (index < chunk.length) index = this.#readDocument(chunk, index, items);
    }
    this.#position += chunk.length;
    return items;
  }

  end(): StoredItem[] {
    if (this.#nesting.open) {
      const place = { offset: this.#documentOffset, line: this.#documentLine };
      if (this.#document.isOverLimit) return [this.#overLimit()];
      return [{ kind: "partial-tail", ...place, bytes: this.#document.byteCount }];
    }
    if (this.#arrayDepth === 0) return [];
    return [{ kind: "partial-tail", offset: this.#position, line: this.#line, bytes: 0 }];
  }

  /** Goes to the next `{`, or to the end of the chunk. */
  #passOver(chunk: Buffer, start: number, items: StoredItem[]): number {
    for (let index = start; index < chunk.length; index++) {
      const byte = chunk[index] as number;
      const offset = this.#position + index;
      if (byte === OPEN_BRACE) {
        this.#inJunk = false;
        this.#documentOffset = offset;
        this.#documentLine = this.#line;
        return index;
      }
      if (byte === NEWLINE) this.#line += 1;
      else if (!this.#inJunk && !this.#isSeparator(byte, offset)) {
        this.#inJunk = true;
        items.push({ kind: "rejected", offset, line: this.#line, reason: "expected a JSON object" });
      }
    }
    return chunk.length;
  }

  #isSeparator(byte: number, offset: number): boolean {
    if (byte === OPEN_BRACKET) {
      this.#arrayDepth += 1;
      return true;
    }
    if (byte === CLOSE_BRACKET) {
      this.#arrayDepth -= 1;
      return this.#arrayDepth >= 0;
    }
    if (byte === COMMA) return this.#arrayDepth > 0;
    return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === BYTE_ORDER_MARK[offset];
  }

  #readDocument(chunk: Buffer, start: number, items: StoredItem[]): number {
    const closed = this.#nesting.read(chunk, start);
    const end = closed === -1 ? chunk.length : closed;
    this.#document.append(chunk.subarray(start, end));
    this.#line += countNewlines(chunk, start, end);
    if (closed !== -1) items.push(this.#takeDocument());
    return end;
  }

  #takeDocument(): StoredItem {
    if (this.#document.isOverLimit) return this.#overLimit();
    const place = { offset: this.#documentOffset, line: this.#documentLine };
    return { kind: "request", encoding: this.#encoding, body: this.#document.take(), ...place };
  }

  #overLimit(): StoredItem {
    const reason = overLimitReason(this.#document.byteCount, this.#messageBytesMax);
    this.#document.take();
    return { kind: "rejected", offset: this.#documentOffset, line: this.#documentLine, reason };
  }
}

function countNewlines(chunk: Buffer, start: number, end: number): number {
  let count = 0;
  for (let at = chunk.indexOf(NEWLINE, start); at !== -1 && at < end; at = chunk.indexOf(NEWLINE, at + 1)) {
    count += 1;
  }
  return count;
}
