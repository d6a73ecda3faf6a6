/**
 * Reads the scalars of OTLP's JSON (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding") as
 * liberally as the Collector does: 64-bit integers as text or number, enums by number or name, ids in
 * hexadecimal of any case. Integers are exact.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { exactNumber, parseDecimal } from "../evidence/integer-text.ts";
import { JsonScanner, jsonToken } from "../evidence/json-scanner.ts";
import { type Integer, integerFromBigInt } from "../evidence/record.ts";
import { StringTable } from "../evidence/string-table.ts";
import { DoubleValue, isInt64 } from "./any-value.ts";
import { ownAttributeKeys } from "./decoded-attributes.ts";
import { ExpectedAttributes, plainText } from "./expected-attributes.ts";

/** Longest strings that are looked for among those already read; longer ones seldom come again. */
const keyBytesMax = 48;
const valueBytesMax = 17;
/** Every integer of at most so many digits is exact as a double. */
const exactDigitsMax = 15;
const int64DigitsMax = 20;
const severityLevels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const doubleText = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;
const base64Text = /^[A-Za-z0-9+/_-]*={0,2}$/;

// Of all texts together, because many are small. Keys and values apart: values that never come again must not push
// out the keys, which always do.
const keys = new StringTable(keyBytesMax, ownAttributeKeys);
const values = new StringTable(valueBytesMax);
const expected = new ExpectedAttributes();

export class JsonReader extends JsonScanner {
  readonly expected = expected;

  /** The bytes from `start` to here, if they are the text: those of a `JsonScanner` have DEL for what is not ASCII. */
  plainBytes(start: number): Uint8Array | undefined {
    const bytes = this.bytes.subarray(start, this.position);
    return plainText.test(bytes.toString("latin1")) ? bytes : undefined;
  }

  /** An error about the member `name`, whose value starts at `position`. */
  unlike(name: string, expected: string, position = this.position): RuntimeEvidenceError {
    return new RuntimeEvidenceError(
      "bad-input",
      `OTLP JSON: ${name} must be ${expected}, at character ${position}`,
      { context: { member: name, characterOffset: position } },
    );
  }

  /** Enters the object that is the value of `name`: the name of its first member, if it has any. */
  firstName(name: string): string | undefined {
    if (this.peek() !== jsonToken.openBrace) throw this.unlike(name, "an object");
    return this.beginObject() ? this.name() : undefined;
  }

  /** The name of the next member of the object; nothing where it ends. */
  nextName(): string | undefined {
    return this.moreMembers() ? this.name() : undefined;
  }

  /** Enters the array that is the value of `name`; false when it is empty. */
  enterArray(name: string): boolean {
    if (this.peek() !== jsonToken.openBracket) throw this.unlike(name, "an array");
    return this.beginArray();
  }

  /** Passes over `null`, which means that the member is absent. */
  null(): boolean {
    return this.peek() === 0x6e && this.word("null");
  }

  stringValue(name: string): string {
    if (this.peek() !== jsonToken.quote) throw this.unlike(name, "a string");
    return this.string(values);
  }

  /** A string that comes again in every record. */
  key(name: string): string {
    if (this.peek() !== jsonToken.quote) throw this.unlike(name, "a string");
    return this.string(keys);
  }

  boolean(name: string): boolean {
    if (this.word("true")) return true;
    if (this.word("false")) return false;
    throw this.unlike(name, "a boolean");
  }

  integer(name: string): Integer {
    const quoted = this.peek() === jsonToken.quote;
    const start = this.position;
    const plain = this.#plainInteger(quoted);
    if (plain !== undefined) return plain;
    const exact = quoted ? parseDecimal(this.string()) : exactNumber(this.#number(name, "an integer"));
    if (typeof exact === "bigint" || Number.isSafeInteger(exact)) return exact as Integer;
    throw this.unlike(name, "an integer", start);
  }

  /** The usual case: nothing but digits, and no more than 64 bits need. Otherwise nothing is passed over. */
  #plainInteger(quoted: boolean): Integer | undefined {
    const { bytes } = this;
    let position = this.position + (quoted ? 1 : 0);
    const negative = bytes[position] === jsonToken.minus;
    if (negative) position++;
    const start = position;
    let value = 0;
    let code = bytes[position] as number;
    for (; code >= 0x30 && code <= 0x39; code = bytes[++position] as number) value = value * 10 + code - 0x30;
    const digits = position - start;
    if (digits === 0 || digits > int64DigitsMax) return undefined;
    if (quoted && code !== jsonToken.quote) return undefined;
    if (!quoted && code !== jsonToken.comma && code !== jsonToken.closeBrace) return undefined;
    if (!quoted && digits > 1 && bytes[start] === 0x30) return undefined;
    this.position = quoted ? position + 1 : position;
    if (digits > exactDigitsMax) {
      return integerFromBigInt(BigInt(this.text.slice(negative ? start - 1 : start, position)));
    }
    return negative ? 0 - value : value;
  }

  #number(name: string, expected: string): string {
    const code = this.peek();
    if (code !== jsonToken.minus && !(code >= 0x30 && code <= 0x39)) throw this.unlike(name, expected);
    return this.number();
  }

  int64(name: string): Integer {
    this.peek();
    const start = this.position;
    const exact = this.integer(name);
    if (!isInt64(exact)) throw this.unlike(name, "a 64-bit integer", start);
    return exact;
  }

  uint64(name: string): bigint {
    this.peek();
    const start = this.position;
    const exact = BigInt(this.integer(name));
    if (exact < 0n || exact >= 1n << 64n) throw this.unlike(name, "an unsigned 64-bit integer", start);
    return exact;
  }

  uint32(name: string): number {
    this.peek();
    const start = this.position;
    const exact = this.integer(name);
    if (exact < 0 || exact > 0xffffffff) throw this.unlike(name, "an unsigned 32-bit integer", start);
    return Number(exact);
  }

  /** By number, or by a name such as SEVERITY_NUMBER_INFO or SEVERITY_NUMBER_INFO2. */
  severityNumber(name: string): number {
    if (this.peek() !== jsonToken.quote) return this.uint32(name);
    const start = this.position;
    const value = this.string();
    if (value === "SEVERITY_NUMBER_UNSPECIFIED") return 0;
    if (/^\d{1,2}$/.test(value)) return Number(value);
    const [, level = "", step] = /^SEVERITY_NUMBER_([A-Z]+)([2-4]?)$/.exec(value) ?? [];
    const index = severityLevels.indexOf(level);
    if (index < 0) throw this.unlike(name, "a severity number", start);
    return index * 4 + Number(step || "1");
  }

  double(name: string): DoubleValue {
    if (this.peek() !== jsonToken.quote) return new DoubleValue(Number(this.#number(name, "a number")));
    const start = this.position;
    const value = this.string();
    const named = value === "NaN" || value === "Infinity" || value === "-Infinity";
    if (!named && !doubleText.test(value)) throw this.unlike(name, "a number", start);
    return new DoubleValue(Number(value));
  }

  bytesValue(name: string): Uint8Array {
    this.peek();
    const start = this.position;
    const value = this.stringValue(name);
    if (!base64Text.test(value)) throw this.unlike(name, "base64", start);
    return new Uint8Array(Buffer.from(value, "base64"));
  }

  /** An id of fixed length in hexadecimal; the empty string is absent. */
  hexId(name: string, digits: number): string {
    this.peek();
    const start = this.position;
    const id = this.stringValue(name);
    if (id !== "" && (id.length !== digits || !/^[0-9a-fA-F]+$/.test(id))) {
      throw this.unlike(name, `${digits} hexadecimal digits`, start);
    }
    return id.toLowerCase();
  }
}
