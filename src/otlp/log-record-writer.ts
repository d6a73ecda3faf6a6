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
  type EventPlan,
  eventPlans,
  slotTotal,
  uidSlot,
} from "./attribute-slot.ts";
import { BodyWriter } from "./body-writer.ts";
import { decimalSize, type ProtobufWriter, utf8Size, varintSize, varintSize64 } from "./protobuf-writer.ts";

/** ScopeLogs.log_records: field 2, length-delimited. */
const recordTag = 0x12;
/** Tags of LogRecord: 1 and 11 fixed64, 2 varint, 6 length-delimited. */
const timeTag = 0x09;
const observedTimeTag = 0x59;
const severityTag = 0x10;
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
const streamIdCharactersMax = 64;

/** Writes records one after another into `out`, each with its tag and length as a member of ScopeLogs. */
export class LogRecordWriter {
  /** Records ended since the last `restart`. */
  recordCount = 0;
  readonly #out: ProtobufWriter;
  readonly #body: BodyWriter;
  #plan: EventPlan = eventPlans.file_open;
  #recordStart = 0;
  #streamId = "";

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
    this.#plan = plan;
    this.#recordStart = out.position;
    this.#body.begin();
    out.reserve(plan.block.byteLength + attributeOverheadBytes);
    out.byte(recordTag);
    out.position += lengthBytesExpected;
    out.byte(timeTag);
    out.fixed64(timeLo, timeHi);
    out.byte(observedTimeTag);
    out.fixed64(observedLo, observedHi);
    out.byte(severityTag);
    out.byte(severityNumber);
    out.block(plan.block);
  }

  /** A signed 64-bit integer as two's complement halves. */
  integer(slot: AttributeSlot, lo: number, hi: number): void {
    const out = this.#out;
    const size = varintSize64(lo >>> 0, hi >>> 0);
    out.reserve(slot.head.byteLength + attributeOverheadBytes);
    out.byte(attributeTag);
    out.byte(slot.head.byteLength + 2 + size);
    out.block(slot.head);
    out.byte(1 + size);
    out.byte(intTag);
    out.varint64(lo, hi);
    this.#body.integer(slot, lo >>> 0, hi >>> 0);
  }

  /** An unsigned 64-bit integer; as decimal text where int64 cannot hold it. */
  unsigned(slot: AttributeSlot, lo: number, hi: number): void {
    if (hi >>> 31 === 0) this.integer(slot, lo, hi);
    else this.text(slot, String((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)));
  }

  /** Bytes of `source` that are plain ASCII without NUL (0x01 to 0x7f). */
  ascii(slot: AttributeSlot, source: Buffer, start: number, end: number): void {
    const length = end - start;
    this.#beginString(slot, length);
    this.#out.bytes(source, start, end);
    this.#body.text(slot, length);
  }

  /** Any text; a lone surrogate becomes U+FFFD. */
  text(slot: AttributeSlot, text: string): void {
    const length = utf8Size(text);
    this.#beginString(slot, length);
    this.#out.text(text, length);
    this.#body.text(slot, length);
  }

  #beginString(slot: AttributeSlot, length: number): void {
    const out = this.#out;
    const { head } = slot;
    const valueLength = 1 + varintSize(length) + length;
    out.reserve(head.byteLength + attributeOverheadBytes + length);
    out.byte(attributeTag);
    out.varint(head.byteLength + varintSize(valueLength) + valueLength);
    out.block(head);
    out.varint(valueLength);
    out.byte(stringTag);
    out.varint(length);
  }

  /** An attribute compiled by `constantAttribute`. */
  constant({ slot, block, valueLength }: ConstantAttribute): void {
    this.#out.reserve(block.byteLength);
    this.#out.block(block);
    this.#body.text(slot, valueLength);
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
    if (streamId !== this.#streamId) this.#streamId = checkedStreamId(streamId);
    const out = this.#out;
    const low = sequence <= 0xffffffff;
    const digits = low ? "" : String(sequence);
    const length = streamId.length + 1 + (low ? decimalSize(sequence) : digits.length);
    this.#beginString(uidSlot, length);
    out.text(streamId, streamId.length);
    out.byte(0x2d);
    if (low) out.decimal(sequence);
    else out.text(digits, digits.length);
  }

  /** Ends the record: body, then the length of the whole. */
  end(): void {
    this.#body.write(this.#plan.body);
    const out = this.#out;
    const contentStart = this.#recordStart + 1 + lengthBytesExpected;
    const length = out.position - contentStart;
    const lengthBytes = varintSize(length);
    if (lengthBytes !== lengthBytesExpected) out.shift(contentStart, lengthBytes - lengthBytesExpected);
    const end = out.position;
    out.position = this.#recordStart + 1;
    out.varint(length);
    out.position = end;
    this.recordCount++;
  }

  /** Takes back the record that was begun and not ended. */
  abort(): void {
    this.#out.position = this.#recordStart;
  }
}

function checkedStreamId(streamId: string): string {
  if (/^[\x21-\x7e]+$/.test(streamId) && streamId.length <= streamIdCharactersMax) return streamId;
  throw new RuntimeEvidenceError(
    "usage",
    `A stream id is 1 to ${streamIdCharactersMax} printable ASCII characters.`,
  );
}
