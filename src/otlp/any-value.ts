/**
 * OTLP's AnyValue (common.proto) as TypeScript values, and its protobuf for what is encoded once and kept:
 * resources and scopes. Records are written by `log-record-writer.ts` instead.
 */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { type Integer, integerFromBigInt } from "../evidence/record.ts";

/** A `double_value`: apart from `number`, so that 1.0 as a double and 1 as an integer stay different. */
export class DoubleValue {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** `null` is an AnyValue without a value; a Map is a `kvlist_value`; every number is an integer. */
export type AnyValue =
  | null
  | string
  | boolean
  | Integer
  | DoubleValue
  | Uint8Array
  | readonly AnyValue[]
  | ReadonlyMap<string, AnyValue>;

export type AttributeMap = ReadonlyMap<string, AnyValue>;

/** Attributes as they are written down: plain objects, with plain numbers for integers. */
export type AttributeRecord = Readonly<Record<string, string | boolean | Integer | readonly string[]>>;

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

/** Whether int64 holds the integer. Attributes beyond it go as decimal text (attribute-type-mapping.md of OpenTelemetry). */
export function isInt64(value: Integer): boolean {
  return typeof value === "number" || (value >= int64Min && value <= int64Max);
}

/** The integer that a 64-bit two's complement value stands for. */
export function integerFromHalves(lo: number, hi: number): Integer {
  const signedHi = hi | 0;
  const high = signedHi * 0x1_0000_0000;
  const value = high + (lo >>> 0);
  if (Number.isSafeInteger(value) && Number.isSafeInteger(high)) return value;
  return integerFromBigInt((BigInt(signedHi) << 32n) | BigInt(lo >>> 0));
}

function varintBytes(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** A length-delimited field (wire type 2). */
export function delimitedField(fieldNumber: number, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([varintBytes(BigInt(fieldNumber * 8 + 2)), varintBytes(BigInt(size)), ...parts]);
}

/** A string field; nothing when empty, as proto3 wants it. */
export function stringField(fieldNumber: number, text: string): Buffer {
  return text === "" ? Buffer.alloc(0) : delimitedField(fieldNumber, Buffer.from(text, "utf8"));
}

/** Protobuf of an AnyValue. */
export function encodeAnyValue(value: AnyValue): Buffer {
  if (value === null) return Buffer.alloc(0);
  if (typeof value === "string") return delimitedField(1, Buffer.from(value, "utf8"));
  if (typeof value === "boolean") return Buffer.from([0x10, value ? 1 : 0]);
  if (typeof value === "number" || typeof value === "bigint") return encodeInteger(value);
  if (value instanceof DoubleValue) {
    const bytes = Buffer.alloc(9, 0x21);
    bytes.writeDoubleLE(value.value, 1);
    return bytes;
  }
  if (value instanceof Uint8Array) return delimitedField(7, value);
  if (value instanceof Map) {
    return delimitedField(6, ...[...value].map(([key, member]) => encodeKeyValue(1, key, member)));
  }
  const items = value as readonly AnyValue[];
  return delimitedField(5, ...items.map((item) => delimitedField(1, encodeAnyValue(item))));
}

function encodeInteger(value: Integer): Buffer {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RuntimeEvidenceError("bad-input", `${value} is not an exact integer.`);
  }
  if (!isInt64(value)) return encodeAnyValue(String(value));
  return Buffer.concat([Buffer.from([0x18]), varintBytes(BigInt(value))]);
}

/** A KeyValue as field `fieldNumber` of its parent. */
export function encodeKeyValue(fieldNumber: number, key: string, value: AnyValue): Buffer {
  return delimitedField(fieldNumber, stringField(1, key), delimitedField(2, encodeAnyValue(value)));
}
