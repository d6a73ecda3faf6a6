/**
 * `validate`: v1 NDJSON against the schema.
 */
import { readLines } from "../convert/lines.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseEvidenceJson } from "../evidence/json.ts";
import { createValidator } from "../evidence/validator.ts";
import { type LineWriter, openLineWriter } from "./line-writer.ts";

/** A record of v1 is far smaller; a longer line is something else. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

export interface ValidateResult {
  valid: number;
  invalid: number;
}

/**
 * Checks every line of each file ("-" is standard input). `report` gets one line for each that is not valid:
 * file, line number and reason. `rejectsPath` gets those lines as they stand.
 */
export async function validate(
  files: readonly string[],
  report: (line: string) => void,
  rejectsPath?: string,
): Promise<ValidateResult> {
  const rejects = rejectsPath === undefined ? undefined : await openLineWriter(rejectsPath);
  const check = createLineCheck();
  const result = { valid: 0, invalid: 0 };
  for (const file of files) {
    const source = file === "-" ? process.stdin : file;
    const name = file === "-" ? "standard input" : file;
    for await (const items of readLines(source, { lineBytesMax: LINE_BYTES_MAX })) {
      for (const item of items) {
        const problem =
          item.kind === "overlong"
            ? `longer than ${LINE_BYTES_MAX} bytes (${item.byteCount})`
            : check(item.bytes);
        if (problem === undefined) {
          result.valid++;
          continue;
        }
        result.invalid++;
        report(`${name}:${item.number}: ${problem}`);
        if (item.kind === "line") reject(rejects, item.bytes);
      }
      await rejects?.ready();
    }
  }
  await rejects?.close();
  return result;
}

function createLineCheck(): (bytes: Buffer) => string | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const validator = createValidator();
  return (bytes) => {
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      return "not UTF-8";
    }
    try {
      const validation = validator(parseEvidenceJson(text));
      return validation.valid ? undefined : validation.errors.join("; ");
    } catch (error) {
      return RuntimeEvidenceError.from(error).message;
    }
  };
}

function reject(rejects: LineWriter | undefined, bytes: Buffer): void {
  rejects?.line(bytes.toString("utf8"));
}
