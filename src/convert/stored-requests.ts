/**
 * Reads logs as collectors, and we ourselves, store them: what the file exporter writes (JSON lines,
 * length-prefixed protobuf, each message or the whole file compressed), JSON documents, one bare protobuf
 * request, v1 records, and gzip or zstd of each. Only splits: a body's content is for its decoder.
 */

import { setImmediate } from "node:timers/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { type ByteSource, openByteSource } from "./byte-source.ts";
import { FramedProtobufSplitter } from "./framed-protobuf.ts";
import { GrafanaCsvSplitter } from "./grafana-csv.ts";
import { gunzip } from "./gunzip.ts";
import type { InflateLimits } from "./inflate.ts";
import { JsonDocumentSplitter } from "./json-document.ts";
import { createJsonLinesSplitter } from "./json-lines.ts";
import { VALUES_MAX_DEFAULT } from "./json-values.ts";
import { handOn, type MessageLimits } from "./large-requests.ts";
import { LINE_BYTES_MAX_DEFAULT } from "./lines.ts";
import { NamedFormat } from "./named-format.ts";
import { RawProtobufSplitter } from "./raw-protobuf.ts";
import { ReadAhead } from "./read-ahead.ts";
import {
  type Compression,
  MAGIC_BYTES,
  SNIFF_BYTES,
  SNIFF_BYTES_MAX,
  type Sniffed,
  sniffCompression,
  sniffEarly,
  sniffFormat,
} from "./sniff.ts";
import type { JsonLayout } from "./sniff-json.ts";
import type { MessageSplitter, StoredEncoding, StoredItem } from "./stored-item.ts";
import { unzstd } from "./unzstd.ts";

/** Formats that can be named instead of recognised; compression around them is always recognised. */
export const STORED_FORMATS = [
  "v1",
  "otlp-json",
  "otlp-proto-framed",
  "otlp-proto",
  "loki",
  "grafana-json",
  "grafana-csv",
] as const;
export type StoredFormat = (typeof STORED_FORMATS)[number];

/** Default of `messageBytesMax`: 64 MiB, the largest OTLP request that the OTLP specification recommends. */
export const MESSAGE_BYTES_MAX_DEFAULT = 64 * 1024 * 1024;
/** Default of `inflatedBytesMax`: 64 GiB. */
export const INFLATED_BYTES_MAX_DEFAULT = 64 * 1024 ** 3;

export interface StoredRequestOptions {
  /** The format, or "auto" (the default) to recognise it by its first bytes. */
  readonly from?: StoredFormat | "auto";
  /** Longest OTLP message in bytes; a longer one is rejected. Default {@link MESSAGE_BYTES_MAX_DEFAULT}. */
  readonly messageBytesMax?: number;
  /**
   * Longest v1 record, and log record of a large OTLP message, in bytes; a longer one is rejected. Default
   * {@link LINE_BYTES_MAX_DEFAULT}.
   */
  readonly lineBytesMax?: number;
  /**
   * Most members and items of one v1 record, row of Grafana, entry of Loki, or log record of a large OTLP message;
   * one with more is rejected before they are built. Default {@link VALUES_MAX_DEFAULT}.
   */
  readonly valuesMax?: number;
  /** Most bytes to inflate to; reading ends there. Default {@link INFLATED_BYTES_MAX_DEFAULT}. */
  readonly inflatedBytesMax?: number;
}

interface Limits extends MessageLimits {
  readonly lineBytesMax: number;
}

/** What cuts the messages of a format out of an input. */
const SPLITTERS: Readonly<Record<StoredFormat, (limits: Limits, layout: JsonLayout) => MessageSplitter>> = {
  v1: ({ lineBytesMax }, layout) => jsonSplitter("v1", lineBytesMax, layout),
  "otlp-json": ({ messageBytesMax }, layout) => jsonSplitter("json", messageBytesMax, layout),
  "otlp-proto-framed": ({ messageBytesMax }) => new FramedProtobufSplitter(messageBytesMax),
  "otlp-proto": ({ messageBytesMax }) => new RawProtobufSplitter(messageBytesMax),
  loki: ({ messageBytesMax }) => new JsonDocumentSplitter("loki", messageBytesMax),
  "grafana-json": ({ lineBytesMax }, layout) => jsonSplitter("grafana", lineBytesMax, layout),
  "grafana-csv": ({ lineBytesMax, valuesMax }) => new GrafanaCsvSplitter(lineBytesMax, valuesMax),
};

/** What is recognised only to say what to do instead. */
const REFUSALS = {
  "grafana-text":
    "the input is Grafana's download of logs as text, which holds no labels: download them as JSON or CSV",
  "utf-16":
    "the input is UTF-16, as Grafana writes CSV for Excel: download it without 'Download for Excel', or as JSON",
} as const;

function jsonSplitter(encoding: StoredEncoding, bytesMax: number, layout: JsonLayout): MessageSplitter {
  return layout === "lines"
    ? createJsonLinesSplitter(encoding, bytesMax)
    : new JsonDocumentSplitter(encoding, bytesMax);
}

const DECOMPRESSORS: Readonly<
  Record<Compression, (source: AsyncIterable<Buffer>, limits: InflateLimits) => AsyncGenerator<Buffer>>
> = { gzip: gunzip, zstd: unzstd };

/**
 * The messages of `source` in order, between them what was rejected, at last a partial tail; in arrays of
 * all that one chunk completes, because a turn of the event loop costs more than a small message. Holds at
 * most one message; a large one of OTLP comes as several requests that together mean the same. An empty
 * input has no messages.
 * Throws `RuntimeEvidenceError`: `not-found` or `io` where the source can't be read, `bad-input` where its
 * format is none of the known ones, or another one than `from` and no message is of that, or its compression is
 * damaged, `limit` at `inflatedBytesMax`. Whatever was read before came out before.
 */
export async function* readStoredRequests(
  source: ByteSource,
  options: StoredRequestOptions = {},
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  const lineBytesMax = options.lineBytesMax ?? LINE_BYTES_MAX_DEFAULT;
  const limits: Limits = {
    messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
    lineBytesMax,
    recordBytesMax: lineBytesMax,
    valuesMax: options.valuesMax ?? VALUES_MAX_DEFAULT,
  };
  let isTruncated = false;
  const inflateLimits: InflateLimits = {
    inflatedBytesMax: options.inflatedBytesMax ?? INFLATED_BYTES_MAX_DEFAULT,
    onTruncated: () => {
      isTruncated = true;
    },
  };
  const stored = openByteSource(source);
  try {
    let bytes = new ReadAhead(stored);
    const compression = sniffCompression(await bytes.head(MAGIC_BYTES));
    if (compression !== undefined) {
      bytes = new ReadAhead(DECOMPRESSORS[compression](bytes.all(), inflateLimits));
    }
    if ((await bytes.head(1)).length === 0) {
      if (isTruncated) yield [{ kind: "partial-tail", offset: 0, bytes: 0 }];
      return;
    }
    const { splitter, named } = await chooseSplitter(bytes, options.from ?? "auto", limits);
    for await (const items of split(bytes.all(), splitter, limits, () => isTruncated)) {
      named?.see(items);
      yield items;
    }
    named?.end();
  } finally {
    await stored.return();
  }
}

async function chooseSplitter(
  bytes: ReadAhead,
  from: StoredFormat | "auto",
  limits: Limits,
): Promise<{ readonly splitter: MessageSplitter; readonly named: NamedFormat | undefined }> {
  const second = sniffCompression(await bytes.head(MAGIC_BYTES));
  if (second !== undefined)
    throw badFormat(`the input is compressed twice (${second} inside): uncompress it first`);
  const { messageBytesMax } = limits;
  let sniffed: Sniffed | undefined;
  await bytes.head(SNIFF_BYTES, (head) => {
    sniffed = sniffEarly(head, messageBytesMax);
    return sniffed !== undefined;
  });
  for (let byteCount = SNIFF_BYTES; sniffed === undefined; byteCount *= 4) {
    const head = await bytes.head(byteCount);
    const isAll = head.length < byteCount || byteCount >= SNIFF_BYTES_MAX;
    sniffed = sniffFormat(head, messageBytesMax, isAll);
  }
  const format = from === "auto" ? sniffed.format : from;
  if (format === undefined) {
    const formats = STORED_FORMATS.join(", ");
    throw badFormat(`the input is no stored logs or evidence; if it is, name its format: ${formats}`);
  }
  if (format === "grafana-text" || format === "utf-16") throw badFormat(REFUSALS[format]);
  const { format: found = format, layout } = sniffed;
  return {
    splitter: SPLITTERS[format](limits, layout),
    named: found === format ? undefined : new NamedFormat(format, found),
  };
}

function badFormat(message: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", message);
}

async function* split(
  source: AsyncIterable<Buffer>,
  splitter: MessageSplitter,
  limits: MessageLimits,
  isTruncated: () => boolean,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  let offset = 0;
  for await (const chunk of source) {
    offset += chunk.length;
    yield* inTurns(handOn(splitter.push(chunk), limits));
  }
  const last = splitter.end();
  yield* inTurns(handOn(last, limits));
  // Where a compressed input is cut, something is missing even if what is there ends with a whole message.
  const hasTail = last.some(({ kind }) => kind === "partial-tail");
  if (isTruncated() && !hasTail) yield [{ kind: "partial-tail", offset, bytes: 0 }];
}

/** Lets the event loop turn between pieces: signals and the garbage of a large message wait for it. */
async function* inTurns(
  pieces: Iterable<readonly StoredItem[]>,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  let count = 0;
  for (const piece of pieces) {
    if (count > 0) await setImmediate();
    count += 1;
    yield piece;
  }
}
