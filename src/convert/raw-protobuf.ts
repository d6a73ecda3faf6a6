/** One `ExportLogsServiceRequest` or `LogsData` in protobuf, with nothing around it. */

import { MessageBytes } from "./message-bytes.ts";
import { type FieldDamage, fieldAt } from "./protobuf-fields.ts";
import { type MessageSplitter, overLimitReason, type StoredItem } from "./stored-item.ts";

/**
 * Collects the one message, which has no end of its own. Where the input ends inside a field, or a field
 * is no protobuf, the whole fields before it are still a message.
 */
export class RawProtobufSplitter implements MessageSplitter {
  readonly #messageBytesMax: number;
  readonly #message: MessageBytes;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
    this.#message = new MessageBytes(messageBytesMax);
  }

  push(chunk: Buffer): StoredItem[] {
    this.#message.append(chunk);
    return [];
  }

  end(): StoredItem[] {
    if (this.#message.isOverLimit) {
      const reason = overLimitReason(this.#message.byteCount, this.#messageBytesMax);
      return [{ kind: "rejected", offset: 0, reason }];
    }
    const message = this.#message.take();
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
  readonly problem?: FieldDamage;
}

function readFields(message: Buffer): FieldsRead {
  let offset = 0;
  while (offset < message.length) {
    const field = fieldAt(message, offset, message.length);
    if (typeof field === "string") return { offset, problem: field };
    offset = field.end;
  }
  return { offset };
}
