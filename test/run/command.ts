/** Runs one command of the test run and keeps what it says. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Ended {
  /** Exit code; 1 where the command could not be run or was killed. */
  readonly code: number;
  /** Standard output and standard error, as they came. */
  readonly output: string;
  /** Each by itself: two that write at once tear each other's lines. */
  readonly stdout: string;
  readonly stderr: string;
}

/** `live` shows the output as it comes, `at-end` at once when the command has ended. */
export type Show = "live" | "at-end" | "never";

/** Runs in the repository's root; never rejects. */
export function runCommand(command: string, args: readonly string[], show: Show): Promise<Ended> {
  return new Promise((resolve) => {
    let output = "";
    const kept = { stdout: "", stderr: "" };
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        kept[name] += chunk;
        if (show === "live") process.stdout.write(chunk);
      });
    }
    child.on("error", (error) => {
      kept.stderr += `error: cannot run ${command}: ${error.message}\n`;
      output += kept.stderr;
    });
    child.on("close", (code, signal) => {
      if (signal !== null) output += `${command} was killed by ${signal}\n`;
      if (show === "at-end") process.stdout.write(output);
      resolve({ code: code === null || code < 0 ? 1 : code, output, ...kept });
    });
  });
}
