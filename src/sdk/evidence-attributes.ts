/**
 * A v1 record as attributes of OpenTelemetry's SDK, by the same table and in the same order as on our own wire.
 * Values of the SDK have no 64-bit integers: one beyond 2^53 goes as decimal text, as OpenTelemetry's
 * attribute-type-mapping.md wants for integers that a type cannot hold.
 */
import type { Attributes } from "@opentelemetry/api";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Extensions } from "../evidence/extensions.ts";
import type { EventType, EvidenceRecord, JsonValue } from "../evidence/record.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_LOG_RECORD_UID,
  ATTR_NETWORK_CONNECTION_STATE,
  ATTR_RUNTIME_EVIDENCE_RESIDUAL,
} from "../otlp/attributes.gen.ts";
import {
  eventFields,
  eventTypeKey,
  extensionFields,
  type FieldMapping,
  isEventType,
  recordFields,
  resourceFields,
} from "../otlp/mapping.ts";
import { connectionStates, errorType, fixedAttributes } from "../otlp/projection.ts";
import { isExactText, Residual } from "../otlp/residual.ts";

/** An attribute value that a field of the mapping table can have. */
type FieldValue = string | number | boolean | string[];
/** Members not dealt with yet. */
type Members = Record<string, JsonValue | undefined>;

export interface EvidenceAttributes {
  readonly type: EventType;
  /** Of the log record. */
  readonly attributes: Attributes;
  /** Of the Resource: container and image as v1 has them; empty for a record without. */
  readonly container: Attributes;
}

/** Throws RuntimeEvidenceError `bad-input` when the event has no type of v1. */
export function evidenceAttributes(
  record: EvidenceRecord,
  uid: string,
  extensions: Extensions = {},
): EvidenceAttributes {
  const type = (record as Partial<EvidenceRecord> | undefined)?.event?.type;
  if (!isEventType(type)) throw new RuntimeEvidenceError("bad-input", "/event/type is not of v1");
  const top: Members = { ...record, event: undefined } as unknown as Members;
  const event: Members = { ...record.event, type: undefined } as unknown as Members;
  const residual = new Residual();
  const container = takeContainer(top);
  const attributes: Attributes = { [eventTypeKey]: type };
  for (const [key, value] of fixedAttributes[type] ?? []) attributes[key] = value;
  takeFields(recordFields, top, attributes, (member, value) => residual.addTop(member, value));
  takeFields(eventFields[type], event, attributes, (member, value) => residual.addEvent(member, value));
  for (const [member, value] of Object.entries(top)) if (value !== undefined) residual.addTop(member, value);
  for (const [member, value] of Object.entries(event)) {
    if (value !== undefined) residual.addEvent(member, value);
  }
  addProjections(record, attributes);
  takeFields(extensionFields, { ...extensions } as Members, attributes, () => {});
  attributes[ATTR_LOG_RECORD_UID] = uid;
  const text = residual.toText();
  if (text !== undefined) attributes[ATTR_RUNTIME_EVIDENCE_RESIDUAL] = text;
  return { type, attributes, container };
}

/** Takes what the Resource can carry; a name that no attribute holds exactly stays for the residual. */
function takeContainer(top: Members): Attributes {
  const container: Attributes = {};
  for (const { member, key } of resourceFields) {
    const value = top[member];
    if (typeof value !== "string" || !isExactText(value)) continue;
    container[key] = value;
    top[member] = undefined;
  }
  return container;
}

/** Takes the members of `fields`, and gives to `leftOver` what its attribute doesn't hold exactly. */
function takeFields(
  fields: readonly FieldMapping[],
  members: Members,
  attributes: Attributes,
  leftOver: (member: string, value: JsonValue) => void,
): void {
  for (const field of fields) {
    const value = members[field.member];
    if (value === undefined) continue;
    members[field.member] = undefined;
    const shown = fieldValue(field, value);
    if (shown !== undefined) attributes[field.key] = shown;
    if (shown === undefined || !isExact(field, shown)) leftOver(field.member, value);
  }
}

/** What an attribute can show of a value; nothing for a value of another type than the schema's. */
function fieldValue({ type, values }: FieldMapping, value: JsonValue): FieldValue | undefined {
  switch (type) {
    case "integer":
      if (typeof value === "bigint") return String(value);
      if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
      return Number.isSafeInteger(value) ? value + 0 : String(BigInt(value));
    case "string":
      if (typeof value !== "string") return undefined;
      if (values === undefined) return value.toWellFormed();
      return Object.hasOwn(values, value) ? values[value] : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "string-array":
      if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) return undefined;
      return value.map((item: string) => item.toWellFormed());
  }
}

/** Text may be none that every backend gives back; a replaced lone surrogate is U+FFFD, which is none either. */
function isExact({ type }: FieldMapping, shown: FieldValue): boolean {
  if (type === "string") return isExactText(shown as string);
  return type !== "string-array" || (shown as string[]).every(isExactText);
}

function addProjections({ event }: EvidenceRecord, attributes: Attributes): void {
  if (event.type === "tcp_state") {
    if (!Object.hasOwn(connectionStates, event.newstate)) return;
    attributes[ATTR_NETWORK_CONNECTION_STATE] = connectionStates[event.newstate] as string;
  } else if (event.type === "net_connect" && event.success === false) {
    attributes[ATTR_ERROR_TYPE] = errorType(event.error);
  }
}
