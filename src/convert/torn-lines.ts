/**
 * JSON lines that hold more than one message, as they come about where a writer was killed within a line and
 * started again: it appends to what is there.
 *
 *     {"resourceLogs":[{"resource":{"attri{"resourceLogs":[ … ]}⏎
 *
 * What starts as a message does, and ends with the line or where the next one starts, is read by itself. The bytes
 * of such a start can't stand in a string of JSON, where quotes are escaped.
 */

import { JsonNesting } from "./json-nesting.ts";
import type {
  PartialTail,
  RejectedMessage,
  StoredEncoding,
  StoredItem,
  StoredRequest,
} from "./stored-item.ts";

/** How messages start, as their writers write them. */
const STARTS: Readonly<Partial<Record<StoredEncoding, Buffer>>> = {
  json: Buffer.from('{"resourceLogs"'),
  v1: Buffer.from('{"ts_ns"'),
};

const OPEN_BRACE = 0x7b;
/** What stands behind an object that is part of a value. */
const BEHIND_MEMBERS = Buffer.from(",]}");
/** How often the bytes of a line are looked at, at most; a line torn once takes two. */
const PASSES_MAX = 8;
/** Most parts of a line; behind them all of it counts as torn. */
const PARTS_MAX = 1000;

/** A part of a line: whole messages, and what is between them. */
export type LinePart = StoredRequest | RejectedMessage;

/**
 * The parts of a line; nothing where it is one message or nothing of it can be told apart. Whether a part is what
 * it looks like is for its decoder to say, as ever.
 */
export function tornLine(item: StoredRequest): LinePart[] | undefined {
  const start = STARTS[item.encoding];
  if (start === undefined || item.body.indexOf(start, 1) === -1) return undefined;
  const line = new Line(item.body, start);
  if (line.messageEnd(0) === line.end) return undefined;
  return partsOf(item, line);
}

/** What a last line holds that is cut: its end alone is still to come. */
export function tornTail(tail: PartialTail, encoding: StoredEncoding): StoredItem[] {
  const { content: body, offset, line } = tail;
  const start = STARTS[encoding];
  if (body === undefined || start === undefined) return [tail];
  const item: StoredRequest = {
    kind: "request",
    encoding,
    body,
    offset,
    ...(line !== undefined && { line }),
  };
  const parts = tornLine(item) ?? [];
  const last = parts.pop();
  if (last === undefined) return [tail];
  if (last.kind === "request") return [...parts, last];
  const lastOffset = last.offset - offset;
  const tailOffset = Math.max(lastOffset, body.lastIndexOf(start));
  if (lastOffset < tailOffset) parts.push(torn(item, lastOffset, tailOffset));
  const content = body.subarray(tailOffset);
  return [...parts, { ...tail, offset: offset + tailOffset, bytes: content.length, content }];
}

/** The encoding of a torn line that is all of `text`, if it is one. */
export function tornLineEncoding(text: Buffer): "json" | "v1" | undefined {
  const encodings = ["json", "v1"] as const;
  return encodings.find((encoding) => tornLine({ kind: "request", encoding, body: text, offset: 0 }));
}

function partsOf(item: StoredRequest, line: Line): LinePart[] {
  const parts: LinePart[] = [];
  let tornStart = 0;
  let at = 0;
  while (at < line.end && parts.length < PARTS_MAX) {
    const end = line.messageEnd(at);
    if (end === -1) {
      at = line.nextStart(at);
      continue;
    }
    if (tornStart < at) parts.push(torn(item, tornStart, at));
    parts.push({ ...item, body: item.body.subarray(at, end), offset: item.offset + at });
    at = line.inkFrom(end);
    tornStart = at;
  }
  if (tornStart < line.end) parts.push(torn(item, tornStart, line.end));
  return parts;
}

function torn({ body, offset, line }: StoredRequest, start: number, end: number): RejectedMessage {
  const reason = `a message is torn: ${end - start} bytes at byte ${offset + start}`;
  const place = { offset: offset + start, ...(line !== undefined && { line }) };
  return { kind: "rejected", ...place, reason, content: body.subarray(start, end) };
}

class Line {
  readonly #text: Buffer;
  readonly #start: Buffer;
  /** Behind the last byte that is no white space. */
  readonly end: number;
  #bytesLeft: number;

  constructor(text: Buffer, start: Buffer) {
    this.#text = text;
    this.#start = start;
    let end = text.length;
    while (end > 0 && isSpace(text[end - 1] as number)) end -= 1;
    this.end = end;
    this.#bytesLeft = PASSES_MAX * text.length;
  }

  /** Where the next message may start behind `at`. */
  nextStart(at: number): number {
    const next = this.#text.indexOf(this.#start, at + 1);
    return next === -1 ? this.end : next;
  }

  /** Behind the message at `at`; -1 where there is none, or a member of another one. */
  messageEnd(at: number): number {
    const closed = this.#text[at] === OPEN_BRACE ? this.#closeOf(at) : -1;
    if (closed === -1) return -1;
    return BEHIND_MEMBERS.includes(this.#text[this.inkFrom(closed)] ?? 0) ? -1 : closed;
  }

  #closeOf(at: number): number {
    const nesting = new JsonNesting();
    let position = at;
    while (this.#bytesLeft > 0) {
      const next = this.nextStart(position);
      const closed = nesting.read(this.#text, position, next);
      this.#bytesLeft -= next - position;
      if (closed !== -1) return closed;
      if (next === this.end || nesting.insideString) return -1;
      position = next;
    }
    return -1;
  }

  inkFrom(start: number): number {
    let index = start;
    while (index < this.end && isSpace(this.#text[index] as number)) index += 1;
    return index;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}
