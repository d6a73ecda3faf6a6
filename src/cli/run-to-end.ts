/**
 * What `capture` and `replay` do once frames flow: show, listen to signals, wait, and say how it went.
 */
import type { RunningCapture } from "../pipeline/capture.ts";
import type { SinkOptions } from "../pipeline/sinks.ts";
import { exitCodeOfCapture, printResult, type RunConsole } from "./capture-console.ts";
import type { SinkFlags } from "./capture-options.ts";
import { handleSignals } from "./signals.ts";

/** Waits for the end of `running`; the exit code. */
export async function runToEnd(
  running: RunningCapture,
  sinks: SinkOptions,
  summary: SinkFlags["summary"],
  screen: RunConsole,
): Promise<number> {
  screen.watch(running);
  const unhandle = handleSignals(running);
  try {
    const result = await running.result;
    screen.end();
    printResult(result, summary, sinks.otlp === undefined ? "written" : "exported", screen.print);
    const own = exitCodeOfCapture(result);
    if (running.command === undefined || !result.commandStarted) return own;
    // A capture that fails does not take its command down.
    return (await running.command.exitCode) || own;
  } finally {
    screen.end();
    unhandle();
  }
}
