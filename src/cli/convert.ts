/**
 * `convert`: what a collector stored, back to v1.
 */
import { statSync } from "node:fs";
import { Command, Option } from "commander";
import { STORED_FORMATS, type StoredFormat } from "../convert/stored-requests.ts";
import { grouped, startStatusLine } from "../health/status-line.ts";
import { convert } from "../pipeline/convert.ts";
import { EXIT_BAD_INPUT, EXIT_OK, exitCodeOf } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";

interface ConvertFlags {
  from: StoredFormat | "auto";
  output: string;
  rejects?: string;
  extensions?: boolean;
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
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence convert logs.json > evidence.ndjson
  runtime-evidence convert logs-*.binpb --from otlp-proto-framed --output evidence.ndjson`,
    )
    .action(async (inputs: string[], flags: ConvertFlags) => setExitCode(await runConvert(inputs, flags)));
}

async function runConvert(inputs: string[], flags: ConvertFlags): Promise<number> {
  let progress = "";
  const status = startStatusLine(process.stderr, () => progress);
  const sizes = new Map(inputs.map((input) => [input, statSync(input, { throwIfNoEntry: false })?.size]));
  const result = await convert({
    inputs,
    from: flags.from,
    output: flags.output,
    rejects: flags.rejects,
    withExtensions: flags.extensions === true,
    report: (line) => status.print(line),
    onProgress: (input, offset, counts) => {
      const size = sizes.get(input);
      const share = size ? ` · ${Math.min(100, Math.round((100 * offset) / size))} % of ${input}` : "";
      progress = `${grouped(counts.written)} records${share}`;
    },
  }).finally(() => status.end());
  const parts = [`${grouped(result.written)} records`];
  if (result.foreign > 0) parts.push(`${grouped(result.foreign)} log records of others passed over`);
  if (result.invalid > 0) parts.push(`${grouped(result.invalid)} records rejected`);
  if (result.badMessages > 0) parts.push(`${grouped(result.badMessages)} messages not readable`);
  process.stderr.write(`${parts.join(", ")}\n`);
  if (result.failure !== undefined) return exitCodeOf(result.failure.code);
  return result.invalid + result.badMessages > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}
