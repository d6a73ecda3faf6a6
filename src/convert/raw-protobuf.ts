/** One `ExportLogsServiceRequest` or `LogsData` in protobuf, with nothing around it. */

import { type MessageSplitter, overLimitReason, type StoredItem } from "./stored-item.ts";

/**
 * Collects the one message, which has no end of its own. Where the input ends inside a field, or a field
 * is no protobuf, the whole fields before it are still a message.
 */
export class RawProtobufSplitter implements MessageSplitter {
  readonly #messageBytesMax: number;
  #parts: Buffer[] = [];
  #byteCount = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  push(chunk: Buffer): StoredItem[] {
    this.#byteCount += chunk.length;
    if (this.#byteCount > this.#messageBytesMax) this.#parts = [];
    else this.#parts.push(chunk);
    return [];
  }

  end(): StoredItem[] {
    if (this.#byteCount > this.#messageBytesMax) {
      return [
        { kind: "rejected", offset: 0, reason: overLimitReason(this.#byteCount, this.#messageBytesMax) },
      ];
    }
    const message = Buffer.concat(this.#parts);
    const { offset, problem } = readFields(message);
    const items: StoredItem[] = [];
    if (offset > 0) {
      items.push({ kind: "request", encoding: "protobuf", body: message.subarray(0, offset), offset: 0 });
    }
    if (problem === "truncated") items.push({ kind: "partial-tail", offset, bytes: message.length - offset });
    if (problem === "malformed") items.push({ kind: "rejected", offset, reason: "not a protobuf field" });
    return items;
  }
}

interface FieldsRead {
  /** Just behind the last whole field. */
  readonly offset: number;
  readonly problem?: "truncated" | "malformed";
}

/** Walks the top-level fields of a protobuf message (protobuf.dev, "Encoding": tags and wire types). */
function readFields(message: Buffer): FieldsRead {
  let offset = 0;
  while (offset < message.length) {
    const end = fieldEnd(message, offset);
    if (typeof end === "string") return { offset, problem: end };
    offset = end;
  }
  return { offset };
}

function fieldEnd(message: Buffer, start: number): number | "truncated" | "malformed" {
  const tag = readVarint(message, start);
  if (typeof tag === "string") return tag;
  if (tag.value < 8) return "malformed";
  let end: number;
  switch (tag.value % 8) {
    case 0: {
      const value = readVarint(message, tag.end);
      if (typeof value === "string") return value;
      end = value.end;
      break;
    }
    case 1:
      end = tag.end + 8;
      break;
    case 2: {
      const length = readVarint(message, tag.end);
      if (typeof length === "string") return length;
      end = length.end + length.value;
      break;
    }
    case 5:
      end = tag.end + 4;
      break;
    default:
      return "malformed";
  }
  return end > message.length ? "truncated" : end;
}

/** At most ten bytes. The value is a double: exact up to 2^53, which is more than any length in memory. */
function readVarint(
  message: Buffer,
  start: number,
): { value: number; end: number } | "truncated" | "malformed" {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    const byte = message[start + index];
    if (byte === undefined) return "truncated";
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  return "malformed";
}
