/**
 * What the attributes of log records looked like in JSON so far. Records that follow each other have the same
 * attributes in the same order, and most with the same value: comparing with the text that is expected takes a
 * part of the time that reading takes. What is not expected is read, so that nothing depends on it.
 */
import { type ByteWords, byteWords } from "../evidence/byte-words.ts";
import type { JsonScanner } from "../evidence/json-scanner.ts";
import type { AnyValue } from "./any-value.ts";

export interface KeyValueShape {
  readonly key: string;
  /** The member of the AnyValue: `stringValue` and so on. */
  readonly valueName: string;
  /** `{"key":"…","value":{"stringValue":`, as writers of compact JSON write it. */
  readonly start: ByteWords;
  /** What the value was last time. */
  value: AnyValue;
  /** The value and the two braces after it, once the value has come twice running. */
  same: ByteWords | undefined;
  /** What followed last time. */
  next: KeyValueShape | undefined;
}

/** Shapes beyond this many are not kept: log records of others may have any keys. */
const shapesMax = 256;
const keyCharactersMax = 96;
const sameBytesMax = 64;
/** What can be compared byte by byte: the bytes of `JsonScanner` have DEL for all that is not ASCII. */
const plainText = /^[\x20-\x7e]*$/;
const closing = byteWords(Buffer.from("}}"));

export class KeyValueShapes {
  readonly #byKey = new Map<string, KeyValueShape>();
  #last: KeyValueShape | undefined;

  /** Passes over the start of the attribute that is expected, up to its value; nothing if another stands here. */
  pass(scanner: JsonScanner): KeyValueShape | undefined {
    const expected = this.#last?.next;
    if (expected === undefined || !scanner.enterObjects(expected.start, 2)) return undefined;
    this.#last = expected;
    return expected;
  }

  /** Passes over the rest of an attribute if its value is the same as last time. */
  passSame(scanner: JsonScanner, { same }: KeyValueShape): boolean {
    return same !== undefined && scanner.leaveObjects(same, 2);
  }

  /** Passes over the end of an attribute whose value, read from `start` on, is `value`; false if it has more. */
  passEnd(scanner: JsonScanner, shape: KeyValueShape, value: AnyValue, start: number): boolean {
    if (!scanner.leaveObjects(closing, 2)) return false;
    const isSame = value === shape.value && scanner.position - start <= sameBytesMax;
    const text = isSame ? scanner.text.slice(start, scanner.position) : "";
    shape.same = isSame && plainText.test(text) ? byteWords(Buffer.from(text, "latin1")) : undefined;
    shape.value = value;
    return true;
  }

  /** Expects this attribute after the one before it from now on. */
  learn(key: string, value: AnyValue): void {
    const valueName = nameOf(value);
    if (valueName === undefined || key.length > keyCharactersMax || !plainText.test(key)) return;
    const known = this.#byKey.get(key);
    const shape = known?.valueName === valueName ? known : this.#create(key, valueName, value);
    if (shape === undefined) return;
    if (this.#last !== undefined) this.#last.next = shape;
    this.#last = shape;
  }

  #create(key: string, valueName: string, value: AnyValue): KeyValueShape | undefined {
    if (this.#byKey.size === shapesMax && !this.#byKey.has(key)) return undefined;
    const start = byteWords(Buffer.from(`{"key":${JSON.stringify(key)},"value":{"${valueName}":`));
    const shape = { key, valueName, start, value, same: undefined, next: undefined };
    this.#byKey.set(key, shape);
    return shape;
  }
}

function nameOf(value: AnyValue): string | undefined {
  switch (typeof value) {
    case "string":
      return "stringValue";
    case "number":
    case "bigint":
      return "intValue";
    case "boolean":
      return "boolValue";
    default:
      return Array.isArray(value) ? "arrayValue" : undefined;
  }
}
