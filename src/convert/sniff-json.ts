/** Tells what JSON is about by the members of its first object, and how it is laid out. */

import { tornLineEncoding } from "./torn-lines.ts";

/** Formats of JSON. To add one, add a row below and its splitter in `stored-requests.ts`. */
export type JsonFormat = "otlp-json" | "v1" | "loki" | "grafana-json";

/** How JSON messages are laid out: one per line, or by their nesting alone. */
export type JsonLayout = "lines" | "document";

/** A format is recognised by an object that has all members of one of its sets. */
const MEMBERS: readonly { readonly format: JsonFormat; readonly sets: readonly (readonly string[])[] }[] = [
  // One file exporter may write all signals into one file; the others hold no log records.
  {
    format: "otlp-json",
    sets: ["Logs", "Spans", "Metrics", "Profiles"].flatMap((signal) => [
      [`resource${signal}`],
      [`resource_${signal.toLowerCase()}`],
    ]),
  },
  { format: "v1", sets: [["ts_ns", "event"]] },
  { format: "loki", sets: [["status", "data"]] },
  {
    format: "grafana-json",
    sets: [
      ["line", "fields"],
      ["line", "labels"],
    ],
  },
];

export interface SniffedJson {
  /** Nothing for an object of something else. */
  readonly format: JsonFormat | undefined;
  readonly layout: JsonLayout;
}

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Longest member name that is looked at, in bytes. */
const NAME_BYTES_MAX = 64;

/** An object or an array of objects, or as much of one as there is; an object torn behind its brace, too. */
const JSON_START =
  /^(?:\xef\xbb\xbf)?[ \t\r\n]*(?:\{[ \t\r\n]*(?:"[^\x00-\x1f]|"?$|\}|\{")|\[[ \t\r\n]*(?:[{\]]|$))/;

/**
 * Whether an input that starts with `head` is JSON. It can't be protobuf then: a control character may
 * follow a quote in protobuf, never in JSON (RFC 8259 section 7).
 */
export function looksJson(head: Buffer): boolean {
  return JSON_START.test(head.toString("latin1", 0, NAME_BYTES_MAX * NAME_BYTES_MAX));
}

/** How many bytes of JSON are looked at: a first line that is longer is read as a line. */
export const SNIFF_JSON_BYTES_MAX = 1024 * 1024;

/**
 * What the JSON is that starts with `head`; nothing where that takes more bytes. `isAll` says that there are
 * no more, or that no more are looked at.
 */
export function sniffJson(head: Buffer, isAll: boolean): SniffedJson | undefined {
  const start = firstInk(head, 0);
  const isArray = head[start] === OPEN_BRACKET;
  const objectStart = isArray ? head.indexOf(OPEN_BRACE, start) : start;
  if (objectStart === -1) return isAll ? { format: "otlp-json", layout: "document" } : undefined;
  // A named format is not always there.
  if (head[objectStart] !== OPEN_BRACE) return { format: undefined, layout: "lines" };
  const torn = isArray ? undefined : tornFormat(head, objectStart, isAll);
  if (torn !== undefined) return { format: torn, layout: "lines" };
  const object = readObject(head, objectStart);
  if (!isArray && object.newline !== -1) {
    const secondStart = firstInk(head, object.newline);
    const second = head.toString("latin1", secondStart, secondStart + NAME_BYTES_MAX);
    if (second.length < NAME_BYTES_MAX && !isAll) return undefined;
    const format = formatOfLine(second);
    if (format !== undefined) return { format, layout: "lines" };
  }
  const layout = isArray ? "document" : layoutOf(head, object, isAll);
  if (layout === undefined || (object.end === -1 && !isAll && formatOf(object) === undefined))
    return undefined;
  return { format: formatOf(object), layout };
}

/** What a JSON object is about. */
export function formatOfObject(object: Buffer): JsonFormat | undefined {
  return formatOf(readObject(object.subarray(0, SNIFF_JSON_BYTES_MAX), 0));
}

/** What the JSON is that starts with `head`, where its first line alone says so: an object and nothing else. */
export function sniffFirstLine(head: Buffer): SniffedJson | undefined {
  const start = firstInk(head, 0);
  const newline = head.indexOf(NEWLINE, start);
  if (newline === -1 || head[start] !== OPEN_BRACE) return undefined;
  const line = head.subarray(0, newline + 1);
  const sniffed = sniffJson(line, false);
  return readObject(line, start).end === -1 ? undefined : sniffed;
}

/** The format of a first line in which a message is torn, and another one behind it. */
function tornFormat(head: Buffer, start: number, isAll: boolean): JsonFormat | undefined {
  const newline = head.indexOf(NEWLINE, start);
  if (newline === -1 && !isAll) return undefined;
  const encoding = tornLineEncoding(head.subarray(start, newline === -1 ? head.length : newline));
  return encoding === "json" ? "otlp-json" : encoding;
}

interface FirstObject {
  /** Its members as far as they are there. */
  readonly names: ReadonlySet<string>;
  /** Just behind it; -1 where it goes on. */
  readonly end: number;
  /** The first newline in it, -1 without one. */
  readonly newline: number;
}

function formatOf({ names, end }: FirstObject): JsonFormat | undefined {
  for (const { format, sets } of MEMBERS) {
    if (sets.some((set) => set.every((name) => names.has(name)))) return format;
  }
  if (names.size === 0) return "otlp-json";
  if (end !== -1) return undefined;
  // Cut, or longer than what is looked at: one member has to do.
  return MEMBERS.find(({ sets }) => sets.some((set) => set.some((name) => names.has(name))))?.format;
}

/** The format of a line that starts with a member that tells; such a line starts no value inside a message. */
function formatOfLine(line: string): JsonFormat | undefined {
  const name = /^\{\s*"(\w+)"/.exec(line)?.[1];
  return MEMBERS.find(({ sets }) => sets.some((set) => set.some((member) => member === name)))?.format;
}

/**
 * A first line that does not close its object is the start of a pretty-printed document, unless the second
 * line starts a message: then it is a torn line.
 */
function layoutOf(head: Buffer, { end, newline }: FirstObject, isAll: boolean): JsonLayout | undefined {
  if (newline !== -1) return "document";
  if (end === -1) return isAll ? "lines" : undefined;
  for (let index = end; index < head.length; index++) {
    if (head[index] === NEWLINE) return "lines";
    if (!isSpace(head[index] as number)) return "document";
  }
  return isAll ? "document" : undefined;
}

/** Walks the object at `start` and collects the names of its own members. */
function readObject(head: Buffer, start: number): FirstObject {
  const names = new Set<string>();
  let depth = 0;
  let newline = -1;
  let isName = false;
  for (let index = start; index < head.length; index++) {
    const byte = head[index] as number;
    if (byte === QUOTE) {
      const end = stringEnd(head, index + 1);
      if (depth === 1 && isName && head[end] === QUOTE && end - index <= NAME_BYTES_MAX) {
        names.add(head.toString("latin1", index + 1, end));
      }
      index = head[end] === NEWLINE ? end - 1 : end;
    } else if (byte === NEWLINE) {
      if (newline === -1) newline = index;
    } else if (byte === COLON) {
      isName = false;
    } else if (byte === COMMA) {
      isName = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      isName = byte === OPEN_BRACE;
      depth += 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
      if (depth === 0) return { names, end: index + 1, newline };
    }
  }
  return { names, end: -1, newline };
}

/** The quote that ends a string, or the newline where it is torn. */
function stringEnd(head: Buffer, start: number): number {
  for (let index = start; index < head.length; index++) {
    const byte = head[index];
    if (byte === QUOTE || byte === NEWLINE) return index;
    if (byte === BACKSLASH) index += 1;
  }
  return head.length;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === NEWLINE;
}

/** The first byte from `start` that is no whitespace; at the start a byte order mark is passed over. */
function firstInk(head: Buffer, start: number): number {
  let index = start === 0 && head.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : start;
  while (index < head.length && isSpace(head[index] as number)) index += 1;
  return index;
}
