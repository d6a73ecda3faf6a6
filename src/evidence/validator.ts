/** Validates records against `schema/runtime-evidence-v1.schema.json`. */
import type { ErrorObject, ValidateFunction } from "ajv";
import type { EvidenceRecord, JsonValue } from "./record.ts";
import { createAjv, nearbyNumber, readSchema } from "./schema.ts";

/** `errors` has one line for each thing that is wrong: a JSON pointer and what it must be. */
export type Validation =
  | { readonly valid: true; readonly record: EvidenceRecord }
  | { readonly valid: false; readonly errors: readonly string[] };

export type Validator = (value: JsonValue) => Validation;

/** Lines of one validation; a record with more wrong members is not understood better by more lines. */
const errorsMax = 20;
/** Longest member name that is shown; names come from the input. */
const pointerCharactersMax = 120;

/** Compiles the schema, which takes some 50 ms; keep the validator. */
export function createValidator(): Validator {
  const schema = readSchema();
  const validate = createAjv(false).compile(schema);
  let explain: ValidateFunction | undefined;
  return (value) => {
    const proxied = numbersOnly(value);
    if (validate(proxied)) return { valid: true, record: value as unknown as EvidenceRecord };
    explain ??= createAjv(true).compile(schema);
    explain(proxied);
    return { valid: false, errors: describe(explain.errors ?? [], value) };
  };
}

/**
 * ajv takes no bigint for an integer. The members that v1 constrains stand at the top and in `event`, so only
 * these two levels are copied, and only when they hold a bigint.
 */
function numbersOnly(value: JsonValue): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const record = shallowNumbers(value as Readonly<Record<string, JsonValue>>);
  const event = record.event as JsonValue | undefined;
  if (typeof event !== "object" || event === null || Array.isArray(event)) return record;
  const proxied = shallowNumbers(event as Readonly<Record<string, JsonValue>>);
  return proxied === event ? record : { ...record, event: proxied };
}

function shallowNumbers(value: Readonly<Record<string, JsonValue>>): Readonly<Record<string, unknown>> {
  let copy: Record<string, unknown> | undefined;
  for (const member in value) {
    const part = value[member];
    if (typeof part !== "bigint") continue;
    copy ??= { ...value };
    copy[member] = nearbyNumber(part);
  }
  return copy ?? value;
}

/** `oneOf` reports every branch; only the branch of the event's own type says something to a person. */
function describe(errors: readonly ErrorObject[], value: JsonValue): string[] {
  const type = (value as { event?: { type?: unknown } } | null)?.event?.type;
  const own = errors.filter(({ schemaPath }) => schemaPath.includes(`/$defs/${String(type)}/`));
  const general = errors.filter(
    ({ schemaPath }) => !schemaPath.includes("/$defs/") && schemaPath !== "#/properties/event/oneOf",
  );
  const lines = [
    ...general,
    ...own.filter(({ keyword, schemaPath }) => keyword === "oneOf" || !schemaPath.includes("/oneOf/")),
  ];
  const texts = lines.map(describeOne);
  if (texts.length === 0) texts.push("/event/type must be the type of an event of v1");
  return [...new Set(texts)].slice(0, errorsMax);
}

function describeOne({ instancePath, keyword, message, params }: ErrorObject): string {
  const pointer = printable(instancePath) || "/";
  if (keyword === "oneOf") return `${pointer} must be an IPv4 or IPv6 address`;
  if (keyword === "enum") return `${pointer} must be one of ${params.allowedValues.join(", ")}`;
  return `${pointer} ${message}`;
}

function printable(text: string): string {
  return text.slice(0, pointerCharactersMax).replace(/[^\x20-\x7e]/g, "?");
}
