/**
 * `replay`: a recorded frame file through the same pipeline as live evidence, without privileges.
 */
import { Command } from "commander";
import { openReplaySource } from "../capture/replay-source.ts";
import { startReplay } from "../pipeline/capture.ts";
import { createConsole, printLine } from "./capture-console.ts";
import { addSinkOptions, resolveSinks, type SinkFlags } from "./capture-options.ts";
import type { SetExitCode } from "./program.ts";
import { runToEnd } from "./run-to-end.ts";
import { addTelemetryOptions, observeRun, type TelemetryFlags } from "./telemetry-options.ts";

export function replayCommand(setExitCode: SetExitCode): Command {
  const command = new Command("replay")
    .description("send or print the events of a frame file (see capture --record)")
    .argument("<frames>", 'the file; "-" is standard input');
  return addTelemetryOptions(addSinkOptions(command))
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence replay evidence.frames
  runtime-evidence replay evidence.frames --otlp-endpoint http://localhost:4317`,
    )
    .action(async (path: string, flags: SinkFlags & TelemetryFlags) => {
      const { sinks } = resolveSinks(flags, printLine);
      const screen = createConsole(sinks.output);
      const observed = await observeRun("replay", flags, sinks.otlp, screen.print);
      const delivery = { ...sinks.delivery, onAttempt: observed.onAttempt };
      const running = await startReplay(
        await openReplaySource(path),
        { sinks: { ...sinks, delivery }, shutdownTimeoutMs: flags.shutdownTimeout },
        () => {},
      );
      setExitCode(await runToEnd({ running, observed, sinks, summary: flags.summary, screen }));
    });
}
