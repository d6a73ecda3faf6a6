/**
 * `convert`: what a collector stored, back to v1.
 */
import { statSync } from "node:fs";
import { Command, Option } from "commander";
import { STORED_FORMATS, type StoredFormat } from "../convert/stored-requests.ts";
import { progressText } from "../health/progress.ts";
import { grouped, startStatusLine } from "../health/status-line.ts";
import { type ConvertResult, convert } from "../pipeline/convert.ts";
import { fileInput } from "../pipeline/stored-inputs.ts";
import { EXIT_BAD_INPUT, EXIT_OK, exitCodeOf } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";

interface ConvertFlags {
  from: StoredFormat | "auto";
  output: string;
  rejects?: string;
  extensions?: boolean;
  keepDuplicates?: boolean;
}

export function convertCommand(setExitCode: SetExitCode): Command {
  return new Command("convert")
    .description("rebuild v1 NDJSON from stored OTLP logs")
    .argument("<input...>", 'files that a collector wrote; "-" is standard input')
    .addOption(
      new Option("--from <format>", "what the inputs are")
        .choices(["auto", ...STORED_FORMATS])
        .default("auto"),
    )
    .option("-o, --output <file>", 'where to write; "-" is standard output', "-")
    .option("--rejects <file>", "keep records that are not valid v1 here, with their reasons")
    .option("--extensions", "add what is known beyond v1, as a member of its own")
    .option("--keep-duplicates", "write records again that come again (the same log.record.uid)")
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence convert logs.json > evidence.ndjson
  runtime-evidence convert logs-*.binpb --from otlp-proto-framed --output evidence.ndjson`,
    )
    .action(async (inputs: string[], flags: ConvertFlags) => setExitCode(await runConvert(inputs, flags)));
}

async function runConvert(paths: string[], flags: ConvertFlags): Promise<number> {
  let render = () => "";
  const status = startStatusLine(process.stderr, () => render());
  const inputs = paths.map((path) =>
    fileInput({ path, sizeBytes: statSync(path, { throwIfNoEntry: false })?.size }, flags.from),
  );
  const result = await convert({
    inputs,
    output: flags.output,
    rejects: flags.rejects,
    withExtensions: flags.extensions === true,
    keepDuplicates: flags.keepDuplicates === true,
    report: (line) => status.print(line),
    onStart: (progress, counts) => {
      const startMs = performance.now();
      render = () => progressText({ ...progress, records: counts.written }, performance.now() - startMs);
    },
  }).finally(() => status.end());
  process.stderr.write(`${summary(result)}\n`);
  if (result.failure !== undefined) return exitCodeOf(result.failure.code);
  return result.invalid + result.badMessages > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}

function summary(result: ConvertResult): string {
  const parts = [`${grouped(result.written)} records`];
  const add = (count: number, what: string) => count > 0 && parts.push(`${grouped(count)} ${what}`);
  add(result.duplicates, "duplicates dropped");
  add(result.foreign, "log records of others passed over");
  add(result.invalid, "records rejected");
  add(result.badMessages, "messages not readable");
  add(result.forgotten, "times uids were forgotten, so that duplicates may be left");
  return parts.join(", ");
}
