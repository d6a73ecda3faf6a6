/**
 * `validate`: is this Runtime Evidence v1?
 */
import { Command } from "commander";
import { expandInputs } from "../convert/input-files.ts";
import { grouped } from "../health/status-line.ts";
import { fileInput } from "../pipeline/stored-inputs.ts";
import { validate } from "../pipeline/validate.ts";
import { EXIT_BAD_INPUT, EXIT_OK, exitCodeOf } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";
import { startProgressLine } from "./progress-line.ts";

interface ValidateFlags {
  rejects?: string;
  quiet?: boolean;
}

export function validateCommand(setExitCode: SetExitCode): Command {
  return new Command("validate")
    .description("check v1 records against the schema")
    .argument(
      "<file...>",
      'NDJSON, an array or a single object, plain, gzip or zstd; directories of such; "-" is standard input',
    )
    .option("--rejects <file>", "keep the records that are not valid here")
    .option("-q, --quiet", "say nothing about single records")
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence validate evidence.ndjson
  runtime-evidence convert logs.json | runtime-evidence validate -`,
    )
    .action(async (paths: string[], flags: ValidateFlags) => setExitCode(await runValidate(paths, flags)));
}

async function runValidate(paths: string[], flags: ValidateFlags): Promise<number> {
  const screen = startProgressLine("-");
  const output = process.stdout;
  const result = await validate({
    inputs: (await expandInputs(paths)).map((file) => fileInput(file, "v1")),
    report: (line) => void (flags.quiet === true || output.write(`${line}\n`)),
    reportFailure: screen.print,
    rejects: flags.rejects,
    onStart: (progress, counts) => screen.watch(progress, () => counts.valid + counts.invalid),
  }).finally(screen.end);
  screen.print(`${grouped(result.valid)} valid, ${grouped(result.invalid)} not valid`);
  if (result.failure !== undefined) return exitCodeOf(result.failure.code);
  return result.invalid > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}
