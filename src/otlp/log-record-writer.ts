/**
 * Writes OTLP LogRecords (logs.proto) field by field. Whoever has the values drives it - a record, or a frame
 * from the kernel - always in the order of the mapping table, so that the same event gives the same bytes:
 *
 *     begin, the record's fields, the event's fields, projections, extensions, uid, residual, end
 *
 * `end` adds the body, which is made of the values written before it.
 */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { EventType } from "../evidence/record.ts";
import {
  type AttributeSlot,
  type ConstantAttribute,
  constantAttribute,
  type EventPlan,
  eventPlans,
  slotTotal,
  uidSlot,
} from "./attribute-slot.ts";
import { type BodyValue, BodyWriter } from "./body-writer.ts";
import {
  type ByteBlock,
  type ProtobufWriter,
  putBlock,
  putVarint,
  putVarint64,
  utf8Size,
  varintSize,
} from "./protobuf-writer.ts";

/** Where the parts of a record stand that `EventPlan.block` leaves open, from the record's tag on. */
const offset = { length: 1, content: 3, time: 4, observedTime: 13, severity: 22 } as const;
/** LogRecord.attributes: field 6, length-delimited. */
const attributeTag = 0x32;
/** Tags of AnyValue. */
const stringTag = 0x0a;
const boolTag = 0x10;
const intTag = 0x18;
const arrayTag = 0x2a;

/** Bytes of an attribute beside key and value: two tags and four lengths. */
const attributeOverheadBytes = 32;
/** A record that has all optional fields is between 128 and 16383 bytes: a length of two bytes. */
const lengthBytesExpected = 2;
/** An attribute shorter than this has lengths of one byte each. */
const shortAttributeBytesMax = 0x7f;
/** Longer texts than this are written faster by the runtime. */
const loopCharactersMax = 48;
const streamIdCharactersMax = 64;
/** Digits of Number.MAX_SAFE_INTEGER. */
const sequenceDigitsMax = 16;

/** Attributes as they were written once, to be written again. */
export interface WrittenSegment {
  readonly bytes: Buffer;
  readonly bodyValues: readonly BodyValue[];
}

/** Writes records one after another into `out`, each with its tag and length as a member of ScopeLogs. */
export class LogRecordWriter {
  /** Records ended since the last `restart`. */
  recordCount = 0;
  readonly #out: ProtobufWriter;
  readonly #body: BodyWriter;
  #plan: EventPlan = eventPlans.file_open;
  #recordStart = 0;
  #streamId = "";
  #uidPrefix: ByteBlock = { words: new Float64Array(0), byteLength: 0 };

  constructor(out: ProtobufWriter) {
    this.#out = out;
    this.#body = new BodyWriter(out, slotTotal);
  }

  /** Starts counting anew; for the owner of `out`, when it has taken the records away. */
  restart(): void {
    this.recordCount = 0;
  }

  /**
   * Begins a record. Times are nanoseconds since the Unix epoch as unsigned halves; `severityNumber` is that
   * of the log data model (1 to 24).
   */
  begin(
    eventType: EventType,
    timeLo: number,
    timeHi: number,
    observedLo: number,
    observedHi: number,
    severityNumber: number,
  ): void {
    const out = this.#out;
    const plan = eventPlans[eventType];
    const { block } = plan;
    this.#plan = plan;
    this.#body.begin();
    out.reserve(block.byteLength);
    const { view, position } = out;
    this.#recordStart = position;
    putBlock(view, position, block.words);
    view.setUint32(position + offset.time, timeLo, true);
    view.setUint32(position + offset.time + 4, timeHi, true);
    view.setUint32(position + offset.observedTime, observedLo, true);
    view.setUint32(position + offset.observedTime + 4, observedHi, true);
    view.setUint8(position + offset.severity, severityNumber);
    out.position = position + block.byteLength;
  }

  /** A signed 64-bit integer as two's complement halves. */
  integer(slot: AttributeSlot, lo: number, hi: number): void {
    const out = this.#out;
    const { head } = slot;
    out.reserve(head.byteLength + attributeOverheadBytes);
    const { buffer, position } = out;
    putBlock(out.view, position + 2, head.words);
    const value = position + 2 + head.byteLength;
    const end = putVarint64(buffer, value + 2, lo, hi);
    buffer[position] = attributeTag;
    buffer[position + 1] = end - position - 2;
    buffer[value] = end - value - 1;
    buffer[value + 1] = intTag;
    out.position = end;
    if (slot.inBody) this.#body.integer(slot, lo, hi);
  }

  /** An unsigned 64-bit integer; as decimal text where int64 cannot hold it. */
  unsigned(slot: AttributeSlot, lo: number, hi: number): void {
    if (hi >>> 31 === 0) this.integer(slot, lo, hi);
    else this.text(slot, String((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)));
  }

  /**
   * Bytes of `source`, if they are plain: ASCII without NUL (0x01 to 0x7f), at least one. If not, the result
   * is false and the record is to be taken back.
   */
  ascii(slot: AttributeSlot, source: Buffer, start: number, end: number): boolean {
    const length = end - start;
    this.#beginString(slot, length);
    const out = this.#out;
    const { buffer } = out;
    let { position } = out;
    // Checked while copying: a pass of its own would cost as much again.
    for (let index = start; index < end; index++) {
      const byte = source[index] as number;
      if (byte === 0 || byte > 0x7f) return false;
      buffer[position++] = byte;
    }
    out.position = position;
    if (slot.inBody) this.#body.text(slot, length);
    return length > 0;
  }

  /** Text, if it is plain: see `ascii`. If not, the result is false and nothing is written. */
  plain(slot: AttributeSlot, text: string): boolean {
    const { length } = text;
    if (length === 0 || length > loopCharactersMax) return false;
    const out = this.#out;
    const begin = out.position;
    this.#beginString(slot, length);
    const { buffer } = out;
    let { position } = out;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code === 0 || code > 0x7f) {
        out.position = begin;
        return false;
      }
      buffer[position++] = code;
    }
    out.position = position;
    if (slot.inBody) this.#body.text(slot, length);
    return true;
  }

  /** Any text; a lone surrogate becomes U+FFFD. */
  text(slot: AttributeSlot, text: string): void {
    const length = utf8Size(text);
    this.#beginString(slot, length);
    this.#out.text(text, length);
    if (slot.inBody) this.#body.text(slot, length);
  }

  /** Writes everything of a string attribute but its text, for which there is room afterwards. */
  #beginString(slot: AttributeSlot, length: number): void {
    const out = this.#out;
    const { head } = slot;
    out.reserve(head.byteLength + attributeOverheadBytes + length);
    const { buffer, position } = out;
    buffer[position] = attributeTag;
    if (head.byteLength + 3 + length <= shortAttributeBytesMax) {
      putBlock(out.view, position + 2, head.words);
      const value = position + 2 + head.byteLength;
      buffer[position + 1] = head.byteLength + 3 + length;
      buffer[value] = 2 + length;
      buffer[value + 1] = stringTag;
      buffer[value + 2] = length;
      out.position = value + 3;
      return;
    }
    const valueLength = 1 + varintSize(length) + length;
    out.position = position + 1;
    out.varint(head.byteLength + varintSize(valueLength) + valueLength);
    out.block(head);
    out.varint(valueLength);
    out.byte(stringTag);
    out.varint(length);
  }

  /** Where the next attribute will stand, for `segment`. */
  get position(): number {
    return this.#out.position;
  }

  /** A copy of what was written since `from`: the attributes of `slots`, for `repeat`. */
  segment(from: number, slots: readonly AttributeSlot[]): WrittenSegment {
    const { buffer, position } = this.#out;
    return { bytes: Buffer.from(buffer.subarray(from, position)), bodyValues: this.#body.keep(slots, from) };
  }

  /** Writes attributes that were written before, which costs one copy. */
  repeat({ bytes, bodyValues }: WrittenSegment): void {
    const out = this.#out;
    out.reserve(bytes.length);
    const from = out.position;
    out.buffer.set(bytes, from);
    out.position = from + bytes.length;
    this.#body.restore(bodyValues, from);
  }

  /** An attribute compiled by `constantAttribute`. */
  constant({ slot, block, valueLength }: ConstantAttribute): void {
    this.#out.reserve(block.byteLength);
    this.#out.block(block);
    if (slot.inBody) this.#body.text(slot, valueLength);
  }

  boolean(slot: AttributeSlot, value: boolean): void {
    const out = this.#out;
    out.reserve(slot.head.byteLength + attributeOverheadBytes);
    out.byte(attributeTag);
    out.byte(slot.head.byteLength + 3);
    out.block(slot.head);
    out.byte(2);
    out.byte(boolTag);
    out.byte(value ? 1 : 0);
  }

  textArray(slot: AttributeSlot, texts: readonly string[]): void {
    const out = this.#out;
    const items = texts.map((text) => {
      const length = utf8Size(text);
      return { text, length, value: 1 + varintSize(length) + length };
    });
    const listLength = items.reduce((sum, { value }) => sum + 1 + varintSize(value) + value, 0);
    const valueLength = 1 + varintSize(listLength) + listLength;
    out.reserve(slot.head.byteLength + attributeOverheadBytes + listLength);
    out.byte(attributeTag);
    out.varint(slot.head.byteLength + varintSize(valueLength) + valueLength);
    out.block(slot.head);
    out.varint(valueLength);
    out.byte(arrayTag);
    out.varint(listLength);
    for (const { text, length, value } of items) {
      out.byte(stringTag);
      out.varint(value);
      out.byte(stringTag);
      out.varint(length);
      out.text(text, length);
    }
  }

  /**
   * `log.record.uid`: the stream id, which is ASCII of 1 to 64 characters, a hyphen, and the sequence number
   * (a safe integer). Equal on a record that is sent twice.
   */
  uid(streamId: string, sequence: number): void {
    if (streamId !== this.#streamId) this.#useStream(streamId);
    const out = this.#out;
    const prefix = this.#uidPrefix;
    out.reserve(prefix.byteLength + sequenceDigitsMax);
    const { buffer, position } = out;
    out.block(prefix);
    if (sequence <= 0xffffffff) {
      out.decimal(sequence);
    } else {
      const digits = String(sequence);
      out.text(digits, digits.length);
    }
    const digitCount = out.position - position - prefix.byteLength;
    const { head } = uidSlot;
    const length = streamId.length + 1 + digitCount;
    buffer[position + 1] = head.byteLength + 3 + length;
    buffer[position + 2 + head.byteLength] = 2 + length;
    buffer[position + 4 + head.byteLength] = length;
  }

  /** Compiles what the uids of a stream share: the attribute up to the hyphen. */
  #useStream(streamId: string): void {
    const empty = constantAttribute(uidSlot, `${checkedStreamId(streamId)}-`);
    this.#uidPrefix = empty.block;
    this.#streamId = streamId;
  }

  /** Ends the record: body, then the length of the whole. */
  end(): void {
    this.#body.write(this.#plan.body);
    const out = this.#out;
    const start = this.#recordStart;
    const length = out.position - start - offset.content;
    const lengthBytes = varintSize(length);
    if (lengthBytes !== lengthBytesExpected) {
      out.shift(start + offset.content, lengthBytes - lengthBytesExpected);
    }
    putVarint(out.buffer, start + offset.length, length);
    this.recordCount++;
  }

  /** A whole record, encoded elsewhere: LogRecord with its tag and length, as a member of ScopeLogs. */
  encoded(record: Buffer): void {
    const out = this.#out;
    out.reserve(record.length);
    out.bytes(record, 0, record.length);
    this.recordCount++;
  }

  /** Takes back the record that was begun and not ended. */
  abort(): void {
    this.#out.position = this.#recordStart;
  }
}

/** Throws RuntimeEvidenceError `usage` for a stream id that no uid can have. */
export function checkedStreamId(streamId: string): string {
  if (/^[\x21-\x7e]+$/.test(streamId) && streamId.length <= streamIdCharactersMax) return streamId;
  throw new RuntimeEvidenceError(
    "usage",
    `A stream id is 1 to ${streamIdCharactersMax} printable ASCII characters.`,
  );
}
