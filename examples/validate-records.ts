/**
 * Checks Runtime Evidence v1 records, one a line, and prints the valid ones again. Integers keep every digit.
 *
 *   node examples/validate-records.ts evidence.ndjson
 */
import { readFileSync } from "node:fs";
import { parse, RuntimeEvidenceError, stringify, validate } from "runtime-evidence";

const [file = "evidence.ndjson"] = process.argv.slice(2);
const lines = readFileSync(file, "utf8").split("\n");

for (const [index, line] of lines.entries()) {
  if (line === "") continue;
  try {
    const result = validate(parse(line));
    if (result.valid) console.log(stringify(result.record));
    else console.error(`line ${index + 1}: ${result.errors.join("; ")}`);
  } catch (error) {
    if (!(error instanceof RuntimeEvidenceError)) throw error;
    console.error(`line ${index + 1}: ${error.message}`);
  }
}
