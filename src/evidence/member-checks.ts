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
  /** The members of `event`; `type` is not among `members`. Compiled when it is first asked for. */
  event(type: EventType): ObjectChecks;
}

type Schema = Readonly<Record<string, unknown>>;

const recordKeywords = ["$schema", "$id", "$defs", "title", "description", "type", "required", "properties"];
/** Keywords that check nothing. */
const annotations = new Set(["description", "examples", "title"]);

export function createMemberChecks(): MemberChecks {
  const schema = readSchema();
  const definitions = schema.$defs as Readonly<Record<EventType, Schema>>;
  const compile = compiler();
  const events = new Map<EventType, ObjectChecks>();
  return {
    top: compileObject(schema, "event", [...recordKeywords, "examples"], compile),
    event(type) {
      const known = events.get(type) ?? compileObject(definitions[type], "type", recordKeywords, compile);
      events.set(type, known);
      return known;
    },
  };
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
  const { [apart]: _, ...members } = schema.properties as Readonly<Record<string, Schema>>;
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
    const checks = Object.fromEntries(
      Object.entries(member).filter(([keyword]) => !annotations.has(keyword)),
    );
    const key = JSON.stringify(checks);
    const check = compiled.get(key) ?? memberCheck(ajv.compile(checks));
    compiled.set(key, check);
    return check;
  };
}

function memberCheck(validate: ValidateFunction): MemberCheck {
  return (value) => validate(typeof value === "bigint" ? nearbyNumber(value) : value);
}
