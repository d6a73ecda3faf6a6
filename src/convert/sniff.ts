/** Tells by their first bytes in which format stored OTLP logs are. */

import { JsonNesting } from "./json-nesting.ts";

/** How many bytes {@link sniffFormat} needs to see, or all where there are fewer. */
export const SNIFF_BYTES = 4096;

export type SniffedFormat = "gzip" | "zstd" | "otlp-json" | "otlp-proto-framed" | "otlp-proto" | "unknown";

const NEWLINE = 0x0a;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
/** Tag of field 1, length-delimited: `resource_logs` of `LogsData` and `ExportLogsServiceRequest`. */
const RESOURCE_LOGS_TAG = 0x0a;

/**
 * The format of an input that starts with `head`. JSON is asked for first: a JSON file may start with a
 * newline, which is also the protobuf tag of `resource_logs`. What is taken for JSON can't be protobuf: a
 * control character may follow a quote in protobuf, never in JSON (RFC 8259 section 7).
 */
export function sniffFormat(head: Buffer, messageBytesMax: number): SniffedFormat {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) return "zstd";
  const text = head.toString("latin1");
  if (
    /^(?:\xef\xbb\xbf)?[ \t\r\n]*(?:\{[ \t\r\n]*(?:"[^\x00-\x1f]|"?$|\})|\[[ \t\r\n]*(?:[{\]]|$))/.test(text)
  ) {
    return "otlp-json";
  }
  if (head[0] === RESOURCE_LOGS_TAG) return "otlp-proto";
  if (looksFramed(head, messageBytesMax)) return "otlp-proto-framed";
  return "unknown";
}

/** A big-endian length within the limit, then the tag of the only field that a message has. */
function looksFramed(head: Buffer, messageBytesMax: number): boolean {
  if (head.length === 0) return false;
  // A file cut inside its first length: missing bytes count as zero.
  const prefix = Buffer.alloc(4);
  head.copy(prefix, 0, 0, 4);
  const length = prefix.readUInt32BE();
  return length <= messageBytesMax && (length === 0 || head.length <= 4 || head[4] === RESOURCE_LOGS_TAG);
}

/** How JSON messages are laid out: one per line, or by their nesting alone. */
export type JsonLayout = "lines" | "document";

/** The start of a second JSON line: no value inside a message starts like this. */
const MESSAGE_START = /^\{\s*"(?:resourceLogs|resource_logs)"/;
const MESSAGE_START_BYTES = 64;

/**
 * Tells JSON lines from other JSON by the first line. A first line that does not close its object is the
 * start of a pretty-printed document, unless the second line starts a message: then it is a torn line.
 */
export class JsonLayoutSniffer {
  readonly #messageBytesMax: number;
  readonly #nesting = new JsonNesting();
  #state: "before" | "inside" | "behind" | "second-line" = "before";
  #seenBytes = 0;
  #secondLine = "";

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** The layout, as soon as it is certain. An undecided start over the message limit is read as lines. */
  push(chunk: Buffer): JsonLayout | undefined {
    for (let index = 0; index < chunk.length; ) {
      let layout: JsonLayout | undefined;
      // The opening brace changes the state and is then read again, as the start of the first object.
      if (this.#state === "before" && chunk[index] === OPEN_BRACE) this.#state = "inside";
      if (this.#state === "inside") {
        const end = this.#readFirstObject(chunk, index);
        this.#seenBytes += end - index;
        index = end;
      } else {
        layout = this.#readByte(chunk[index] as number);
        this.#seenBytes += 1;
        index += 1;
      }
      if (layout !== undefined) return layout;
      if (this.#seenBytes > this.#messageBytesMax) return "lines";
    }
    return undefined;
  }

  /** The layout when the input ends. */
  end(): JsonLayout {
    return MESSAGE_START.test(this.#secondLine) ? "lines" : "document";
  }

  #readFirstObject(chunk: Buffer, start: number): number {
    const newline = chunk.indexOf(NEWLINE, start);
    const lineEnd = newline === -1 ? chunk.length : newline;
    const closed = this.#nesting.read(chunk, start, lineEnd);
    if (closed !== -1) this.#state = "behind";
    else if (newline !== -1) this.#state = "second-line";
    return closed === -1 ? lineEnd : closed;
  }

  #readByte(byte: number): JsonLayout | undefined {
    const isSpace = byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === NEWLINE;
    if (this.#state === "behind") {
      if (byte === NEWLINE) return "lines";
      return isSpace ? undefined : "document";
    }
    if (this.#state === "second-line") {
      if (isSpace && this.#secondLine === "") return undefined;
      this.#secondLine += String.fromCharCode(byte);
      return this.#secondLine.length < MESSAGE_START_BYTES ? undefined : this.end();
    }
    return byte === OPEN_BRACKET ? "document" : undefined;
  }
}
