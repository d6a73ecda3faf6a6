/**
 * `convert`: what a collector stored, back to v1; and v1 to what a collector stores.
 */
import { Command, Option } from "commander";
import type { RuntimeEvidenceError } from "../evidence/error.ts";
import { grouped } from "../health/status-line.ts";
import { type ConvertResult, convert } from "../pipeline/convert.ts";
import { type ConvertV1Result, convertV1 } from "../pipeline/convert-v1.ts";
import type { OtlpFileFormat } from "../pipeline/otlp-file-outlet.ts";
import { addEncodingOptions, type EncodingFlags, resolveEncoding } from "./encoding-options.ts";
import { EXIT_BAD_INPUT, EXIT_OK, exitCodeOf } from "./exit-code.ts";
import { addInputOptions, type InputFlags, openInputs } from "./input-options.ts";
import { requireNeeds } from "./option-needs.ts";
import type { SetExitCode } from "./program.ts";
import { type ProgressLine, startProgressLine } from "./progress-line.ts";

const OUTPUT_FORMATS = ["v1", "otlp-json", "otlp-proto"] as const satisfies readonly (
  | "v1"
  | OtlpFileFormat
)[];

interface ConvertFlags extends EncodingFlags, InputFlags {
  to: (typeof OUTPUT_FORMATS)[number];
  output: string;
  rejects?: string;
  extensions?: boolean;
  keepDuplicates?: boolean;
}

export function convertCommand(setExitCode: SetExitCode): Command {
  const command = addInputOptions(new Command("convert"))
    .description("rebuild v1 NDJSON from stored OTLP logs, or make OTLP logs of v1 records")
    .addOption(new Option("--to <format>", "what to write").choices(OUTPUT_FORMATS).default("v1"))
    .option("-o, --output <file>", 'where to write; "-" is standard output; .gz and .zst are compressed', "-")
    .option("--rejects <file>", "keep records that are not valid v1 here")
    .option(
      "--extensions",
      "add what is known beyond v1, as the member extensions (not to records that have one)",
    )
    .option("--keep-duplicates", "write records again that come again (the same log.record.uid)");
  addEncodingOptions(command);
  return command
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence convert /var/lib/otelcol/logs --output evidence.ndjson.gz
  runtime-evidence convert --loki-url http://localhost:3100 --query '{service_name="runtime-evidence"}' --since 6h
  runtime-evidence convert evidence.ndjson --to otlp-json > logs.json`,
    )
    .action(async (paths: string[], flags: ConvertFlags) => {
      const screen = startProgressLine(flags.output);
      try {
        setExitCode(await runConvert(paths, flags, screen));
      } finally {
        screen.end();
      }
    });
}

async function runConvert(paths: string[], flags: ConvertFlags, screen: ProgressLine): Promise<number> {
  requireNeeds(flags, [
    { options: ["extensions", "keepDuplicates"], isMet: flags.to === "v1", needed: "--to v1" },
    {
      options: ["bootTime", "streamId", "limits"],
      isMet: flags.to !== "v1",
      needed: "OTLP to be made: add --to otlp-json",
    },
  ]);
  const inputs = await openInputs(paths, flags, screen.print);
  const { output, rejects } = flags;
  const report = screen.print;
  if (flags.to !== "v1") {
    const result = await convertV1({
      inputs,
      to: flags.to,
      encoding: resolveEncoding(flags),
      output,
      rejects,
      rejectedShownMax: flags.showRejected,
      report,
      onStart: (progress, counts) => screen.watch(progress, () => counts.read),
    });
    return finish(summaryOfV1(result), result.invalid + result.refused, result.failure, screen);
  }
  const result = await convert({
    inputs,
    output,
    rejects,
    withExtensions: flags.extensions === true,
    keepDuplicates: flags.keepDuplicates === true,
    valuesMax: flags.valuesMax,
    rejectedShownMax: flags.showRejected,
    report,
    onStart: (progress, counts) => screen.watch(progress, () => counts.written),
  });
  return finish(summary(result), result.invalid + result.badMessages, result.failure, screen);
}

function finish(
  text: string,
  bad: number,
  failure: RuntimeEvidenceError | undefined,
  screen: ProgressLine,
): number {
  screen.end();
  screen.print(text);
  if (failure !== undefined) return exitCodeOf(failure.code);
  return bad > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}

function summary(result: ConvertResult): string {
  const parts = [`${grouped(result.written)} records`];
  const add = (count: number, what: string) => count > 0 && parts.push(`${grouped(count)} ${what}`);
  add(result.duplicates, "duplicates dropped");
  add(result.foreign, "log records of others passed over");
  add(result.control, "of the exporter about its stream (see verify)");
  add(result.invalid, "records rejected");
  add(result.badMessages, `message${result.badMessages === 1 ? "" : "s"} not readable`);
  add(result.forgotten, "times uids were forgotten, so that duplicates may be left");
  return parts.join(", ");
}

function summaryOfV1({ encoded, invalid, refused }: ConvertV1Result): string {
  const parts = [`${grouped(encoded)} records`];
  if (invalid > 0) parts.push(`${grouped(invalid)} not valid`);
  if (refused > 0) parts.push(`${grouped(refused)} beyond the limits of the store`);
  return parts.join(", ");
}
