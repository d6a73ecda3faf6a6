/**
 * The v1 schema read keyword by keyword, with exact integers: slow, and independent of ajv, which has no bigint.
 * It knows the keywords that the schema has and fails on any other.
 */
import { readFileSync } from "node:fs";
import { fullFormats } from "ajv-formats/dist/formats.js";
import type { JsonValue } from "../../src/evidence/record.ts";

type Keyword = (expected: never, value: JsonValue, root: Schema) => boolean;
type Schema = Readonly<Record<string, unknown>>;
type Members = Readonly<Record<string, JsonValue>>;

const isObject = (value: JsonValue): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value: JsonValue): value is number | bigint =>
  typeof value === "number" || typeof value === "bigint";

const types: Readonly<Record<string, (value: JsonValue) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  integer: (value) => typeof value === "bigint" || Number.isInteger(value),
};

const keywords: Readonly<Record<string, Keyword>> = {
  type: (name: string, value) => types[name]?.(value) === true,
  const: (constant: string, value) => value === constant,
  enum: (choices: readonly string[], value) => choices.includes(value as string),
  minimum: (limit: number, value) => !isNumber(value) || value >= limit,
  maximum: (limit: number, value) => !isNumber(value) || value <= limit,
  maxLength: (limit: number, value) => typeof value !== "string" || [...value].length <= limit,
  pattern: (source: string, value) => typeof value !== "string" || new RegExp(source, "u").test(value),
  format: (name: "ipv4" | "ipv6", value) =>
    typeof value !== "string" || (fullFormats[name] as RegExp).test(value),
  required: (names: readonly string[], value) =>
    !isObject(value) || names.every((name) => Object.hasOwn(value, name)),
  properties: (schemas: Readonly<Record<string, Schema>>, value, root) =>
    !isObject(value) ||
    Object.entries(schemas).every(
      ([name, schema]) => !Object.hasOwn(value, name) || satisfies(schema, value[name] as JsonValue, root),
    ),
  items: (schema: Schema, value, root) =>
    !Array.isArray(value) || value.every((item) => satisfies(schema, item, root)),
  oneOf: (schemas: readonly Schema[], value, root) =>
    schemas.filter((schema) => satisfies(schema, value, root)).length === 1,
  $ref: (pointer: string, value, root) => {
    const target = pointer
      .slice(2)
      .split("/")
      .reduce<unknown>((part, name) => (part as Schema)[name], root);
    return satisfies(target as Schema, value, root);
  },
};
const annotations = new Set(["$schema", "$id", "$defs", "title", "description", "examples"]);

function satisfies(schema: Schema, value: JsonValue, root: Schema): boolean {
  return Object.entries(schema).every(([name, expected]) => {
    if (annotations.has(name)) return true;
    const keyword = keywords[name];
    if (keyword === undefined) throw new Error(`the schema has a keyword that is not known here: ${name}`);
    return keyword(expected as never, value, root);
  });
}

const root = JSON.parse(
  readFileSync(new URL("../../schema/runtime-evidence-v1.schema.json", import.meta.url), "utf8"),
) as Schema;

/** Whether the schema allows the value, formats asserted. */
export function schemaAllows(value: JsonValue): boolean {
  return satisfies(root, value, root);
}
