/**
 * `capture`: live evidence from this machine.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { CAPTURED_EVENTS, type CapturedEvent, DEFAULT_EVENTS } from "../capture/probe-config.ts";
import type { Diagnostic } from "../capture/source.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Hello, HookState } from "../frames/control.ts";
import { startLiveCapture } from "../pipeline/capture.ts";
import { EXPORTER_USER_DEFAULT, findAccount } from "../pipeline/give-up-root.ts";
import { createConsole, printLine, type RunConsole } from "./capture-console.ts";
import { addSinkOptions, resolveSinks, type SinkFlags } from "./capture-options.ts";
import { addFilterOptions, readFilters } from "./filter-options.ts";
import type { SetExitCode } from "./program.ts";
import { parseDurationMs, parseRingBytes } from "./quantity.ts";
import { runToEnd } from "./run-to-end.ts";
import { addTelemetryOptions, observeRun, type TelemetryFlags } from "./telemetry-options.ts";
import { addUprobeOptions, readUprobeOptions, resolveEvents, type UprobeFlags } from "./uprobe-options.ts";

interface CaptureFlags extends SinkFlags, UprobeFlags, TelemetryFlags {
  events?: CapturedEvent[];
  duration?: number;
  record?: string;
  verbose?: boolean;
  ringBytes?: number;
  execRingBytes?: number;
  user: string;
}

export function captureCommand(setExitCode: SetExitCode): Command {
  const command = new Command("capture")
    .description("capture evidence live, to a collector, to a file, or to standard output")
    .argument("[command...]", "run this, and follow it and its children only (write it after --)")
    .passThroughOptions()
    .option(
      "--events <list>",
      `what to capture, of ${CAPTURED_EVENTS.join(",")} (default: ${DEFAULT_EVENTS.join(",")}; the others probe programs, which costs more)`,
      parseEvents,
    )
    .option("--duration <duration>", "stop after this long", parseDurationMs)
    .option("--record <file>", "keep the raw frames as well, for replay")
    .option("--verbose", "say which programs and libraries uprobes are attached to, as they appear")
    .option("--ring-bytes <size>", "kernel buffer for events, a power of two", parseRingBytes)
    .option("--exec-ring-bytes <size>", "kernel buffer for execs, a power of two", parseRingBytes)
    .option("--user <name>", "who the exporter becomes when started as root", EXPORTER_USER_DEFAULT);
  addUprobeOptions(command);
  addFilterOptions(command);
  addTelemetryOptions(addSinkOptions(command));
  return command
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence capture -- sh -c 'cat /etc/hostname >/dev/null'
  runtime-evidence capture --events ssl_op,net_connect --otlp-endpoint http://localhost:4317 --duration 1h`,
    )
    .action(async (commandLine: string[], flags: CaptureFlags) => {
      setExitCode(await runCapture(commandLine, flags));
    });
}

function parseEvents(text: string): CapturedEvent[] {
  const names = text.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!(CAPTURED_EVENTS as readonly string[]).includes(name)) {
      throw new InvalidArgumentError(`"${name}" is none of ${CAPTURED_EVENTS.join(", ")}.`);
    }
  }
  return [...new Set(names)] as CapturedEvent[];
}

async function runCapture(commandLine: readonly string[], flags: CaptureFlags): Promise<number> {
  const { sinks, description } = resolveSinks(flags, printLine);
  const screen = createConsole(sinks.output);
  const command = commandLine.length > 0 ? checkedCommand(commandLine) : undefined;
  const events = resolveEvents(flags.events, flags);
  if (flags.record !== undefined && flags.record === flags.output) {
    throw new RuntimeEvidenceError("usage", "--record and --output name the same file");
  }
  const observed = await observeRun("capture", flags, sinks.otlp, screen.print);
  const running = await startLiveCapture(
    {
      sinks: { ...sinks, delivery: { ...sinks.delivery, onAttempt: observed.onAttempt } },
      events,
      filters: readFilters(flags as unknown as Record<string, unknown>),
      uprobes: readUprobeOptions(flags),
      ringBytes: flags.ringBytes,
      execRingBytes: flags.execRingBytes,
      durationMs: flags.duration,
      recordPath: flags.record,
      command,
      account: findAccount(flags.user),
      shutdownTimeoutMs: flags.shutdownTimeout,
    },
    {
      onHello: (hello) => sayHello(hello, events, description, command !== undefined, screen),
      onDiagnostic: (diagnostic) => sayDiagnostic(diagnostic, flags.verbose === true, screen),
    },
  );
  return runToEnd({ running, observed, sinks, summary: flags.summary, screen });
}

/**
 * Node decodes arguments as UTF-8, and what is none comes out as another text: rather no command than another.
 */
function checkedCommand(commandLine: readonly string[]): readonly string[] {
  if (commandLine.some((word) => word.includes("\ufffd")) && !isUtf8(readFileSync("/proc/self/cmdline"))) {
    throw new RuntimeEvidenceError(
      "usage",
      "the command has an argument that is not UTF-8; run it through a script",
    );
  }
  return commandLine;
}

/** What is off is always said; what is on only to a person who has no command's output to read. */
function sayHello(
  hello: Hello,
  events: readonly string[],
  description: string,
  quiet: boolean,
  screen: RunConsole,
): void {
  const off = hello.hooks.filter(({ state, probe }) => state === "off" && events.includes(probe));
  // Mostly one cause turns all of them off: say it once.
  for (const [cause, hooks] of Map.groupBy(off, causeOf)) {
    screen.print(`off: ${hooks.map(({ hook }) => hook).join(", ")}: ${cause}`);
  }
  if (!quiet && process.stderr.isTTY) {
    screen.print(`capturing ${events.join(", ")} to ${description}; Ctrl-C ends it`);
  }
}

function causeOf({ reason, hint }: HookState): string {
  return `${reason ?? "no reason given"}${hint ? ` (${hint})` : ""}`;
}

/** `withTargets` says of each target what of it is covered, too. */
function sayDiagnostic(diagnostic: Diagnostic, withTargets: boolean, screen: RunConsole): void {
  const { level, code, message, details } = diagnostic;
  if (code === "nothing_attached") return; // it is the error that the run ends with
  if (level === "warn" || level === "error") screen.print(`probe: ${message}`);
  else if (withTargets && /target/.test(code)) {
    screen.print(`probe: ${details.target ?? "targets"}: ${message} ${JSON.stringify(details)}`);
  }
}
