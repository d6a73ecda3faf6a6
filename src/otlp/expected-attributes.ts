/**
 * What the attributes of log records looked like so far. Records that follow each other have the same attributes
 * in the same order, and most with the same value: comparing with the bytes that are expected takes a part of
 * the time that reading takes. What is not as expected is read, so that nothing depends on it.
 */
import { type ByteWords, byteWords } from "../evidence/byte-words.ts";
import type { AnyValue } from "./any-value.ts";

export interface ExpectedAttribute {
  readonly key: string;
  /** How it starts, up to its value, as writers mostly write it. */
  readonly start: ByteWords;
  /** What the start says of the value, if it says anything. */
  readonly kind: string;
  /** What the value was last time. */
  value: AnyValue;
  /** What stands there when the value is the same again; known once it has come twice running. */
  same: ByteWords | undefined;
  /** What followed last time. */
  next: ExpectedAttribute | undefined;
}

/** Attributes beyond this many are not kept: log records of others may have any. */
const attributesMax = 256;
/** When so many were not, all are forgotten, and learnt anew: those kept are not what comes now. */
const refusedMax = 4096;
const keyCharactersMax = 96;
const sameBytesMax = 96;
/** Text that has a byte for each character, and the same in every encoding. */
export const plainText = /^[\x20-\x7e]*$/;

export class ExpectedAttributes {
  /** By kind, then by key: one key can have values of several kinds by turns. */
  readonly #known = new Map<string, Map<string, ExpectedAttribute>>();
  #count = 0;
  #refused = 0;
  #last: ExpectedAttribute | undefined;

  /** What is expected now, if anything. */
  get next(): ExpectedAttribute | undefined {
    return this.#last?.next;
  }

  /** Says that this stood there, as expected. */
  found(attribute: ExpectedAttribute): void {
    this.#last = attribute;
  }

  /** Keeps the value for the next time; whether `same` is to be kept for it, too. */
  keep(attribute: ExpectedAttribute, value: AnyValue, byteLength: number): boolean {
    const isShort = byteLength <= sameBytesMax;
    const isAgain = isShort && value === attribute.value;
    attribute.same = undefined;
    // A long one would be kept for as long as the program runs.
    attribute.value = isShort ? value : null;
    return isAgain;
  }

  /** Says that another attribute stood there, which is expected from now on; `start` gives its bytes. */
  learn(key: string, kind: string, start: (key: string) => Uint8Array): void {
    const attribute = this.#known.get(kind)?.get(key) ?? this.#create(key, kind, start);
    if (attribute === undefined) return;
    if (this.#last !== undefined) this.#last.next = attribute;
    this.#last = attribute;
  }

  #create(key: string, kind: string, start: (key: string) => Uint8Array): ExpectedAttribute | undefined {
    if (key.length > keyCharactersMax || !plainText.test(key)) return undefined;
    if (this.#count === attributesMax) {
      if (++this.#refused < refusedMax) return undefined;
      this.#forget();
    }
    const attribute = {
      key,
      start: byteWords(start(key)),
      kind,
      value: null,
      same: undefined,
      next: undefined,
    };
    const ofKind = this.#known.get(kind) ?? new Map<string, ExpectedAttribute>();
    this.#known.set(kind, ofKind.set(key, attribute));
    this.#count++;
    return attribute;
  }

  #forget(): void {
    this.#known.clear();
    this.#count = 0;
    this.#refused = 0;
    this.#last = undefined;
  }
}
