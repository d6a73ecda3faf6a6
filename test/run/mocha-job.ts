/** A job of the test run: mocha over some of the suites. */

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunOptions, runCommand } from "./command.ts";
import { brokenDown, type Outcome } from "./outcome.ts";

const REPORTER = fileURLToPath(new URL("../reporter.ts", import.meta.url));

export interface MochaJob {
  /** Where the reporter leaves the outcome; its directory is made. */
  readonly resultPath: string;
  /** Files, globs and options of mocha. */
  readonly args: readonly string[];
  readonly options?: RunOptions;
}

/** Runs mocha to its end. */
export async function runMocha({ resultPath, args, options }: MochaJob): Promise<Outcome> {
  mkdirSync(dirname(resultPath), { recursive: true });
  rmSync(resultPath, { force: true });
  const reporter = ["--reporter", REPORTER, "--reporter-option", `result=${resultPath}`];
  const { code, output } = await runCommand("mocha", [...reporter, ...args], options);
  let outcome: Outcome;
  try {
    outcome = JSON.parse(readFileSync(resultPath, "utf8"));
  } catch {
    // A suite that can't be loaded, or a process that was killed: the error is in the last lines.
    return brokenDown("mocha ended without a result", lastError(output));
  }
  if (code === 0 || outcome.failed.length > 0) return outcome;
  return { ...outcome, ...failedAfterwards(code, output) };
}

function failedAfterwards(code: number, output: string): Pick<Outcome, "failed"> {
  return brokenDown(`mocha ended with exit code ${code} after its tests`, lastError(output));
}

/** The last line that names an error, or else the last one. */
function lastError(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return (
    lines.findLast((line) => /\w*(?:Error|error)\b.*:|was killed/.test(line)) ?? lines.at(-1) ?? "no output"
  );
}
