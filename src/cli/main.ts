#!/usr/bin/env node
/**
 * The executable. Only this file exits.
 */
import { CommanderError } from "commander";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { exitCodeOf } from "./exit-code.ts";
import { createProgram } from "./program.ts";

/** A reader that has seen enough (`| head`) is no error of ours. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  let exitCode = 0;
  await createProgram((code) => {
    exitCode = code;
  }).parseAsync();
  process.exitCode = exitCode;
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = thrown.exitCode === 0 ? 0 : exitCodeOf("usage");
  } else {
    const error = RuntimeEvidenceError.from(thrown);
    process.stderr.write(`error: ${error.message}\n`);
    if (process.env.RUNTIME_EVIDENCE_DEBUG) process.stderr.write(`${(thrown as Error).stack}\n`);
    process.exitCode = exitCodeOf(error.code);
  }
}
