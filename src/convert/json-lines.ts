/**
 * JSON lines: one `LogsData` of OTLP per line, as the Collector's file exporter writes it
 * (opentelemetry-specification, protocol/file-exporter.md), or one v1 record.
 */

import { isClosedJson } from "./json-nesting.ts";
import { type LineItem, LineSplitter } from "./lines.ts";
import {
  type MessageSplitter,
  overLimitReason,
  type StoredEncoding,
  type StoredItem,
  type StoredRequest,
} from "./stored-item.ts";
import { tornLine, tornTail } from "./torn-lines.ts";

const OPEN_BRACE = 0x7b;

/** Splits JSON lines; a line that can't be a message is rejected and the next one is read. */
export function createJsonLinesSplitter(encoding: StoredEncoding, lineBytesMax: number): MessageSplitter {
  const lines = new LineSplitter({ lineBytesMax });
  const toStored = (item: LineItem) => storedLine(item, encoding, lineBytesMax);
  return {
    push: (chunk) => lines.push(chunk).map(toStored),
    end: () =>
      lines.end().flatMap((item) => {
        const last = toStored(item);
        return last.kind === "partial-tail" ? tornTail(last, encoding) : [last];
      }),
  };
}

function storedLine(item: LineItem, encoding: StoredEncoding, lineBytesMax: number): StoredItem {
  const { number: line, offset } = item;
  if (item.kind === "overlong") {
    return { kind: "rejected", offset, line, reason: overLimitReason(item.byteCount, lineBytesMax) };
  }
  const start = firstInk(item.bytes);
  const body = start === 0 ? item.bytes : item.bytes.subarray(start);
  if (body[0] !== OPEN_BRACE) {
    const reason = "line is not a JSON object";
    return { kind: "rejected", offset: offset + start, line, reason, content: item.bytes };
  }
  const request: StoredRequest = { kind: "request", encoding, body, offset: offset + start, line };
  if (item.terminated || (isClosedJson(body) && tornLine(request) === undefined)) return request;
  return { kind: "partial-tail", offset: offset + start, line, bytes: body.length, content: body };
}

/** The first byte that is not a space, tab or carriage return. */
function firstInk(bytes: Buffer): number {
  let index = 0;
  while (bytes[index] === 0x20 || bytes[index] === 0x09 || bytes[index] === 0x0d) index += 1;
  return index;
}
