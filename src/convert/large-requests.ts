/**
 * Hands on what a splitter finds so that little of it is in memory at a time: a compressed message is
 * decompressed when it is its turn, and a large OTLP request comes in pieces.
 */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { jsonSyntax } from "./json-pieces.ts";
import { protobufSyntax } from "./protobuf-pieces.ts";
import { type PieceLimits, requestPieces } from "./request-pieces.ts";
import type { CompressedMessage, SplitItem, StoredItem, StoredRequest } from "./stored-item.ts";
import { unzstdMessage } from "./unzstd.ts";

export interface MessageLimits {
  readonly messageBytesMax: number;
  /** Largest log record of a request that comes in pieces. */
  readonly recordBytesMax: number;
}

/**
 * Requests up to here are handed on as they are. Protobuf is looked at early, since that costs little and a
 * log record may have two bytes; JSON late, since each of its bytes has to be looked at once more.
 */
const WHOLE_BYTES = { protobuf: 16 * 1024, json: 16 * 1024 * 1024 };
const PIECE_BYTES = { protobuf: 256 * 1024, json: 1024 * 1024 };
const PIECE_RECORDS = 4096;
const OPEN_BRACE = 0x7b;

/** The items in order, in arrays: all of them in one, unless there is something large among them. */
export function* handOn(
  items: readonly SplitItem[],
  limits: MessageLimits,
): Generator<readonly StoredItem[], void, undefined> {
  let ready: StoredItem[] = [];
  for (const item of items) {
    if (item.kind !== "compressed" && !isLarge(item)) {
      ready.push(item);
      continue;
    }
    if (ready.length > 0) yield ready;
    ready = [];
    const whole = item.kind === "compressed" ? decompress(item, limits) : item;
    if (whole.kind === "request" && isLarge(whole)) {
      for (const piece of piecesOf(whole, limits)) yield [piece];
    } else yield [whole];
  }
  if (ready.length > 0) yield ready;
}

function isLarge(item: StoredItem): item is StoredRequest {
  if (item.kind !== "request") return false;
  const { encoding, body } = item;
  return (encoding === "protobuf" || encoding === "json") && body.length > WHOLE_BYTES[encoding];
}

function* piecesOf(
  { encoding, body, offset, line }: StoredRequest,
  { recordBytesMax }: MessageLimits,
): Generator<StoredItem, void, undefined> {
  const isJson = encoding === "json";
  const syntax = isJson ? jsonSyntax(body) : protobufSyntax(body);
  const pieceBytesMax = PIECE_BYTES[isJson ? "json" : "protobuf"];
  const limits: PieceLimits = { pieceBytesMax, pieceRecordsMax: PIECE_RECORDS, recordBytesMax };
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
