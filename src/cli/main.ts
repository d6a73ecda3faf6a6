#!/usr/bin/env -S node --max-semi-space-size=16
/**
 * The executable. Only this file exits (and node-version.ts, before anything runs).
 *
 * Node lets new objects take 128 MiB before it collects them on a machine with much memory. What flows through here
 * is garbage within milliseconds: 32 MiB (two spaces of 16) are as fast, and are 100 MiB less.
 */
// Before everything else, whatever an editor would sort.
import "./node-version.ts";
import { CommanderError } from "commander";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { exitCodeOf } from "./exit-code.ts";

// A person who went away, or `2>/dev/full`: there is nobody to tell, and work goes on.
process.stderr.on("error", () => {});
// Whoever writes records listens, too, and ends in order; this is for the rest (help, doctor).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.exitCode = exitCodeOf("io");
});
// Node takes this signal for a request to start its debugger, unless somebody listens: nobody shall open a port in a
// process that may be root. Commands that have a status say it (status-reports.ts).
process.on("SIGUSR1", () => {});

try {
  let exitCode = 0;
  // Later than the version check: an older Node can't even link what this imports (zstd of node:zlib).
  const { createProgram } = await import("./program.ts");
  await createProgram((code) => {
    exitCode = code;
  }).parseAsync();
  process.exitCode = exitCode;
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = thrown.exitCode === 0 ? 0 : exitCodeOf("usage");
  } else {
    const error = RuntimeEvidenceError.from(thrown);
    if (error.code !== "output-closed") process.stderr.write(`error: ${error.message}\n`);
    if (process.env.RUNTIME_EVIDENCE_DEBUG) process.stderr.write(`${(thrown as Error).stack}\n`);
    process.exitCode = exitCodeOf(error.code);
  }
}
