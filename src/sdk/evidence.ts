/**
 * Records in and out for programs: lossless JSON and validation, without having to know which module does it.
 */
import { parseEvidenceJson, stringifyEvidence } from "../evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../evidence/record.ts";
import { createValidator, type Validation, type Validator } from "../evidence/validator.ts";

/**
 * Parses one JSON text with integers of any size exact: a `number` where it is a safe integer, a `bigint` where
 * it is not. The value isn't validated. Throws RuntimeEvidenceError `bad-input`.
 */
export function parse(text: string): JsonValue {
  return parseEvidenceJson(text);
}

/** JSON of a record or any JSON value on one line, a `bigint` as the integer it is. */
export function stringify(value: EvidenceRecord | JsonValue): string {
  return stringifyEvidence(value as JsonValue);
}

let validator: Validator | undefined;

/**
 * Whether a value is a Runtime Evidence v1 record, formats asserted, and if not, why: a JSON pointer and what
 * must stand there, at most 20 lines. The first call prepares the validator, which takes some 50 ms.
 */
export function validate(value: EvidenceRecord | JsonValue): Validation {
  validator ??= createValidator();
  return validator(value as JsonValue);
}
