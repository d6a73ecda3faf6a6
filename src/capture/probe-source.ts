/**
 * The live probe as a source: starts it, tells it what to capture, and watches it end.
 *
 * The probe is two processes (native/src/keeper.rs). When the one that delivers is killed, the keeper starts
 * another, which goes on behind what the first had taken, on the next of the spare outputs.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { ProbeConfig } from "./probe-config.ts";
import { type Diagnostic, type FrameSource, RESTARTED } from "./source.ts";

/** The probe's own exit code for "no hook could be attached". */
const EXIT_NOTHING_ATTACHED = 3;
/** The probe's own exit code for a configuration that it refuses: too many filters, for example. */
const EXIT_BAD_CONFIGURATION = 2;
/** A diagnostic line longer than this is cut: the probe's stderr is trusted, but bounded all the same. */
const DIAGNOSTIC_CHARS_MAX = 4096;

/** How often a probe that is killed is followed by another, in one capture. The probe takes up to 8. */
export const PROBE_RESTARTS_MAX = 3;

/** A running probe. */
export interface ProbeSource extends FrameSource {
  readonly pid: number;
}

/**
 * Starts the probe at `path`. It runs in a session of its own, so that Ctrl-C in the terminal ends the
 * capture through `stop`, with the ring drained, and not in the middle of it.
 * @throws RuntimeEvidenceError `probe-failed` when it can't be started.
 */
export async function startProbe(
  path: string,
  config: ProbeConfig,
  onDiagnostic: (diagnostic: Diagnostic) => void,
): Promise<ProbeSource> {
  const spares = Array<"pipe">(PROBE_RESTARTS_MAX).fill("pipe");
  const child = spawn(path, [], { stdio: ["pipe", "pipe", "pipe", ...spares], detached: true });
  const outputs = [child.stdout, ...child.stdio.slice(3)] as Readable[];
  const reading = { isBegun: false, isKilled: false };
  const settled = Promise.withResolvers<void>();
  settled.promise.catch(() => {}); // whoever reads `ended` gets the error; nobody must not crash the process
  let lastError: string | undefined;
  watchDiagnostics(child.stderr as Readable, (diagnostic) => {
    if (diagnostic.level === "error") lastError = diagnostic.message;
    if (!reading.isKilled) onDiagnostic(diagnostic);
  });
  child.once("exit", (_, signal) => {
    if (signal !== null && !reading.isKilled) onDiagnostic(keeperKilled(signal));
  });
  child.once("close", (code, signal) => settle(settled, code, signal, lastError));
  await spawned(child, path);
  const stdin = child.stdin as Writable;
  // Node ends the stdin that a child has when that exits (lib/internal/child_process.js): here it is the
  // keeper that would exit, and the pump that would take the end of stdin for the end of the capture.
  (child as { stdin: Writable | null }).stdin = null;
  stdin.on("error", () => {}); // EPIPE: the probe has ended, which `close` tells with its reason
  stdin.write(`${JSON.stringify({ ...config, spare_outputs: PROBE_RESTARTS_MAX })}\n`);
  return {
    name: "probe",
    pid: child.pid as number,
    chunks: oneAfterAnother(outputs, reading),
    stop: () => stdin.end(),
    kill: () => {
      reading.isKilled = true;
      killGroup(child.pid as number);
      // A probe that loads is still root and out of reach of whom this process has become: it ends with its stdin.
      stdin.destroy();
      if (!reading.isBegun) for (const output of outputs) output.destroy();
    },
    ended: settled.promise,
  };
}

/** What each output gives, to its end. Those that are never used end with the probe. */
async function* oneAfterAnother(
  outputs: readonly Readable[],
  reading: { isBegun: boolean },
): AsyncGenerator<Buffer | typeof RESTARTED> {
  reading.isBegun = true;
  try {
    for (const [index, output] of outputs.entries()) {
      let first = index > 0;
      for await (const chunk of output) {
        if (first) yield RESTARTED;
        first = false;
        yield chunk as Buffer;
      }
    }
  } finally {
    for (const output of outputs) output.destroy();
  }
}

/** Keeper and pump: the session of the probe is its own. False where they are another user's. */
function killGroup(pid: number): boolean {
  try {
    process.kill(-pid, "SIGKILL");
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EPERM";
  }
}

function keeperKilled(signal: NodeJS.Signals): Diagnostic {
  return {
    level: "warn",
    code: "keeper_killed",
    message: `the probe's keeper was killed by ${signal}: the capture goes on, and would end with the probe`,
    details: {},
  };
}

async function spawned(child: ChildProcess, path: string): Promise<void> {
  try {
    await once(child, "spawn");
  } catch (error) {
    throw new RuntimeEvidenceError("probe-failed", `cannot start ${path}: ${(error as Error).message}`, {
      cause: error,
      context: { path },
    });
  }
}

function settle(
  settled: PromiseWithResolvers<void>,
  code: number | null,
  signal: NodeJS.Signals | null,
  lastError: string | undefined,
): void {
  if (code === 0) {
    settled.resolve();
    return;
  }
  if (code === EXIT_NOTHING_ATTACHED) {
    const message = `${lastError ?? "no hook could be attached"}; see "runtime-evidence doctor"`;
    settled.reject(new RuntimeEvidenceError("not-permitted", message));
    return;
  }
  if (code === EXIT_BAD_CONFIGURATION) {
    settled.reject(new RuntimeEvidenceError("usage", lastError ?? "the probe refused its configuration"));
    return;
  }
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
  const why = lastError === undefined ? "" : `: ${lastError}`;
  settled.reject(new RuntimeEvidenceError("probe-failed", `the probe ended ${how}${why}`));
}

function watchDiagnostics(stderr: Readable, onDiagnostic: (diagnostic: Diagnostic) => void): void {
  const lines = createInterface({ input: stderr, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("line", (line) => onDiagnostic(parseDiagnostic(line.slice(0, DIAGNOSTIC_CHARS_MAX))));
}

/** Whatever is no JSON (a panic of the runtime, a message of the dynamic linker) is an error as it stands. */
function parseDiagnostic(line: string): Diagnostic {
  try {
    const parsed = JSON.parse(line) as Partial<Diagnostic>;
    if (typeof parsed.message === "string") {
      const { level = "info", code = "probe", message, ...details } = parsed;
      return { level, code, message, details };
    }
  } catch {
    // not JSON: below
  }
  return { level: "error", code: "probe", message: line, details: {} };
}
