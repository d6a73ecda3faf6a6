/** Tells by their first bytes how stored logs are compressed and in which format they are. */

import {
  type JsonFormat,
  type JsonLayout,
  looksJson,
  SNIFF_JSON_BYTES_MAX,
  sniffFirstLine,
  sniffJson,
} from "./sniff-json.ts";
import { isZstd } from "./zstd-steps.ts";

/** How many bytes tell a compression. */
export const MAGIC_BYTES = 4;
/** How many bytes are enough but for JSON, or all where there are fewer. */
export const SNIFF_BYTES = 4096;
/** How many bytes are looked at, at most. */
export const SNIFF_BYTES_MAX = SNIFF_JSON_BYTES_MAX;

export type Compression = "gzip" | "zstd";

/** The compression of an input that starts with `head`. */
export function sniffCompression(head: Buffer): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  return isZstd(head) ? "zstd" : undefined;
}

/** Formats that are not JSON. To add one, add a row below and its splitter in `stored-requests.ts`. */
export type HeadFormat = "grafana-csv" | "grafana-text" | "utf-16" | "otlp-proto-framed" | "otlp-proto";

export interface Sniffed {
  readonly format: HeadFormat | JsonFormat | undefined;
  /** Of JSON. */
  readonly layout: JsonLayout;
}

type Recogniser = (head: Buffer, messageBytesMax: number) => boolean;

/** Asked in this order, behind JSON: a JSON file may start with a newline, which is a tag of protobuf too. */
const HEAD_FORMATS: readonly (readonly [HeadFormat, Recogniser])[] = [
  ["utf-16", (head) => head[0] === 0xff && head[1] === 0xfe],
  ["grafana-csv", (head) => QUOTED_HEADER.test(head.toString("latin1"))],
  // Such a text may start with an empty line.
  ["grafana-text", (head) => LOG_TEXT.test(head.toString("latin1"))],
  ["otlp-proto", (head) => head[0] === RESOURCE_LOGS_TAG],
  ["otlp-proto-framed", looksFramed],
];

/**
 * What the uncompressed input is that starts with `head`; nothing where that takes more bytes. `isAll` says
 * that there are no more, or that no more are looked at.
 */
export function sniffFormat(head: Buffer, messageBytesMax: number, isAll: boolean): Sniffed | undefined {
  if (looksJson(head)) return sniffJson(head, isAll);
  const found = HEAD_FORMATS.find(([, recognises]) => recognises(head, messageBytesMax));
  return { format: found?.[0], layout: "lines" };
}

/**
 * As `sniffFormat`, where the first bytes already say what all would say: a first line that is JSON, a header of
 * CSV, a first length and message. The rest may be long in coming, from a pipe.
 */
export function sniffEarly(head: Buffer, messageBytesMax: number): Sniffed | undefined {
  if (looksJson(head)) return sniffFirstLine(head);
  if (QUOTED_HEADER.test(head.toString("latin1"))) return { format: "grafana-csv", layout: "lines" };
  // No text has a zero, and a shorter length is none of a message.
  const isFramed = head[0] === 0 && head.length >= PREFIX_BYTES + MAGIC_BYTES && head.readUInt32BE() > 0;
  return isFramed && looksFramed(head, messageBytesMax)
    ? { format: "otlp-proto-framed", layout: "lines" }
    : undefined;
}

/** Two quoted names at least: how a CSV of Grafana starts. */
const QUOTED_HEADER = /^(?:\xef\xbb\xbf)?(?:sep=.\r?\n)?"(?:[^"\x00-\x1f]|"")*"[,;\t|]"/;
/** Lines of a time in milliseconds, the same time in words, and the log line; all in front of it is text, too. */
const LOG_TEXT = /^[\t\r\n\x20-\xff]*?(?:^|\n)\d{12,14}\t\d{4}-\d\d-\d\dT[\d:.]+Z\t/;
/** Tag of field 1, length-delimited: `resource_logs` of `LogsData` and `ExportLogsServiceRequest`. */
const RESOURCE_LOGS_TAG = 0x0a;
const OPEN_BRACE = 0x7b;
const PREFIX_BYTES = 4;

/**
 * A big-endian length within the limit, then a message: the tag of the only field that it has, JSON, or zstd.
 * Empty messages are passed over, but a head of nothing else is a file that lost its content.
 */
function looksFramed(head: Buffer, messageBytesMax: number): boolean {
  if (head.length === 0) return false;
  let start = 0;
  while (start + PREFIX_BYTES <= head.length && head.readUInt32BE(start) === 0) start += PREFIX_BYTES;
  if (start >= SNIFF_BYTES) return false;
  // A file cut inside a length: missing bytes count as zero.
  const prefix = Buffer.alloc(PREFIX_BYTES);
  head.copy(prefix, 0, start, start + PREFIX_BYTES);
  const message = head.subarray(start + PREFIX_BYTES);
  if (prefix.readUInt32BE() > messageBytesMax) return false;
  return (
    message.length === 0 || message[0] === RESOURCE_LOGS_TAG || message[0] === OPEN_BRACE || isZstd(message)
  );
}
