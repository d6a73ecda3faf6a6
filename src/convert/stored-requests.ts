/**
 * Reads OTLP logs that a collector stored: what the file exporter writes (JSON lines, length-prefixed
 * protobuf), JSON documents, one bare protobuf request, and gzip of each. Only splits: a body's content is
 * for its decoder.
 */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { type ByteSource, openByteSource } from "./byte-source.ts";
import { FramedProtobufSplitter } from "./framed-protobuf.ts";
import { gunzip } from "./gunzip.ts";
import { JsonDocumentSplitter } from "./json-document.ts";
import { createJsonLinesSplitter } from "./json-lines.ts";
import { RawProtobufSplitter } from "./raw-protobuf.ts";
import { JsonLayoutSniffer, SNIFF_BYTES, type SniffedFormat, sniffFormat } from "./sniff.ts";
import type { MessageSplitter, StoredItem } from "./stored-item.ts";

/** Formats that can be named instead of recognised; gzip around them is always recognised. */
export const STORED_FORMATS = ["otlp-json", "otlp-proto-framed", "otlp-proto"] as const;
export type StoredFormat = (typeof STORED_FORMATS)[number];

/** Default of `messageBytesMax`: 64 MiB, the largest OTLP request that the OTLP specification recommends. */
export const MESSAGE_BYTES_MAX_DEFAULT = 64 * 1024 * 1024;
/** Default of `inflatedBytesMax`: 64 GiB. */
export const INFLATED_BYTES_MAX_DEFAULT = 64 * 1024 ** 3;

export interface StoredRequestOptions {
  /** The format, or "auto" (the default) to recognise it by its first bytes. */
  readonly from?: StoredFormat | "auto";
  /** Longest message in bytes; a longer one is rejected. Default {@link MESSAGE_BYTES_MAX_DEFAULT}. */
  readonly messageBytesMax?: number;
  /** Most bytes to inflate from gzip; reading ends there. Default {@link INFLATED_BYTES_MAX_DEFAULT}. */
  readonly inflatedBytesMax?: number;
}

/**
 * The messages of `source` in order, between them what was rejected, at last a partial tail; in arrays of
 * all that one chunk completes, because a turn of the event loop costs more than a small message. Holds at
 * most one message. An empty input has no messages.
 * Throws `RuntimeEvidenceError`: `not-found` or `io` where the source can't be read, `bad-input` where its
 * format is none of the known ones or its gzip is damaged, `limit` at `inflatedBytesMax`. Whatever was
 * read before came out before.
 */
export async function* readStoredRequests(
  source: ByteSource,
  options: StoredRequestOptions = {},
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  const messageBytesMax = options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT;
  const inflatedBytesMax = options.inflatedBytesMax ?? INFLATED_BYTES_MAX_DEFAULT;
  const stored = openByteSource(source);
  try {
    let bytes = await peek(stored, SNIFF_BYTES);
    if (sniffFormat(bytes.head, messageBytesMax) === "gzip") {
      bytes = await peek(gunzip(bytes.all(), { inflatedBytesMax }), SNIFF_BYTES);
    }
    if (bytes.head.length === 0) return;
    const format = chooseFormat(options.from ?? "auto", sniffFormat(bytes.head, messageBytesMax));
    if (format === "otlp-json") yield* readJson(bytes.all(), messageBytesMax);
    else if (format === "otlp-proto") yield* split(bytes.all(), new RawProtobufSplitter(messageBytesMax));
    else yield* split(bytes.all(), new FramedProtobufSplitter(messageBytesMax));
  } finally {
    await stored.return();
  }
}

function chooseFormat(from: StoredFormat | "auto", sniffed: SniffedFormat): StoredFormat {
  if (sniffed === "zstd") throw badFormat("the input is compressed with zstd: uncompress it first");
  if (from !== "auto") return from;
  if (sniffed === "gzip") throw badFormat("the input is gzip inside gzip: uncompress it first");
  if (sniffed === "unknown") {
    throw badFormat(
      `the input is no stored OTLP logs; if it is, name its format: ${STORED_FORMATS.join(", ")}`,
    );
  }
  return sniffed;
}

function badFormat(message: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", message);
}

/** Reads ahead as far as needed to tell JSON lines from documents. */
async function* readJson(
  source: AsyncIterator<Buffer>,
  messageBytesMax: number,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  const sniffer = new JsonLayoutSniffer(messageBytesMax);
  const readAhead: Buffer[] = [];
  let layout: ReturnType<JsonLayoutSniffer["push"]>;
  while (layout === undefined) {
    const { value, done } = await source.next();
    if (done) break;
    readAhead.push(value);
    layout = sniffer.push(value);
  }
  layout ??= sniffer.end();
  const splitter =
    layout === "lines" ? createJsonLinesSplitter(messageBytesMax) : new JsonDocumentSplitter(messageBytesMax);
  yield* split(replay(readAhead, source), splitter);
}

async function* split(
  source: AsyncIterable<Buffer>,
  splitter: MessageSplitter,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  for await (const chunk of source) {
    const items = splitter.push(chunk);
    if (items.length > 0) yield items;
  }
  const last = splitter.end();
  if (last.length > 0) yield last;
}

interface Peeked {
  /** The first bytes, as many as were asked for or as there are. */
  readonly head: Buffer;
  /** Everything, the head included; can be read once. */
  all(): AsyncGenerator<Buffer, void, undefined>;
}

/** Reads ahead. An error behind the first bytes is thrown by `all`, in its place. */
async function peek(source: AsyncIterator<Buffer>, byteCount: number): Promise<Peeked> {
  const chunks: Buffer[] = [];
  let length = 0;
  let rest = source;
  while (length < byteCount) {
    try {
      const { value, done } = await source.next();
      if (done) break;
      chunks.push(value);
      length += value.length;
    } catch (thrown) {
      if (length === 0) throw thrown;
      rest = { next: () => Promise.reject(thrown) };
      break;
    }
  }
  return { head: Buffer.concat(chunks).subarray(0, byteCount), all: () => replay(chunks, rest) };
}

async function* replay(
  readAhead: Buffer[],
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for (let chunk = readAhead.shift(); chunk !== undefined; chunk = readAhead.shift()) yield chunk;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    // The reader may stop early: the file behind `rest` has to be closed then.
    await rest.return?.();
  }
}
