/**
 * Runs the command of `capture -- CMD…`: held back until the capture covers it, as the caller, in the
 * caller's terminal.
 *
 * The command is started by the probe binary's `launch` mode rather than from here, because the exporter
 * gives up root and could then no longer signal a command that the caller runs as root.
 */
import { spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import { RuntimeEvidenceError } from "../evidence/error.ts";

const GO = 0;
const PID_TIMEOUT_MS = 10_000;
const STDIO_CONTROL = 3;

/** A command that waits for `go`. */
export interface LaunchedCommand {
  /** Process id of the command, already before its exec. */
  readonly pid: number;
  /** Process id of its launcher, which is part of this system. */
  readonly launcherPid: number;
  /** Lets it exec. */
  go(): void;
  /** Passes a signal on to it. */
  forward(signalNumber: number): void;
  /** Lets go of the launcher: a command that still waits ends without having run, another goes on. */
  release(): void;
  /** Its exit code, or 128 + signal as a shell says it. */
  readonly exitCode: Promise<number>;
}

/**
 * Starts the launcher and learns the command's pid.
 * @throws RuntimeEvidenceError `probe-failed` when the launcher can't be started or does not answer.
 */
export async function launchCommand(probePath: string, command: readonly string[]): Promise<LaunchedCommand> {
  const child = spawn(probePath, ["launch", "--", ...command], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
  });
  const exitCode = new Promise<number>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(
        new RuntimeEvidenceError("probe-failed", `cannot start ${probePath}: ${cause.message}`, { cause }),
      ),
    );
    child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 125)));
  });
  exitCode.catch(() => {}); // also seen through the pid's promise below
  const control = child.stdio[STDIO_CONTROL] as Duplex;
  control.on("error", () => {}); // the launcher has ended: its exit code says the rest
  const pid = await Promise.race([
    readPid(control),
    exitCode.then((code) => {
      throw new RuntimeEvidenceError(
        "probe-failed",
        `the launcher ended with exit code ${code} before its command`,
      );
    }),
  ]);
  return {
    pid,
    launcherPid: child.pid as number,
    go: () => control.write(Uint8Array.of(GO)),
    forward: (signalNumber) => control.write(Uint8Array.of(signalNumber)),
    release: () => void control.destroy(),
    exitCode,
  };
}

function readPid(control: Duplex): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(
      () => reject(new RuntimeEvidenceError("probe-failed", "the launcher did not say its command's pid")),
      PID_TIMEOUT_MS,
    );
    control.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\n");
      if (end < 0) return;
      clearTimeout(timer);
      resolve(Number(text.slice(0, end)));
    });
  });
}
