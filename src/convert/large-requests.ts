/**
 * Hands on what a splitter finds so that little of it is in memory at a time: a compressed message is
 * decompressed when it is its turn, and a large OTLP request and an answer of Loki come in pieces.
 */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { jsonSyntax } from "./json-pieces.ts";
import { hasMoreValues, tooManyValues } from "./json-values.ts";
import { streamsOf } from "./loki-response.ts";
import { protobufSyntax } from "./protobuf-pieces.ts";
import { type PieceLimits, requestPieces } from "./request-pieces.ts";
import type { CompressedMessage, SplitItem, StoredItem, StoredRequest } from "./stored-item.ts";
import { tornLine } from "./torn-lines.ts";
import { unzstdMessage } from "./unzstd.ts";

export interface MessageLimits {
  readonly messageBytesMax: number;
  /** Largest log record of a request that comes in pieces. */
  readonly recordBytesMax: number;
  /** Most members and items of a record. */
  readonly valuesMax: number;
}

/**
 * Requests up to here are handed on as they are. Protobuf is looked at early, since that costs little and a
 * log record may have two bytes; JSON late, since each of its bytes has to be looked at once more.
 */
const WHOLE_BYTES = { protobuf: 16 * 1024, json: 12 * 1024 * 1024 };
/** JSON of more bytes is looked at for maps: an empty one takes 19 bytes, and 270 once it is decoded. */
const MAPS_BYTES_MIN = 6 * 1024 * 1024;
const MAPS_MAX = 200_000;
/** What a map takes to write: its name, or an escape in that. Both are found at the speed of memory. */
const MAP_SIGNS = ['"kvlist', "\\u"].map((sign) => Buffer.from(sign));
const PIECE_BYTES = { protobuf: 256 * 1024, json: 1024 * 1024 };
const PIECE_RECORDS = 4096;
/** Most entries of a stream of Loki that are decoded at once: an answer is held whole meanwhile. */
const LOKI_PIECE_RECORDS = 256;
/** Streams of one answer of Loki that are handed on at once. */
const GROUP_ITEMS = 64;
const OPEN_BRACE = 0x7b;

/** The items in order, in arrays: all of them in one, unless there is something large among them. */
export function* handOn(
  items: readonly SplitItem[],
  limits: MessageLimits,
): Generator<readonly StoredItem[], void, undefined> {
  let ready: StoredItem[] = [];
  for (const item of items) {
    if (item.kind === "request" && item.encoding === "loki") {
      if (ready.length > 0) yield ready;
      ready = [];
      yield* inGroups(
        streamsOf(item, { ...pieceLimits("protobuf", limits), pieceRecordsMax: LOKI_PIECE_RECORDS }),
      );
      continue;
    }
    if (item.kind !== "compressed" && !isLarge(item)) {
      ready.push(withinValues(item, limits.valuesMax));
      continue;
    }
    if (ready.length > 0) yield ready;
    ready = [];
    const whole = item.kind === "compressed" ? decompress(item, limits) : item;
    // A torn line would be cut where it is torn, and nothing behind that be found.
    for (const part of (whole.kind === "request" && tornLine(whole)) || [whole]) {
      if (part.kind !== "request" || !isLarge(part)) yield [part];
      else for (const piece of piecesOf(part, limits)) yield [piece];
    }
  }
  if (ready.length > 0) yield ready;
}

/** Arrays of items that are small together, or of one. */
function* inGroups(items: Iterable<StoredItem>): Generator<readonly StoredItem[], void, undefined> {
  let group: StoredItem[] = [];
  let bytes = 0;
  for (const item of items) {
    group.push(item);
    bytes += item.kind === "request" ? item.body.length : 0;
    if (group.length < GROUP_ITEMS && bytes < PIECE_BYTES.json) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

/** A v1 record, or a row of Grafana, unless there is too much in it. */
function withinValues(item: StoredItem, valuesMax: number): StoredItem {
  if (item.kind !== "request" || item.encoding === "json" || item.encoding === "protobuf") return item;
  const { offset, line, body } = item;
  if (!hasMoreValues(body, valuesMax)) return item;
  const place = { offset, ...(line !== undefined && { line }) };
  return { kind: "rejected", ...place, reason: tooManyValues("record", valuesMax), content: body };
}

function pieceLimits(encoding: keyof typeof PIECE_BYTES, limits: MessageLimits): PieceLimits {
  const { recordBytesMax, valuesMax } = limits;
  return { pieceBytesMax: PIECE_BYTES[encoding], pieceRecordsMax: PIECE_RECORDS, recordBytesMax, valuesMax };
}

function isLarge(item: StoredItem): item is StoredRequest {
  if (item.kind !== "request") return false;
  const { encoding, body } = item;
  if (encoding !== "protobuf" && encoding !== "json") return false;
  return body.length > WHOLE_BYTES[encoding] || (encoding === "json" && hasManyMaps(body));
}

function hasManyMaps(json: Buffer): boolean {
  if (json.length <= MAPS_BYTES_MIN) return false;
  let count = 0;
  for (const sign of MAP_SIGNS) {
    for (let at = json.indexOf(sign); at !== -1; at = json.indexOf(sign, at + 1)) {
      count++;
      if (count > MAPS_MAX) return true;
    }
  }
  return false;
}

function* piecesOf(
  { encoding, body, offset, line }: StoredRequest,
  messageLimits: MessageLimits,
): Generator<StoredItem, void, undefined> {
  const isJson = encoding === "json";
  const syntax = isJson ? jsonSyntax(body) : protobufSyntax(body);
  const limits = pieceLimits(isJson ? "json" : "protobuf", messageLimits);
  for (const piece of requestPieces(body, syntax, limits)) {
    const place = { offset: offset + piece.offset, ...(line !== undefined && { line }) };
    yield "body" in piece
      ? { kind: "request", encoding, body: piece.body, ...place }
      : { kind: "rejected", reason: `${piece.reason}, at byte ${place.offset}`, ...place };
  }
}

function decompress({ body, offset }: CompressedMessage, { messageBytesMax }: MessageLimits): StoredItem {
  try {
    const message = unzstdMessage(body, messageBytesMax);
    return {
      kind: "request",
      encoding: message[0] === OPEN_BRACE ? "json" : "protobuf",
      body: message,
      offset,
    };
  } catch (thrown) {
    const isOver = (thrown as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    const reason = isOver
      ? `message decompresses to more than the limit of ${messageBytesMax} bytes`
      : `message is damaged zstd: ${RuntimeEvidenceError.from(thrown).message}`;
    return { kind: "rejected", offset, reason };
  }
}
