/**
 * Reads the fields of one protobuf message (protobuf.dev, "Encoding"). Only for the few small messages that
 * collectors answer with; the input is hostile, so every length is checked before it is used.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** One field: varint and fixed-width values as unsigned 64-bit, length-delimited ones as a view of the input. */
export type ProtobufField =
  | { readonly number: number; readonly kind: "integer"; readonly value: bigint }
  | { readonly number: number; readonly kind: "bytes"; readonly value: Buffer };

/**
 * The fields of a message in wire order. Throws RuntimeEvidenceError `bad-input` on anything that is not
 * protobuf: a cut varint or field, a group, field number 0.
 */
export function* protobufFields(message: Buffer): Generator<ProtobufField> {
  const cursor = { offset: 0 };
  while (cursor.offset < message.length) {
    const tag = readVarint(message, cursor);
    const number = Number(tag >> 3n);
    if (number === 0 || number > 0x1fffffff) throw invalid(`field number ${number}`);
    const wireType = Number(tag & 7n);
    if (wireType === 0) yield { number, kind: "integer", value: readVarint(message, cursor) };
    else if (wireType === 1) {
      yield { number, kind: "integer", value: readBytes(message, cursor, 8).readBigUInt64LE() };
    } else if (wireType === 2) {
      const length = readVarint(message, cursor);
      yield { number, kind: "bytes", value: readBytes(message, cursor, Number(length)) };
    } else if (wireType === 5) {
      yield { number, kind: "integer", value: BigInt(readBytes(message, cursor, 4).readUInt32LE()) };
    } else throw invalid(`wire type ${wireType}`);
  }
}

function readVarint(message: Buffer, cursor: { offset: number }): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = message[cursor.offset++];
    if (byte === undefined) throw invalid("a number that is cut off");
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw invalid("a number of more than 10 bytes");
}

function readBytes(message: Buffer, cursor: { offset: number }, length: number): Buffer {
  const end = cursor.offset + length;
  if (end > message.length) throw invalid("a field that is cut off");
  const bytes = message.subarray(cursor.offset, end);
  cursor.offset = end;
  return bytes;
}

function invalid(what: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `not a protobuf message: it has ${what}`);
}
