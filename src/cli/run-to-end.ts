/**
 * What `capture` and `replay` do once frames flow: show, listen to signals, wait, and say how it went.
 */
import type { RunningCapture } from "../pipeline/capture.ts";
import { captureStatus } from "../pipeline/exporter-status.ts";
import type { SinkOptions } from "../pipeline/sinks.ts";
import { exitCodeOfCapture, printResult, type RunConsole } from "./capture-console.ts";
import type { SinkFlags } from "./capture-options.ts";
import { handleSignals } from "./signals.ts";
import type { ObservedRun } from "./telemetry-options.ts";

/** A run, and who wants to know of it. */
export interface ObservedCapture {
  readonly running: RunningCapture;
  readonly observed: ObservedRun;
  readonly sinks: SinkOptions;
  readonly summary: SinkFlags["summary"];
  readonly screen: RunConsole;
}

/** Waits for the end of `running`; the exit code. */
export async function runToEnd(options: ObservedCapture): Promise<number> {
  const { running, observed, sinks, summary, screen } = options;
  screen.watch(running);
  const unhandle = handleSignals(running);
  try {
    observed.start((senderType) => captureStatus(running, senderType));
    const result = await running.result;
    screen.end();
    printResult(result, summary, sinks.otlp === undefined ? "written" : "exported", screen.print);
    const own = exitCodeOfCapture(result);
    if (running.command === undefined || !result.commandStarted) return own;
    // A capture that fails does not take its command down.
    return (await running.command.exitCode) || own;
  } finally {
    screen.end();
    await observed.end();
    unhandle();
  }
}
