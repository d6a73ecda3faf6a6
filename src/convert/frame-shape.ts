/** What length-prefixed messages look like: OTLP in protobuf or JSON, or a zstd frame. */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { isClosedJson } from "./json-nesting.ts";
import { requestShape } from "./request-shape.ts";
import { isZstd, ZstdSteps } from "./zstd-steps.ts";

/** A big-endian length. */
export const PREFIX_BYTES = 4;
/** How much of a message tells whether its length fits: a tag and a varint. */
export const HEAD_BYTES = 11;

const RESOURCE_LOGS_TAG = 0x0a;
const OPEN_BRACE = 0x7b;
const ZSTD_START = 0x28;
/** How messages in JSON start: with the only member that they have. */
const JSON_START = Buffer.from('{"resource');

/** Whether a message of `length` bytes may start with `head`, its first `HEAD_BYTES` or all that is there. */
export function headFits(length: number, head: Buffer): boolean {
  const first = head[0];
  if (first === undefined || first === OPEN_BRACE) return true;
  if (first === ZSTD_START) return head.length < PREFIX_BYTES || isZstd(head);
  return first === RESOURCE_LOGS_TAG && requestShape(head, length, head.length).fits;
}

/** Whether `message` ends where its length says. */
export function isWholeMessage(message: Buffer): boolean {
  if (message[0] === RESOURCE_LOGS_TAG) return requestShape(message, message.length, message.length).fits;
  return message[0] === OPEN_BRACE ? isClosedJson(message) : isZstd(message) && endsWithFrame(message);
}

export interface Likeness {
  readonly isMessage: boolean;
  /** How many steps it took to tell. */
  readonly steps: number;
}

/**
 * Whether somewhere among other bytes a message of `length` bytes starts, which begins with `bytes` or is these.
 * Stricter than above: a request has to have a log record.
 */
export function likenessOf(length: number, bytes: Buffer, stepsMax: number): Likeness {
  if (bytes[0] === RESOURCE_LOGS_TAG) {
    const { fits, records, fields } = requestShape(bytes, length, stepsMax);
    return { isMessage: fits && records > 0, steps: fields };
  }
  const isMessage = bytes[0] === OPEN_BRACE ? startsJson(bytes) : isZstd(bytes);
  const isWhole = isMessage && (bytes.length < length || isWholeMessage(bytes));
  return { isMessage: isWhole, steps: isMessage ? bytes.length : 1 };
}

function startsJson(bytes: Buffer): boolean {
  return bytes.subarray(0, JSON_START.length).equals(JSON_START);
}

function endsWithFrame(message: Buffer): boolean {
  const steps = new ZstdSteps(Number.POSITIVE_INFINITY);
  try {
    for (const _ of steps.push(message));
    return steps.isFrameEnd;
  } catch (thrown) {
    if (thrown instanceof RuntimeEvidenceError) return false;
    throw thrown;
  }
}
