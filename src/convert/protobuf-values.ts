/** How many values a log record in protobuf holds (logs.proto, common.proto), counted before anything builds them. */

import { VALUE_BYTES_MIN } from "./json-values.ts";
import { fieldAt } from "./protobuf-fields.ts";
import type { Range } from "./request-pieces.ts";

const DELIMITED = 2;
/** By kind of message: the fields that hold values, and what kind of message these are. */
const FIELDS = {
  logRecord: { 5: "value", 6: "keyValue" },
  keyValue: { 2: "value" },
  value: { 5: "list", 6: "map" },
  list: { 1: "value" },
  map: { 1: "keyValue" },
} as const satisfies Record<string, Readonly<Record<number, string>>>;
type Kind = keyof typeof FIELDS;
/** Messages in each other: two for each level of a value. Decoders refuse values that are deeper. */
const DEPTH_MAX = 256;

/**
 * Whether the log record whose field, tag included, is at `start` has more attributes and values in values than
 * `valuesMax`. Looks only at what is long enough.
 */
export function hasMoreProtobufValues(message: Buffer, { start, end }: Range, valuesMax: number): boolean {
  if (end - start <= VALUE_BYTES_MIN * valuesMax) return false;
  const field = fieldAt(message, start, end);
  if (typeof field === "string") return false;
  return new Counting(message, valuesMax).isOver("logRecord", field.contentStart, end, 0);
}

class Counting {
  readonly #message: Buffer;
  #valuesLeft: number;

  constructor(message: Buffer, valuesMax: number) {
    this.#message = message;
    this.#valuesLeft = valuesMax;
  }

  isOver(kind: Kind, start: number, end: number, depth: number): boolean {
    const kinds: Readonly<Record<number, Kind>> = FIELDS[kind];
    let offset = start;
    while (offset < end) {
      const field = fieldAt(this.#message, offset, end);
      if (typeof field === "string") return false;
      const inner = field.wireType === DELIMITED ? kinds[field.number] : undefined;
      if (inner !== undefined) {
        if (inner === "value" || inner === "keyValue") this.#valuesLeft--;
        if (this.#valuesLeft < 0) return true;
        if (depth < DEPTH_MAX && this.isOver(inner, field.contentStart, field.end, depth + 1)) return true;
      }
      offset = field.end;
    }
    return false;
  }
}
