/**
 * The residual: what of a record no attribute holds exactly, as an overlay in the record's own shape. It is
 * JSON in ASCII, because backends replace or drop other characters.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseEvidenceJson, stringifyEvidence } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";

export type JsonObject = Record<string, JsonValue>;

/** Sets an own member also when it is called `__proto__`, which plain assignment would not. */
export function setMember(target: JsonObject, member: string, value: JsonValue): void {
  if (member !== "__proto__") target[member] = value;
  else Object.defineProperty(target, member, { value, configurable: true, enumerable: true, writable: true });
}

/** Whether an attribute can hold the text and give it back from any backend. */
export function isExactText(text: string): boolean {
  return plainText.test(text) || (text !== "" && !/[\0\uFFFD]/.test(text) && text.isWellFormed());
}

const plainText = /^[\x01-\x7f]+$/;

/** Collects what is left over while a record is written. */
export class Residual {
  #top: JsonObject | undefined;
  #event: JsonObject | undefined;

  addTop(member: string, value: JsonValue): void {
    this.#top ??= {};
    setMember(this.#top, member, value);
  }

  addEvent(member: string, value: JsonValue): void {
    this.#event ??= {};
    setMember(this.#event, member, value);
  }

  /** The attribute's value; nothing when nothing is left over. */
  toText(): string | undefined {
    if (this.#top === undefined && this.#event === undefined) return undefined;
    const overlay: JsonObject = this.#event === undefined ? {} : { event: this.#event };
    const text = stringifyEvidence({ ...overlay, ...this.#top });
    return text.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
}

/** Puts a residual over a record that was rebuilt from attributes. Throws `bad-input` when it is no overlay. */
export function applyResidual(text: string, record: JsonObject, event: JsonObject): void {
  const overlay = parseOverlay(text);
  for (const [member, value] of Object.entries(asObject(overlay))) {
    if (member !== "event") setMember(record, member, value);
    else for (const [inner, part] of Object.entries(asObject(value))) setMember(event, inner, part);
  }
}

function parseOverlay(text: string): JsonValue {
  try {
    return parseEvidenceJson(text);
  } catch (cause) {
    const { message } = RuntimeEvidenceError.from(cause);
    throw new RuntimeEvidenceError("bad-input", `runtime_evidence.residual is cut or changed: ${message}`, {
      cause,
    });
  }
}

function asObject(value: JsonValue): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new RuntimeEvidenceError("bad-input", "runtime_evidence.residual is not a JSON object");
}
