/**
 * The v1 schema file, and how ajv reads it: formats asserted, because with formats as mere annotations both
 * branches of `daddr` would match, and every tcp_state record would be invalid.
 */
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";

// schema/ is two folders up from src/evidence and from dist/evidence.
const schemaUrl = new URL("../../schema/runtime-evidence-v1.schema.json", import.meta.url);

export function readSchema(): Readonly<Record<string, unknown>> {
  return JSON.parse(readFileSync(schemaUrl, "utf8"));
}

export function createAjv(allErrors: boolean): Ajv2020 {
  // The schema writes `format` beside no `type` (daddr), which is right and which strictTypes warns about.
  const ajv = new Ajv2020({ allErrors, strict: true, strictTypes: false });
  formats.default(ajv);
  return ajv;
}

/** ajv takes no bigint: an integral double with the same sign and on the same side of every limit that v1 sets. */
export function nearbyNumber(value: bigint): number {
  const number = Number(value);
  return Number.isFinite(number) ? number : Math.sign(number) * 1e300;
}
