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

export interface RunOptions {
  /** Default "at-end". */
  readonly show?: Show;
  /** It is killed after that long, so that the test run ends and says so. Default 30 minutes. */
  readonly timeoutMs?: number;
}

/** Runs in the repository's root; never rejects. */
export function runCommand(
  command: string,
  args: readonly string[],
  { show = "at-end", timeoutMs = 30 * 60_000 }: RunOptions = {},
): Promise<Ended> {
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
    const timer = setTimeout(() => {
      const minutes = Math.round(timeoutMs / 60_000);
      const last = output.trimEnd().split("\n").at(-1)?.trim();
      output += `${command} was killed after ${minutes} minutes, behind: ${last}\n`;
      child.kill("SIGKILL");
      // What it had started may hold these open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    child.on("error", (error) => {
      kept.stderr += `error: cannot run ${command}: ${error.message}\n`;
      output += kept.stderr;
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal !== null && !output.includes("was killed after"))
        output += `${command} was killed by ${signal}\n`;
      if (show === "at-end") process.stdout.write(output);
      resolve({ code: code === null || code < 0 ? 1 : code, output, ...kept });
    });
  });
}
