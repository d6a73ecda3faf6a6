/**
 * The mapping table compiled for writing: for each attribute the bytes that are the same in every record.
 */
import type { EventType } from "../evidence/record.ts";
import { delimitedField, encodeKeyValue, stringField } from "./any-value.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_LOG_RECORD_UID,
  ATTR_NETWORK_CONNECTION_STATE,
  ATTR_RUNTIME_EVIDENCE_RESIDUAL,
} from "./attributes.gen.ts";
import {
  eventFields,
  eventName,
  eventTypeKey,
  eventTypes,
  extensionFields,
  type FieldMapping,
  recordFields,
} from "./mapping.ts";
import { bodyTemplates, connectionStates, fixedAttributes } from "./projection.ts";
import { type ByteBlock, byteBlock } from "./protobuf-writer.ts";

/**
 * ScopeLogs.log_records (field 2), its length, then of LogRecord (logs.proto) time_unix_nano (1) and
 * observed_time_unix_nano (11) as fixed64, severity_number (2).
 */
const recordStart = [0x12, 0, 0, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x59, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0];
/** LogRecord.attributes and LogRecord.event_name. */
const attributesField = 6;
const eventNameField = 12;

/** A place for one attribute of a log record. */
export interface AttributeSlot {
  /** Small, and different for each slot: the writer remembers values by it. */
  readonly index: number;
  readonly key: string;
  /** Whether a body may show the value. */
  readonly inBody: boolean;
  /** The KeyValue up to the length of its value: key field, then the tag of the value field. */
  readonly head: ByteBlock;
}

/** An attribute with a value that is known beforehand, ready to copy. */
export interface ConstantAttribute {
  readonly slot: AttributeSlot;
  readonly block: ByteBlock;
  /** Bytes of the value at the end of the block. */
  readonly valueLength: number;
}

/** A piece of a body, compiled: text, then the value of `slot` if there is one, then text. */
export interface BodyPiece {
  readonly before: ByteBlock;
  readonly slot?: AttributeSlot;
  readonly after: ByteBlock;
}

/** What all records of an event type share. */
export interface EventPlan {
  /**
   * The start of the record as a member of ScopeLogs, with zeros for its length (two bytes), both times and
   * severity, which stand at the same place in every record; then event name, `runtime_evidence.event.type`
   * and the fixed projections.
   */
  readonly block: ByteBlock;
  readonly body: readonly BodyPiece[];
}

let slotCount = 0;

const bodyMembers = new Set(
  Object.values(bodyTemplates)
    .flat()
    .map((part) => (typeof part === "string" ? undefined : part.member)),
);

function createSlot(key: string, member?: string): AttributeSlot {
  const head = Buffer.concat([stringField(1, key), Buffer.from([0x12])]);
  // An integer attribute is then at most 112 + 13 bytes, so that its length is one byte.
  if (head.length > 112) throw new Error(`attribute key too long: ${key}`);
  const inBody = member !== undefined && bodyMembers.has(member);
  return { index: slotCount++, key, inBody, head: byteBlock(head) };
}

type SlotsOf<Fields extends readonly FieldMapping[]> = {
  readonly [Member in Fields[number]["member"]]: AttributeSlot;
};

function createSlots<const Fields extends readonly FieldMapping[]>(fields: Fields): SlotsOf<Fields> {
  return Object.fromEntries(
    fields.map(({ member, key }) => [member, createSlot(key, member)]),
  ) as SlotsOf<Fields>;
}

/** Slots of the members at the top of a record. */
export const recordSlots = createSlots(recordFields);

/** Slots of the members of `event`. */
export const eventSlots = {
  file_open: createSlots(eventFields.file_open),
  process_exec: createSlots(eventFields.process_exec),
  tcp_state: createSlots(eventFields.tcp_state),
  net_connect: createSlots(eventFields.net_connect),
  ssl_op: createSlots(eventFields.ssl_op),
  function_call: createSlots(eventFields.function_call),
} as const satisfies Readonly<Record<EventType, Readonly<Record<string, AttributeSlot>>>>;

export const extensionSlots = createSlots(extensionFields);

export const connectionStateSlot = createSlot(ATTR_NETWORK_CONNECTION_STATE);
export const errorTypeSlot = createSlot(ATTR_ERROR_TYPE);
export const residualSlot = createSlot(ATTR_RUNTIME_EVIDENCE_RESIDUAL);
export const uidSlot = createSlot(ATTR_LOG_RECORD_UID);

/** How many slots there are; no slot is made later. */
export const slotTotal = slotCount;

/** Compiles an attribute whose value is known: an access mode, a probe name, a state. */
export function constantAttribute(slot: AttributeSlot, value: string): ConstantAttribute {
  const bytes = encodeKeyValue(attributesField, slot.key, value);
  return { slot, block: byteBlock(bytes), valueLength: Buffer.byteLength(value) };
}

/** `network.connection.state` by kernel state name; nothing where the conventions have no name. */
export const connectionStateAttributes: ReadonlyMap<string, ConstantAttribute> = new Map(
  Object.entries(connectionStates).map(([state, name]) => [
    state,
    constantAttribute(connectionStateSlot, name),
  ]),
);

function findSlot(type: EventType, member: string): AttributeSlot {
  const slots: Readonly<Record<string, AttributeSlot>> = { ...recordSlots, ...eventSlots[type] };
  const slot = slots[member];
  if (slot === undefined) throw new Error(`body template of ${type} names no member of v1: ${member}`);
  return slot;
}

const textBlock = (text = ""): ByteBlock => byteBlock(Buffer.from(text, "ascii"));

function createPlan(type: EventType): EventPlan {
  const fixed = [[eventTypeKey, type] as const, ...(fixedAttributes[type] ?? [])];
  const block = Buffer.concat([
    Buffer.from(recordStart),
    delimitedField(eventNameField, Buffer.from(eventName(type))),
    ...fixed.map(([key, value]) => encodeKeyValue(attributesField, key, value)),
  ]);
  const body = bodyTemplates[type].map((part) =>
    typeof part === "string"
      ? { before: textBlock(part), after: textBlock() }
      : { before: textBlock(part.before), slot: findSlot(type, part.member), after: textBlock(part.after) },
  );
  return { block: byteBlock(block), body };
}

/** The plan of each event type. */
export const eventPlans = Object.fromEntries(eventTypes.map((type) => [type, createPlan(type)])) as Readonly<
  Record<EventType, EventPlan>
>;
