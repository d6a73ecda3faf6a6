/**
 * What the JSON of records looked like so far. One record after another has the same members in the same order,
 * and many with the same value, so that most of the text is as expected: comparing takes a part of the time that
 * reading takes. What is not as expected is nothing here, and is for the general reader.
 *
 * A shape is a path through a tree: each step is the text up to a value and the member that the value is. No path
 * has a member twice, because it was learnt from a record that was read in whole.
 */
import { type ByteWords, byteWords, sameBytes, standsAt } from "./byte-words.ts";
import { isDigit, isFractionOrExponent } from "./integer-text.ts";
import { JsonScanner, jsonToken } from "./json-scanner.ts";
import { integerFromBigInt, type JsonValue } from "./record.ts";

/** Steps beyond this many make all be forgotten, and learnt anew. */
const stepsMax = 1024;
/** So do steps that may follow one place; they are tried one after another. */
const alternativesMax = 32;
/** Bytes of text between two values, and of a value that is expected to come again. */
const textBytesMax = 128;
/** Longer texts are left to the general reader. */
const learntCharactersMax = 16 * 1024;
/** Every integer of at most so many digits is exact as a double; of up to the other, it is one of 64 bits. */
const exactDigitsMax = 15;
const digitsMax = 20;
/** One text in so many can be learnt, and some at once: it takes several times as long as reading the text. */
const textsPerLesson = 16;
const lessonsMax = 32;
/** JSON that the bytes of `JsonScanner` show as they are: no DEL, and nothing beyond ASCII. */
const plainText = /^[\x09-\x7e]*$/;

const { quote, minus, openBracket, closeBracket, comma, backslash } = jsonToken;
const trueText = byteWords(Buffer.from("true"));
const falseText = byteWords(Buffer.from("false"));

interface Step {
  /** From the value before, or the beginning, to this value; of the last step to the end. Without white space behind it. */
  readonly text: ByteWords;
  /** Where the member belongs: at the top, or in the object that `opens` began. */
  readonly isInner: boolean;
  /** Name of the object at the top whose first member this is. */
  readonly opens: string | undefined;
  /** Nothing: the end. */
  readonly member: string | undefined;
  readonly next: Step[];
  /** The value last time, and its text once it has come twice running. */
  value: JsonValue;
  same: ByteWords | undefined;
}

type Members = Record<string, JsonValue>;

/** A step to be: what the scanner saw. */
type Seen = Pick<Step, "isInner" | "opens" | "member"> & { readonly text: string };

export class RecordShapes {
  #first: Step[] = [];
  #stepCount = 0;
  /** Texts that were read and are not yet used up by learning. */
  #texts = textsPerLesson * lessonsMax;
  #buffer: ArrayBufferLike = new ArrayBuffer(0);
  #view = new DataView(this.#buffer);
  #bytes: Buffer = Buffer.alloc(0);
  #position = 0;
  #end = 0;
  /** Whether the last text failed for its shape, and not for a value. */
  #isNew = false;

  /** The record of a JSON text, exactly; nothing if it is not of a shape that was learnt, or no JSON. */
  read(text: Buffer): JsonValue | undefined {
    if (text.buffer !== this.#buffer) this.#look(text.buffer);
    this.#position = text.byteOffset;
    this.#end = text.byteOffset + text.byteLength;
    this.#isNew = false;
    if (this.#texts < textsPerLesson * lessonsMax) this.#texts++;
    const top: Members = {};
    let inner = top;
    let steps = this.#first;
    for (;;) {
      const step = this.#pass(steps);
      if (step === undefined) return undefined;
      this.#passSpace();
      const { member } = step;
      if (member === undefined) return this.#position === this.#end ? top : undefined;
      if (step.opens !== undefined) {
        inner = {};
        top[step.opens] = inner;
      }
      const value = this.#value(step);
      if (value === undefined) return undefined;
      if (step.isInner) inner[member] = value;
      else top[member] = value;
      steps = step.next;
    }
  }

  /** Learns, if it may, the shape of the text that `read` had last and knew nothing of, and that is JSON for sure. */
  learn(text: string): void {
    if (!this.#isNew || text.length > learntCharactersMax || this.#texts < textsPerLesson) return;
    this.#texts -= textsPerLesson;
    const seen = shapeOf(text);
    if (seen === undefined) return;
    if (this.#stepCount + seen.length > stepsMax) this.#forget();
    let steps = this.#first;
    for (const step of seen) {
      if (steps.length === alternativesMax) {
        this.#forget();
        return;
      }
      steps = this.#stepFor(step, steps).next;
    }
  }

  #forget(): void {
    this.#first = [];
    this.#stepCount = 0;
  }

  #stepFor({ text, isInner, opens, member }: Seen, steps: Step[]): Step {
    const bytes = byteWords(Buffer.from(text, "latin1"));
    const known = steps.find((step) => sameBytes(step.text, bytes));
    if (known !== undefined) return known;
    const step = { text: bytes, isInner, opens, member, next: [], value: null, same: undefined };
    // The latest first: it is likely to come again.
    steps.unshift(step);
    this.#stepCount++;
    return step;
  }

  #look(buffer: ArrayBufferLike): void {
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
    this.#bytes = Buffer.from(buffer);
  }

  /** Passes over the text of the first step that stands here. */
  #pass(steps: readonly Step[]): Step | undefined {
    for (const step of steps) {
      if (this.#passText(step.text)) return step;
    }
    this.#isNew = true;
    return undefined;
  }

  #passText(text: ByteWords): boolean {
    const end = this.#position + text.byteLength;
    if (end > this.#end || !standsAt(text, this.#view, this.#position)) return false;
    this.#position = end;
    return true;
  }

  #passSpace(): void {
    while (this.#position < this.#end && isSpace(this.#bytes[this.#position] as number)) this.#position++;
  }

  /** The value that stands here, if it is a plain one. */
  #value(step: Step): JsonValue | undefined {
    const { same } = step;
    const start = this.#position;
    if (same !== undefined && this.#passText(same)) {
      // 12 is also how 123 begins.
      if (!isDigit(this.#bytes[this.#position])) return step.value;
      this.#position = start;
    }
    const value = this.#plainValue();
    // A long one is not kept: there are as many as there are steps.
    const kept = this.#position - start <= textBytesMax ? value : undefined;
    const isAgain = kept !== undefined && kept === step.value;
    step.same = isAgain ? byteWords(this.#bytes.subarray(start, this.#position)) : undefined;
    step.value = kept ?? null;
    return value;
  }

  #plainValue(): JsonValue | undefined {
    const first = this.#position < this.#end ? this.#bytes[this.#position] : undefined;
    if (first === quote) return this.#string();
    if (first === openBracket) return this.#strings();
    if (first === minus || isDigit(first)) return this.#integer();
    if (this.#passText(trueText)) return true;
    return this.#passText(falseText) ? false : undefined;
  }

  /** Text in printable ASCII without escapes. */
  #string(): string | undefined {
    const bytes = this.#bytes;
    const start = this.#position + 1;
    let position = start;
    let byte = bytes[position] as number;
    for (
      ;
      byte !== quote && byte !== backslash && byte >= 0x20 && byte < 0x7f;
      byte = bytes[position] as number
    ) {
      position++;
    }
    if (byte !== quote || position >= this.#end) return undefined;
    this.#position = position + 1;
    return bytes.toString("latin1", start, position);
  }

  #strings(): JsonValue | undefined {
    const strings: string[] = [];
    do {
      this.#position++;
      const string = this.#bytes[this.#position] === quote ? this.#string() : undefined;
      if (string === undefined) return undefined;
      strings.push(string);
    } while (this.#bytes[this.#position] === comma);
    if (this.#bytes[this.#position] !== closeBracket) return undefined;
    this.#position++;
    return strings;
  }

  /** Digits without fraction or exponent, as long as 64 bits need. */
  #integer(): JsonValue | undefined {
    const bytes = this.#bytes;
    const isNegative = bytes[this.#position] === minus;
    const start = this.#position + (isNegative ? 1 : 0);
    let position = start;
    let value = 0;
    for (let byte = bytes[position]; isDigit(byte); byte = bytes[++position])
      value = value * 10 + byte - 0x30;
    const digits = position - start;
    if (digits === 0 || digits > digitsMax || position > this.#end) return undefined;
    // 007 is no JSON; -0 is 0, which is for the general reader.
    if (bytes[start] === 0x30 && (digits > 1 || isNegative)) return undefined;
    if (isFractionOrExponent(bytes[position])) return undefined;
    const text = digits > exactDigitsMax ? bytes.toString("latin1", this.#position, position) : "";
    this.#position = position;
    if (text !== "") return integerFromBigInt(BigInt(text));
    return isNegative ? -value : value;
  }
}

/** White space of JSON. */
function isSpace(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

/** The steps of a record; nothing for one that has other than plain values, or objects in objects. */
function shapeOf(text: string): Seen[] | undefined {
  const scanner = new JsonScanner(text);
  const steps: Seen[] = [];
  let textStart = 0;
  let opens: string | undefined;
  /** Takes one member; false if it can be no step. */
  const take = (member: string | undefined, isInner: boolean): boolean => {
    const between = text.slice(textStart, scanner.position).trimEnd();
    if (between.length > textBytesMax || !plainText.test(between)) return false;
    steps.push({ text: between, isInner, opens, member });
    opens = undefined;
    if (member !== undefined) scanner.skip();
    textStart = scanner.position;
    return true;
  };
  const members = (isInner: boolean): boolean => {
    if (!scanner.beginObject()) return false;
    do {
      const member = scanner.name();
      // Assignment would not make a member of this name.
      if (member === "__proto__") return false;
      if (scanner.peek() !== jsonToken.openBrace) {
        if (!take(member, isInner)) return false;
      } else {
        opens = member;
        if (isInner || !members(true)) return false;
      }
    } while (scanner.moreMembers());
    return true;
  };
  if (scanner.peek() !== jsonToken.openBrace || !members(false)) return undefined;
  scanner.end();
  return take(undefined, false) ? steps : undefined;
}
