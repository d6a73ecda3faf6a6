/** Walks the fields of a protobuf message without reading them (protobuf.dev, "Encoding": tags, wire types). */

export interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly start: number;
  /** Behind the tag, and behind the length where there is one. */
  readonly contentStart: number;
  readonly end: number;
}

/** Why a field can't be read: the message ends in it, or its bytes are none. */
export type FieldDamage = "truncated" | "malformed";

/** The field that starts at `start` of a message that ends at `messageEnd`. */
export function fieldAt(message: Buffer, start: number, messageEnd: number): Field | FieldDamage {
  const tag = readVarint(message, start, messageEnd);
  if (typeof tag === "string") return tag;
  if (tag.value < 8) return "malformed";
  const wireType = tag.value % 8;
  const number = (tag.value - wireType) / 8;
  let contentStart = tag.end;
  let end: number;
  switch (wireType) {
    case 0:
    case 2: {
      const varint = readVarint(message, tag.end, messageEnd);
      if (typeof varint === "string") return varint;
      if (wireType === 2) contentStart = varint.end;
      end = varint.end + (wireType === 2 ? varint.value : 0);
      break;
    }
    case 1:
      end = tag.end + 8;
      break;
    case 5:
      end = tag.end + 4;
      break;
    default:
      return "malformed";
  }
  return end > messageEnd ? "truncated" : { number, wireType, start, contentStart, end };
}

/** At most ten bytes. The value is a double: exact up to 2^53, which is more than any length in memory. */
function readVarint(
  message: Buffer,
  start: number,
  messageEnd: number,
): { value: number; end: number } | FieldDamage {
  const only = message[start];
  if (only !== undefined && only < 0x80 && start < messageEnd) return { value: only, end: start + 1 };
  let value = 0;
  for (let index = 0; index < 10; index++) {
    if (start + index >= messageEnd) return "truncated";
    const byte = message[start + index] as number;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  return "malformed";
}
