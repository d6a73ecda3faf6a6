/**
 * Encodes event frames straight as OTLP log records: the hot path.
 *
 * It is compiled once from the two tables that also make `toRecord` and `encodeRecord`: where in a frame a
 * field stands (`frames/fields.ts`) and which attribute it becomes (`otlp/mapping.ts`). A test holds that
 * the bytes are the same as by way of the record. Frames with anything out of the ordinary (a string that is
 * empty or not ASCII, a truncation, a symbolised stack) take that way, so that each special rule stands in one place.
 */
import type { FrameContext } from "../frames/context.ts";
import { FRAME_FIELDS, type FrameEventType } from "../frames/fields.ts";
import type { FrameField, RecurringFields } from "../frames/frame-field.ts";
import {
  BOOT_NS_OFFSET,
  frameFlags,
  frameNamespacePid,
  framePid,
  START_BOOT_NS_OFFSET,
} from "../frames/header.ts";
import { FrameFlag, SocketAttribution } from "../frames/layout.gen.ts";
import { connectError, connectFailed } from "../frames/net-connect.ts";
import { TCP_STATE_NAMES, tcpAttribution, tcpNewState } from "../frames/tcp-state.ts";
import {
  type AttributeSlot,
  type ConstantAttribute,
  connectionStateAttributes,
  constantAttribute,
  errorTypeSlot,
  eventSlots,
  extensionSlots,
  recordSlots,
} from "../otlp/attribute-slot.ts";
import type { LogRecordWriter } from "../otlp/log-record-writer.ts";
import { eventFields, type FieldMapping, recordFields } from "../otlp/mapping.ts";
import { errorType, severity } from "../otlp/projection.ts";
import { SegmentCache } from "./segment-cache.ts";

/** What all records of a capture share, and the sequence number of the next one. */
export interface EncodeContext {
  readonly frames: FrameContext;
  readonly streamId: string;
  /** When the chunk of frames was read, in nanoseconds since the Unix epoch as unsigned halves. */
  observedLo: number;
  observedHi: number;
}

/** One attribute of a plain frame: how it is read and how it is written. */
interface Step {
  readonly field: FrameField;
  readonly slot: AttributeSlot;
  /** For a `choice`: the whole attribute, by index. */
  readonly constants: readonly (ConstantAttribute | undefined)[];
}

/** Flags whose meaning is an extra attribute that only the record's way writes. */
const UNUSUAL_FLAGS = FrameFlag.PATH_AT_EXIT | FrameFlag.TRUNCATED | FrameFlag.ENTRY_ONLY;

function compile(
  mappings: readonly FieldMapping[],
  slots: Readonly<Record<string, AttributeSlot>>,
  fields: readonly FrameField[],
): Step[] {
  return mappings.flatMap(({ member, values }) => {
    const field = fields.find((candidate) => candidate.member === member);
    const slot = slots[member];
    if (field === undefined || slot === undefined) return [];
    const constants =
      field.kind === "choice"
        ? field.choices.map((choice) => constantAttribute(slot, values?.[choice] ?? choice))
        : [];
    return [{ field, slot, constants }];
  });
}

/** Steps that follow each other; with a cache, when a range of the frame decides all of them. */
interface Part {
  readonly steps: readonly Step[];
  readonly slots: readonly AttributeSlot[];
  readonly cache: SegmentCache | undefined;
}

function compileType(type: FrameEventType): readonly Part[] {
  const { record, event, recurring } = FRAME_FIELDS[type];
  const steps = [
    ...compile(recordFields, recordSlots, record),
    ...compile(eventFields[type], eventSlots[type], event),
  ];
  const parts: { range: RecurringFields | undefined; steps: Step[] }[] = [];
  for (const step of steps) {
    const range = recurring.find(({ members }) => members.includes(step.field.member));
    const last = parts.at(-1);
    if (last !== undefined && last.range === range) last.steps.push(step);
    else parts.push({ range, steps: [step] });
  }
  return parts.map(({ range, steps: own }) => ({
    steps: own,
    slots: own.map(({ slot }) => slot),
    cache: range && new SegmentCache(range.beginOffset, range.endOffset),
  }));
}

const PLANS: Readonly<Record<FrameEventType, readonly Part[]>> = {
  file_open: compileType("file_open"),
  process_exec: compileType("process_exec"),
  tcp_state: compileType("tcp_state"),
  net_connect: compileType("net_connect"),
  ssl_op: compileType("ssl_op"),
  function_call: compileType("function_call"),
};

const ATTRIBUTIONS: Readonly<Record<number, ConstantAttribute>> = {
  [SocketAttribution.CURRENT]: constantAttribute(extensionSlots.attribution, "current"),
  [SocketAttribution.OWNER]: constantAttribute(extensionSlots.attribution, "owner"),
};

/**
 * Writes the frame at `start`, which `checkEventFrame` has found sound, as one log record.
 * @returns false, with nothing written, when the frame is not plain and must go by way of its record.
 */
export function encodeFrame(
  type: FrameEventType,
  buffer: Buffer,
  start: number,
  sequence: number,
  writer: LogRecordWriter,
  context: EncodeContext,
): boolean {
  const parts = PLANS[type];
  if ((frameFlags(buffer, start) & UNUSUAL_FLAGS) !== 0) return false;
  const { frames } = context;
  if (type === "function_call" && frames.stackSymbols.knows(buffer, start)) return false;
  const { clock } = frames;
  const boot = start + BOOT_NS_OFFSET;
  clock.toWall(buffer.readUInt32LE(boot), buffer.readUInt32LE(boot + 4));
  const level = type === "net_connect" && connectFailed(buffer, start) ? severity.warn : severity.info;
  writer.begin(type, clock.lo, clock.hi, context.observedLo, context.observedHi, level);
  for (const part of parts) {
    const segment = part.cache?.find(buffer, start);
    if (segment !== undefined) writer.repeat(segment);
    else if (!writePart(part, buffer, start, writer, frames)) {
      writer.abort();
      return false;
    }
  }
  writeBeyondRecord(type, buffer, start, writer);
  writer.uid(context.streamId, sequence);
  writer.end();
  return true;
}

/** Writes a part and remembers it; false when a text in it is not plain. */
function writePart(
  { steps, slots, cache }: Part,
  buffer: Buffer,
  start: number,
  writer: LogRecordWriter,
  frames: FrameContext,
): boolean {
  const from = writer.position;
  for (const step of steps) if (!writeStep(step, buffer, start, writer, frames)) return false;
  cache?.put(buffer, start, writer.segment(from, slots));
  return true;
}

/** Writes one attribute, or none where the frame does not have it; false when its text is not plain. */
function writeStep(
  { field, slot, constants }: Step,
  buffer: Buffer,
  start: number,
  writer: LogRecordWriter,
  frames: FrameContext,
): boolean {
  if ("when" in field && field.when?.(buffer, start, frames) === false) return true;
  switch (field.kind) {
    case "int": {
      const value = field.read(buffer, start, frames);
      writer.integer(slot, value, value < 0 ? -1 : 0);
      return true;
    }
    case "u64":
      writeU64(slot, buffer, start + field.offset, writer);
      return true;
    case "time":
      if (frames.clock.type === "boot") writeU64(slot, buffer, start + field.offset, writer);
      else writer.unsigned(slot, frames.clock.lo, frames.clock.hi);
      return true;
    case "bool":
      writer.boolean(slot, field.read(buffer, start, frames));
      return true;
    case "bytes":
      return writer.ascii(slot, buffer, field.begin(buffer, start, frames), field.end(buffer, start, frames));
    case "choice": {
      const constant = constants[field.index(buffer, start, frames)];
      if (constant !== undefined) writer.constant(constant);
      return true;
    }
    case "text": {
      if (field.isPlain?.(buffer, start, frames) === false) return false;
      const text = field.read(buffer, start, frames);
      if (text !== undefined) writer.text(slot, text);
      return true;
    }
    case "texts": {
      const texts = field.read(buffer, start, frames);
      if (texts !== undefined) writer.textArray(slot, texts);
      return true;
    }
  }
}

function writeU64(slot: AttributeSlot, buffer: Buffer, at: number, writer: LogRecordWriter): void {
  writer.unsigned(slot, buffer.readUInt32LE(at), buffer.readUInt32LE(at + 4));
}

/** Projections and extensions, in the order in which `encodeRecord` writes them. */
function writeBeyondRecord(
  type: FrameEventType,
  buffer: Buffer,
  start: number,
  writer: LogRecordWriter,
): void {
  if (type === "tcp_state") {
    const state = connectionStateAttributes.get(TCP_STATE_NAMES[tcpNewState(buffer, start)] ?? "");
    if (state !== undefined) writer.constant(state);
    const attribution = ATTRIBUTIONS[tcpAttribution(buffer, start)];
    if (attribution !== undefined) writer.constant(attribution);
  } else if (type === "net_connect" && connectFailed(buffer, start)) {
    writer.text(errorTypeSlot, errorType(connectError(buffer, start)));
  }
  const namespacePid = frameNamespacePid(buffer, start);
  if (namespacePid !== framePid(buffer, start)) writer.integer(extensionSlots.namespacePid, namespacePid, 0);
  if (type === "process_exec") {
    writeU64(extensionSlots.startTime, buffer, start + START_BOOT_NS_OFFSET, writer);
  }
}
