/**
 * `export`: v1 records to a collector.
 */
import { Command, Option } from "commander";
import { expandInputs } from "../convert/input-files.ts";
import { describeOtlpOptions } from "../delivery/otlp-options.ts";
import { grouped } from "../health/status-line.ts";
import { type ExportBooks, type ExportResult, type RunningExport, startExport } from "../pipeline/export.ts";
import { exportStatus } from "../pipeline/exporter-status.ts";
import { fileInput } from "../pipeline/stored-inputs.ts";
import { addDeliveryOptions, type DeliveryFlags, resolveDelivery, resolveOtlp } from "./delivery-options.ts";
import { addEncodingOptions, type EncodingFlags, resolveEncoding } from "./encoding-options.ts";
import { EXIT_BAD_INPUT, EXIT_DELIVERY_FAILED, EXIT_OK, exitCodeOf } from "./exit-code.ts";
import { addLimitOptions, type LimitFlags, resolveLimits } from "./input-options.ts";
import type { SetExitCode } from "./program.ts";
import { type ProgressLine, startProgressLine } from "./progress-line.ts";
import { parseDurationMs } from "./quantity.ts";
import { handleSignals } from "./signals.ts";
import { addTelemetryOptions, observeRun, type TelemetryFlags } from "./telemetry-options.ts";

interface ExportFlags extends DeliveryFlags, EncodingFlags, LimitFlags, TelemetryFlags {
  from: "auto" | "v1";
  rejects?: string;
  shutdownTimeout?: number;
  summary: "text" | "json" | "none";
}

export function exportCommand(setExitCode: SetExitCode): Command {
  const command = new Command("export")
    .description("send v1 records to a collector")
    .argument(
      "<file...>",
      'NDJSON, an array or a single object, plain, gzip or zstd; directories of such; "-" is standard input',
    )
    .addOption(
      new Option("--from <format>", "v1: take each line for a record, whatever it looks like")
        .choices(["auto", "v1"])
        .default("auto"),
    )
    .option("--rejects <file>", "keep the records here that are not sent");
  addTelemetryOptions(addEncodingOptions(addDeliveryOptions(addLimitOptions(command))));
  return command
    .option(
      "--shutdown-timeout <duration>",
      "time to deliver the rest at the end (default: as long as it takes; 30s after Ctrl-C)",
      parseDurationMs,
    )
    .addOption(
      new Option("--summary <form>", "what to say at the end, on standard error")
        .choices(["text", "json", "none"])
        .default("text"),
    )
    .addHelpText(
      "after",
      `
Without --otlp-endpoint and OTEL_EXPORTER_OTLP_* it sends to the default port on this host.

Examples:
  runtime-evidence export evidence.ndjson --otlp-endpoint http://localhost:4317
  zcat evidence-*.gz | runtime-evidence export - --otlp-endpoint http://localhost:3100/otlp --limits loki --rejects too-large.ndjson`,
    )
    .action(async (paths: string[], flags: ExportFlags) => {
      const screen = startProgressLine(undefined);
      try {
        setExitCode(await runExport(paths, flags, screen));
      } finally {
        screen.end();
      }
    });
}

async function runExport(paths: string[], flags: ExportFlags, screen: ProgressLine): Promise<number> {
  const otlp = resolveOtlp(flags, screen.print);
  const limits = resolveLimits(flags);
  const inputs = (await expandInputs(paths)).map((file) => fileInput(file, flags.from, limits));
  const observed = await observeRun("export", flags, otlp, screen.print);
  const running = await startExport({
    inputs,
    otlp,
    encoding: resolveEncoding(flags),
    rejects: flags.rejects,
    rejectedShownMax: flags.showRejected,
    delivery: { ...resolveDelivery(flags), onAttempt: observed.onAttempt },
    shutdownTimeoutMs: flags.shutdownTimeout,
    report: screen.print,
  });
  if (process.stderr.isTTY) screen.print(`exporting ${describeOtlpOptions(otlp)}; Ctrl-C ends it`);
  screen.watch(running.progress, () => running.counts.read, queuedText(running));
  const unhandle = handleSignals({ command: undefined, stop: running.stop, abort: running.abort });
  observed.start((senderType) => exportStatus(running, senderType));
  const result = await running.result.finally(() => observed.end()).finally(unhandle);
  screen.end();
  if (flags.summary === "text") screen.print(summary(result));
  if (flags.summary === "json") screen.print(JSON.stringify(summaryObject(result)));
  return exitCode(result);
}

function queuedText(running: RunningExport): () => string {
  return () => ` · ${grouped(running.queuedRecords())} not acknowledged yet`;
}

function lostTotal({ lost }: ExportBooks): number {
  return [...lost.values()].reduce((sum, count) => sum + count, 0);
}

function summary({ books, stopped }: ExportResult): string {
  const { read, exported, spooled, invalid, refused, lost } = books;
  const lines = [
    `${grouped(read)} read = ${grouped(exported)} exported + ${grouped(invalid)} invalid + ` +
      `${grouped(refused)} refused + ${grouped(lostTotal(books))} lost` +
      (spooled === 0 ? "" : ` + ${grouped(spooled)} in the spool`),
  ];
  for (const [reason, count] of lost) lines.push(`  lost: ${reason} ${grouped(count)}`);
  if (stopped) lines.push("stopped before the end of the input: the rest was not read");
  return lines.join("\n");
}

function summaryObject({ books, stopped }: ExportResult): object {
  return { ...books, lost: Object.fromEntries(books.lost), stopped };
}

/** Loss is worse than bad input, because it can be helped by sending again. */
function exitCode(result: ExportResult): number {
  const { books, stopped, failure } = result;
  if (lostTotal(books) > 0 || stopped) return EXIT_DELIVERY_FAILED;
  if (failure !== undefined) return exitCodeOf(failure.code);
  return books.invalid + books.refused > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}
