/**
 * Finds the native probe.
 */
import { accessSync, constants } from "node:fs";
import { fileURLToPath } from "node:url";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Overrides where the probe is looked for, for packagers and for tests. */
export const PROBE_PATH_VARIABLE = "RUNTIME_EVIDENCE_PROBE";

/** Both `src/capture` and `dist/capture` are two folders below the package. */
const BESIDE_PACKAGE = "../../native/target/release/runtime-evidence-probe";

/**
 * The path of an executable probe.
 * @throws RuntimeEvidenceError `not-found`, with what to do.
 */
export function findProbeBinary(environment: NodeJS.ProcessEnv = process.env): string {
  const chosen = environment[PROBE_PATH_VARIABLE];
  const path = chosen || fileURLToPath(new URL(BESIDE_PACKAGE, import.meta.url));
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch (error) {
    const advice = chosen
      ? `${PROBE_PATH_VARIABLE} names no executable file`
      : `run "make build", or set ${PROBE_PATH_VARIABLE} to its path`;
    throw new RuntimeEvidenceError("not-found", `the probe is not at ${path}: ${advice}`, {
      cause: error,
      context: { path },
    });
  }
}
