/**
 * The v1 schema member by member: for who has the members of a record one at a time and builds no record. A
 * record whose members all pass is what the whole schema takes, because the schema says of a record only which
 * members it needs and what each of them is; should it ever say more, compiling fails.
 */
import type { ValidateFunction } from "ajv";
import type { EventType } from "./record.ts";
import { createAjv, nearbyNumber, readSchema } from "./schema.ts";

/** Whether the schema allows the value: text, a boolean, an integer or an array of such. */
export type MemberCheck = (value: unknown) => boolean;

export interface ObjectChecks {
  readonly members: Readonly<Record<string, MemberCheck>>;
  readonly required: readonly string[];
}

export interface MemberChecks {
  /** The members at the top of a record; `event` is not among `members`. */
  readonly top: ObjectChecks;
  /** The members of `event`; `type` is not among `members`. Compiled when asked for; keep them. */
  event(type: EventType): ObjectChecks;
}

type Schema = Readonly<Record<string, unknown>>;

const recordKeywords = ["$schema", "$id", "$defs", "title", "description", "type", "required", "properties"];
/** Keywords that check nothing. */
const annotations = new Set(["description", "examples", "title"]);

/** Throws when `schema` says of a record what is not of one member. */
export function createMemberChecks(schema: Schema = readSchema()): MemberChecks {
  const definitions = schema.$defs as Readonly<Record<EventType, Schema>>;
  requireEventByType(schema, definitions);
  const compile = compiler();
  return {
    top: compileObject(schema, "event", [...recordKeywords, "examples"], compile),
    event: (type) => compileObject(definitions[type], "type", recordKeywords, compile),
  };
}

/** Whether `event` is right must depend on nothing but its own type's definition, which its type alone chooses. */
function requireEventByType(schema: Schema, definitions: Readonly<Record<string, Schema>>): void {
  const event = { oneOf: Object.keys(definitions).map((type) => ({ $ref: `#/$defs/${type}` })) };
  const isByType =
    checksOf(propertiesOf(schema).event) === JSON.stringify(event) &&
    Object.entries(definitions).every(
      ([type, definition]) =>
        checksOf(propertiesOf(definition).type) === JSON.stringify({ const: type }) &&
        (definition.required as readonly string[]).includes("type"),
    );
  if (!isByType) throw new Error("the v1 schema says more of an event than its type and its members");
}

const propertiesOf = (schema: Schema): Readonly<Record<string, Schema>> =>
  schema.properties as Readonly<Record<string, Schema>>;

/** What of a schema checks anything, as JSON. */
function checksOf(schema: Schema | undefined): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(schema ?? {}).filter(([keyword]) => !annotations.has(keyword))),
  );
}

/** All members but the one that is checked by how the rest is chosen. */
function compileObject(
  schema: Schema,
  apart: string,
  keywords: readonly string[],
  compile: (member: Schema) => MemberCheck,
): ObjectChecks {
  const unknown = Object.keys(schema).find((keyword) => !keywords.includes(keyword));
  if (unknown !== undefined) throw new Error(`the v1 schema has ${unknown}, which is not of one member`);
  const { [apart]: _, ...members } = propertiesOf(schema);
  return {
    members: Object.fromEntries(Object.entries(members).map(([name, member]) => [name, compile(member)])),
    required: schema.required as readonly string[],
  };
}

/** Compiles each schema once: most members are one of a few. */
function compiler(): (member: Schema) => MemberCheck {
  const ajv = createAjv(false);
  const compiled = new Map<string, MemberCheck>();
  return (member) => {
    const key = checksOf(member);
    const check = compiled.get(key) ?? memberCheck(ajv.compile(JSON.parse(key) as Schema));
    compiled.set(key, check);
    return check;
  };
}

function memberCheck(validate: ValidateFunction): MemberCheck {
  return (value) => validate(typeof value === "bigint" ? nearbyNumber(value) : value);
}
