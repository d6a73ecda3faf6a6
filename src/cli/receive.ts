/**
 * `receive`: an embedded collector.
 */
import { Command, Option } from "commander";
import { processStatus } from "../health/exporter-status.ts";
import { processJson } from "../health/status-json.ts";
import { grouped, startStatusLine } from "../health/status-line.ts";
import { type RunningReceive, startReceive } from "../pipeline/receive.ts";
import { EXIT_BAD_INPUT, EXIT_OK } from "./exit-code.ts";
import { type ListenAddress, parseListenAddress } from "./listen-address.ts";
import type { SetExitCode } from "./program.ts";
import { parseDurationMs, parseSizeBytes } from "./quantity.ts";
import { parseStatusInterval, STATUS_HELP, STATUS_OPTION, startStatusReports } from "./status-reports.ts";

interface ReceiveFlags {
  grpc: ListenAddress | "none";
  http: ListenAddress | "none";
  output: string;
  rejects?: string;
  extensions?: boolean;
  keepDuplicates?: boolean;
  requestBytesMax?: number;
  duration?: number;
  status?: number | true;
}

export function receiveCommand(setExitCode: SetExitCode): Command {
  return new Command("receive")
    .description("receive OTLP logs and write them as v1 NDJSON")
    .addOption(listenOption("--grpc <host:port>", "OTLP/gRPC", 4317))
    .addOption(listenOption("--http <host:port>", "OTLP/HTTP", 4318))
    .option("-o, --output <file>", 'where to write; "-" is standard output', "-")
    .option("--rejects <file>", "keep records that are not valid v1 here, with their reasons")
    .option(
      "--extensions",
      "add what is known beyond v1, as the member extensions (not to records that have one)",
    )
    .option("--keep-duplicates", "write records again that a client sends again (the same log.record.uid)")
    .option("--request-bytes-max <size>", "largest request, uncompressed (default: 16MiB)", parseSizeBytes)
    .option("--duration <duration>", "stop after this long", parseDurationMs)
    .option(STATUS_OPTION, STATUS_HELP, parseStatusInterval)
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence receive > evidence.ndjson
  runtime-evidence receive --grpc 127.0.0.1:14317 --http none --output evidence.ndjson`,
    )
    .action(async (flags: ReceiveFlags) => setExitCode(await runReceive(flags)));
}

function listenOption(flags: string, protocol: string, port: number): Option {
  const address: ListenAddress = { host: "127.0.0.1", port };
  return new Option(flags, `listen for ${protocol}; "none" for not at all`)
    .argParser(parseAddress)
    .default(address, `${address.host}:${port}`);
}

function parseAddress(text: string): ListenAddress | "none" {
  return text === "none" ? text : parseListenAddress(text, "127.0.0.1:4317");
}

async function runReceive(flags: ReceiveFlags): Promise<number> {
  const print = (line: string) => (status ?? stderr).print(line);
  const stderr = { print: (line: string) => void process.stderr.write(`${line}\n`) };
  let status: ReturnType<typeof startStatusLine> | undefined;
  const reports = startStatusReports("receive", flags.status, print);
  const running = await startReceive({
    grpc: flags.grpc === "none" ? undefined : flags.grpc,
    http: flags.http === "none" ? undefined : flags.http,
    output: flags.output,
    rejects: flags.rejects,
    withExtensions: flags.extensions === true,
    keepDuplicates: flags.keepDuplicates === true,
    requestBytesMax: flags.requestBytesMax,
    report: print,
  });
  const addresses = [
    running.grpcAddress && `OTLP/gRPC on ${running.grpcAddress}`,
    running.httpAddress && `OTLP/HTTP on ${running.httpAddress}`,
  ];
  print(`receiving ${addresses.filter(Boolean).join(" and ")}; Ctrl-C ends it`);
  const { counts } = running;
  const render = () => {
    const refused = running.refusedRequests();
    const requests = refused > 0 ? ` · ${grouped(refused)} requests refused` : "";
    const repeats = counts.duplicates > 0 ? ` · ${grouped(counts.duplicates)} duplicates dropped` : "";
    return `${grouped(counts.written)} records written · ${grouped(counts.foreign)} of others · ${grouped(counts.invalid)} rejected${repeats}${requests}`;
  };
  status = startStatusLine(process.stderr, render);
  reports.watch(() => statusOf(running));
  await untilStopped(flags.duration);
  await running.close();
  reports.end();
  status.end();
  status = undefined;
  print(render());
  return counts.invalid > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}

function statusOf(running: RunningReceive): object {
  return {
    process: processJson(processStatus()),
    records: running.counts,
    requests_refused: running.refusedRequests(),
  };
}

function untilStopped(durationMs: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
    if (durationMs !== undefined) setTimeout(resolve, durationMs);
  });
}
