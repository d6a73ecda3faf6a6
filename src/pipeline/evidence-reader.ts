/**
 * v1 records as they are stored, read and validated.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseEvidenceJson } from "../evidence/json.ts";
import { createValidator, type Validation } from "../evidence/validator.ts";

/** Reads the JSON text of one record. What is wrong with it is in the result; nothing is thrown. */
export type EvidenceReader = (text: Buffer) => Validation;

export function createEvidenceReader(): EvidenceReader {
  const validate = createValidator();
  return (text) => {
    if (!isUtf8(text)) return { valid: false, errors: ["not UTF-8"] };
    try {
      return validate(parseEvidenceJson(text.toString(isAscii(text) ? "latin1" : "utf8")));
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
