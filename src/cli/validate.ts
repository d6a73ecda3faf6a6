/**
 * `validate`: is this Runtime Evidence v1?
 */
import { Command } from "commander";
import { grouped } from "../health/status-line.ts";
import { validate } from "../pipeline/validate.ts";
import { EXIT_BAD_INPUT, EXIT_OK } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";

export function validateCommand(setExitCode: SetExitCode): Command {
  return new Command("validate")
    .description("check v1 NDJSON against the schema")
    .argument("<file...>", 'files with one record a line; "-" is standard input')
    .option("--rejects <file>", "keep the lines that are not valid here")
    .option("-q, --quiet", "say nothing about single lines")
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence validate evidence.ndjson
  runtime-evidence convert logs.json | runtime-evidence validate -`,
    )
    .action(async (files: string[], flags: { rejects?: string; quiet?: boolean }) => {
      const report = (line: string) => void (flags.quiet === true || process.stdout.write(`${line}\n`));
      const { valid, invalid } = await validate(files, report, flags.rejects);
      process.stderr.write(`${grouped(valid)} valid, ${grouped(invalid)} not valid\n`);
      setExitCode(invalid > 0 ? EXIT_BAD_INPUT : EXIT_OK);
    });
}
