/**
 * v1 records as they are stored, read and validated.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseEvidenceJson } from "../evidence/json.ts";
import { RecordShapes } from "../evidence/record-shapes.ts";
import { createValidator, type Validation } from "../evidence/validator.ts";

/** Reads the JSON text of one record. What is wrong with it is in the result; nothing is thrown. */
export type EvidenceReader = (text: Buffer) => Validation;

export function createEvidenceReader(): EvidenceReader {
  const validate = createValidator();
  const shapes = new RecordShapes();
  return (text) => {
    const expected = shapes.read(text);
    if (expected !== undefined) return validate(expected);
    if (!isUtf8(text)) return { valid: false, errors: ["not UTF-8"] };
    try {
      const json = text.toString(isAscii(text) ? "latin1" : "utf8");
      const value = parseEvidenceJson(json);
      shapes.learn(json);
      return validate(value);
    } catch (thrown) {
      const error = RuntimeEvidenceError.from(thrown);
      if (error.code !== "bad-input") throw error;
      return { valid: false, errors: [error.message] };
    }
  };
}

/** The text of a record as one line, whatever its layout was: newlines in JSON only stand between tokens. */
export function oneLine(text: Buffer): Buffer {
  if (!text.includes(0x0a) && !text.includes(0x0d)) return text;
  return Buffer.from(text.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte)));
}
