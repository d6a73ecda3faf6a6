/**
 * The v1 JSON of a log record, straight from its attributes: what `toEvidence`, the validator and
 * `stringifyEvidence` come to, for the records that need none of their care. These are nearly all, and
 * take a third of the time this way; of any other nothing is said, and the long way says what it is.
 */
import { jsonString } from "../evidence/json-string.ts";
import { createMemberChecks, type MemberCheck, type ObjectChecks } from "../evidence/member-checks.ts";
import type { EventType } from "../evidence/record.ts";
import type { AnyValue, AttributeMap } from "./any-value.ts";
import { ATTR_RUNTIME_EVIDENCE_RESIDUAL } from "./attributes.gen.ts";
import { DecodedAttributes, slotOf } from "./decoded-attributes.ts";
import type { DecodedLogRecord } from "./decoded-log-record.ts";
import {
  eventFields,
  eventTypeKey,
  type FieldMapping,
  fieldsAfterContainer,
  fieldsBeforeContainer,
  isEventType,
  resourceFields,
} from "./mapping.ts";

/** The v1 record of a log record as one line without its end; nothing where only the long way can tell. */
export type EvidenceLineWriter = (decoded: DecodedLogRecord) => string | undefined;

/** Longer texts are not remembered: they seldom come again, and could be as long as a request. */
const lastCharactersMax = 256;

type Slots = readonly (AnyValue | undefined)[];

const typeSlot = slotOf(eventTypeKey);
const residualSlot = slotOf(ATTR_RUNTIME_EVIDENCE_RESIDUAL);
const resourceSlots = resourceFields.map(({ key }) => slotOf(key));

/** Compiles what of the schema it needs, each event type when it first comes. Keep the writer. */
export function createEvidenceLineWriter(): EvidenceLineWriter {
  const checks = createMemberChecks();
  const before = new Members(fieldsBeforeContainer, checks.top);
  const container = new Members(resourceFields, checks.top);
  const after = new Members(fieldsAfterContainer, checks.top);
  const events = new Map<EventType, Members>();
  const eventMembers = (type: EventType): Members => {
    const members = new Members(eventFields[type], checks.event(type));
    events.set(type, members);
    return members;
  };
  let lastResource: AttributeMap | undefined;
  let lastContainer: string | undefined;
  return ({ attributes, resource, droppedAttributesCount }) => {
    if (!(attributes instanceof DecodedAttributes)) return undefined;
    const { slots } = attributes;
    if (slots === undefined || droppedAttributesCount + resource.droppedAttributesCount > 0) return undefined;
    const type = slots[typeSlot];
    if (!isEventType(type) || slots[residualSlot] !== undefined || hasContainer(slots)) return undefined;
    if (lastResource !== resource.attributes) {
      lastResource = resource.attributes;
      lastContainer = containerText(container, lastResource);
    }
    const first = before.text(slots);
    const last = after.text(slots);
    const event = (events.get(type) ?? eventMembers(type)).text(slots);
    if (first === undefined || last === undefined || event === undefined || lastContainer === undefined) {
      return undefined;
    }
    // Each member comes with a comma before it.
    return `{${first.slice(1)}${lastContainer}${last},"event":{"type":"${type}"${event}}}`;
  };
}

/** A Logger of OpenTelemetry's SDK puts the container among the attributes of a record. */
function hasContainer(slots: Slots): boolean {
  for (const slot of resourceSlots) if (slots[slot] !== undefined) return true;
  return false;
}

function containerText(container: Members, attributes: AttributeMap): string | undefined {
  if (!(attributes instanceof DecodedAttributes)) return undefined;
  return attributes.slots === undefined ? "" : container.text(attributes.slots);
}

/** Members that stand side by side, written in order with a comma before each. */
class Members {
  readonly #members: readonly Member[];

  constructor(fields: readonly FieldMapping[], { members, required }: ObjectChecks) {
    this.#members = fields.map(
      (field) => new Member(field, members[field.member] as MemberCheck, required.includes(field.member)),
    );
  }

  /** Nothing when a member is missing, or is not plainly what it must be. */
  text(slots: Slots): string | undefined {
    let text = "";
    for (const member of this.#members) {
      const value = slots[member.slot];
      if (value !== undefined) {
        const part = member.text(value);
        if (part === undefined) return undefined;
        text += part;
      } else if (member.required) return undefined;
    }
    return text;
  }
}

/** One member, which remembers its last short text: of most members the next value is the same again. */
class Member {
  readonly slot: number;
  readonly required: boolean;
  readonly #field: FieldMapping;
  readonly #check: MemberCheck;
  readonly #start: string;
  /** v1 value by attribute value, where they differ. */
  readonly #values: ReadonlyMap<AnyValue, string> | undefined;
  #lastValue: AnyValue | undefined;
  #lastText: string | undefined;

  constructor(field: FieldMapping, check: MemberCheck, required: boolean) {
    this.slot = slotOf(field.key);
    this.required = required;
    this.#field = field;
    this.#check = check;
    this.#start = `,${JSON.stringify(field.member)}:`;
    this.#values =
      field.values && new Map(Object.entries(field.values).map(([member, attribute]) => [attribute, member]));
  }

  text(value: AnyValue): string | undefined {
    if (value === this.#lastValue) return this.#lastText;
    const json = this.#json(value);
    const text = json === undefined ? undefined : this.#start + json;
    if (typeof value === "object" || (typeof value === "string" && value.length > lastCharactersMax))
      return text;
    this.#lastValue = value;
    this.#lastText = text;
    return text;
  }

  #json(value: AnyValue): string | undefined {
    const { type } = this.#field;
    if (type === "integer") {
      const isInteger = typeof value === "number" || typeof value === "bigint";
      return isInteger && this.#check(value) ? String(value) : undefined;
    }
    const member = this.#values === undefined ? value : this.#values.get(value);
    const isOfType = type === "string-array" ? Array.isArray(member) : typeof member === type;
    if (!isOfType || !this.#check(member)) return undefined;
    return typeof member === "string" ? jsonString(member) : JSON.stringify(member);
  }
}
