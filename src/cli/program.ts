/**
 * The command tree. Building it has no effect, so that tests and completion can walk it.
 */
import { Command } from "commander";
import { VERSION } from "../evidence/version.ts";
import { captureCommand } from "./capture.ts";
import { completionCommand } from "./completion.ts";
import { convertCommand } from "./convert.ts";
import { doctorCommand } from "./doctor.ts";
import { EXIT_CODE_HELP } from "./exit-code.ts";
import { exportCommand } from "./export.ts";
import { receiveCommand } from "./receive.ts";
import { replayCommand } from "./replay.ts";
import { validateCommand } from "./validate.ts";
import { verifyCommand } from "./verify.ts";

/** Told by a command that ended in order with which code to exit. */
export type SetExitCode = (code: number) => void;

/** The whole command line of `runtime-evidence`. */
export function createProgram(setExitCode: SetExitCode): Command {
  const program = new Command("runtime-evidence")
    .description(
      "What really ran on this machine: eBPF evidence as OpenTelemetry log records, and back to Runtime Evidence v1.",
    )
    .version(VERSION)
    .showHelpAfterError('(see "runtime-evidence --help")')
    .enablePositionalOptions()
    .exitOverride()
    .addHelpText("after", EXIT_CODE_HELP);
  const commands = [
    captureCommand,
    replayCommand,
    receiveCommand,
    convertCommand,
    exportCommand,
    validateCommand,
    verifyCommand,
    doctorCommand,
  ].map((create) => create(setExitCode));
  for (const command of [...commands, completionCommand(program)]) {
    command.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}
