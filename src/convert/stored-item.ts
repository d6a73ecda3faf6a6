/** What a splitter of stored OTLP finds in its input. */

/**
 * How the body of a stored request is to be read:
 *
 * - `protobuf`, `json`: one OTLP `LogsData` or `ExportLogsServiceRequest`, which look the same.
 * - `loki`: JSON text of one element of `data.result` of a Loki `query_range` response.
 * - `grafana`: JSON text of one row of the logs that Grafana downloads.
 * - `v1`: JSON text of one Runtime Evidence v1 record.
 */
export type StoredEncoding = "protobuf" | "json" | "loki" | "grafana" | "v1";

/** One stored message, not decoded. */
export interface StoredRequest {
  readonly kind: "request";
  readonly encoding: StoredEncoding;
  /** The message alone. May share memory with what was read: copy it to keep it. */
  readonly body: Buffer;
  /** Where `body` starts in the input; for compressed input, in the bytes behind the compression. */
  readonly offset: number;
  /** For JSON: the line, counted from 1, that it starts on. */
  readonly line?: number;
}

/** The input ends inside a message: a file that is still being written, or was cut. Not an error. */
export interface PartialTail {
  readonly kind: "partial-tail";
  readonly offset: number;
  /** How many bytes of the message are there; 0 where only the end of a JSON array or of a compression is missing. */
  readonly bytes: number;
  readonly line?: number;
  /** What is there of it, of JSON lines. May share memory with what was read. */
  readonly content?: Buffer;
}

/** A message that can't be one of OTLP logs; the ones behind it are read as usual. */
export interface RejectedMessage {
  readonly kind: "rejected";
  readonly offset: number;
  readonly line?: number;
  /** One sentence for people; holds nothing of the message's content. */
  readonly reason: string;
  /** All of it, of JSON lines within the limit: for whoever keeps what was rejected. May share memory, too. */
  readonly content?: Buffer;
}

export type StoredItem = StoredRequest | PartialTail | RejectedMessage;

/** One stored message that is a zstd frame of its own; only splitters give it, nobody behind them gets it. */
export interface CompressedMessage {
  readonly kind: "compressed";
  readonly body: Buffer;
  readonly offset: number;
}

export type SplitItem = StoredItem | CompressedMessage;

/** Cuts chunks of any size into messages. The same bytes give the same items, however they are chunked. */
export interface MessageSplitter {
  /** The items that `chunk` completes. */
  push(chunk: Buffer): readonly SplitItem[];
  /** What is left when the input ends. */
  end(): readonly SplitItem[];
}

/** The reason given for a message over the limit. */
export function overLimitReason(byteCount: number, messageBytesMax: number): string {
  return `message of ${byteCount} bytes is over the limit of ${messageBytesMax} bytes`;
}
