/**
 * Options that `capture` and `replay` share: where the evidence goes.
 */
import { type Command, Option } from "commander";
import { describeOtlpOptions, type OtlpOptions } from "../delivery/otlp-options.ts";
import type { SinkOptions } from "../pipeline/sinks.ts";
import { addDeliveryOptions, type DeliveryFlags, resolveDelivery, resolveOtlp } from "./delivery-options.ts";
import { type OptionNeed, requireNeeds } from "./option-needs.ts";
import { parseDurationMs } from "./quantity.ts";
import type { TelemetryFlags } from "./telemetry-options.ts";

/** Values of the options added by `addSinkOptions`. */
export interface SinkFlags extends DeliveryFlags {
  output?: string;
  discard?: boolean;
  clock: "boot" | "realtime";
  extensions?: boolean;
  shutdownTimeout: number;
  summary: "text" | "json" | "none";
}

/** Variables that by themselves ask for a collector. */
const ENDPOINT_VARIABLES = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] as const;

/** Adds the options of all sinks. */
export function addSinkOptions(command: Command): Command {
  return addDeliveryOptions(command)
    .option("-o, --output <file>", 'write v1 NDJSON to this file; "-" is standard output')
    .option("--discard", "encode everything, send nothing: for measuring")
    .addOption(
      new Option("--clock <clock>", "what ts_ns counts from: boot, or the Unix epoch")
        .choices(["boot", "realtime"])
        .default("boot"),
    )
    .option("--extensions", "add what is known beyond v1 to v1 output, as a member of its own")
    .option(
      "--shutdown-timeout <duration>",
      "time to deliver the rest at the end",
      parseDurationMs,
      parseDurationMs("30s"),
    )
    .addOption(
      new Option("--summary <form>", "what to say at the end, on standard error")
        .choices(["text", "json", "none"])
        .default("text"),
    );
}

/** Options of the connection to a collector: metrics of the exporter use them, too. */
const CONNECTION_OPTIONS = [
  "otlpEndpoint",
  "otlpProtocol",
  "otlpHeader",
  "otlpHeadersFile",
  "otlpCompression",
  "otlpTimeout",
  "otlpInsecure",
] as const satisfies readonly (keyof DeliveryFlags)[];

/** Options of what waits for a collector. */
const DELIVERY_OPTIONS = [
  "queue",
  "spoolDir",
  "spoolBytes",
  "fsync",
  "fsyncInterval",
  "whenFull",
  "batchAge",
  "inFlight",
  "maxAge",
  "deadLetter",
  "lossInterval",
] as const satisfies readonly (keyof DeliveryFlags)[];

/** Options that `--discard` obeys as well: it fills requests and has a queue. */
const ENCODING_OPTIONS = ["queueBytes", "batchBytes"] as const satisfies readonly (keyof DeliveryFlags)[];

function sinkNeeds(
  { discard, metrics }: SinkFlags & TelemetryFlags,
  { otlp, output }: Pick<SinkOptions, "otlp" | "output">,
): OptionNeed<SinkFlags>[] {
  const isSent = otlp !== undefined && otlp !== "discard";
  const needed = discard
    ? "evidence to be sent, and --discard sends none: leave out one or the other"
    : `a collector: add --otlp-endpoint URL, or set ${ENDPOINT_VARIABLES[0]}`;
  return [
    { options: CONNECTION_OPTIONS, isMet: isSent || metrics === "otlp", needed },
    { options: DELIVERY_OPTIONS, isMet: isSent, needed },
    { options: ENCODING_OPTIONS, isMet: otlp !== undefined, needed },
    { options: ["extensions"], isMet: output !== undefined, needed: "v1 output: add --output FILE" },
  ];
}

/**
 * What the flags and the environment ask for; without a collector or a file, v1 on standard output.
 * @throws RuntimeEvidenceError `usage` for options that need what is not there
 */
export function resolveSinks(
  flags: SinkFlags & TelemetryFlags,
  report: (line: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): { sinks: SinkOptions; description: string } {
  const wantsOtlp =
    flags.otlpEndpoint !== undefined || ENDPOINT_VARIABLES.some((name) => environment[name]?.trim());
  const otlp = flags.discard ? "discard" : wantsOtlp ? resolveOtlp(flags, report, environment) : undefined;
  const output = flags.output ?? (otlp === undefined ? "-" : undefined);
  requireNeeds(flags, sinkNeeds(flags, { otlp, output }));
  return {
    sinks: {
      clock: flags.clock,
      otlp,
      output,
      withExtensions: flags.extensions === true,
      delivery: resolveDelivery(flags),
      report,
    },
    description: describe(otlp, output),
  };
}

function describe(otlp: OtlpOptions | "discard" | undefined, output: string | undefined): string {
  const parts: string[] = [];
  if (otlp === "discard") parts.push("nowhere");
  else if (otlp !== undefined) parts.push(describeOtlpOptions(otlp));
  if (output !== undefined) parts.push(output === "-" ? "standard output" : output);
  return parts.join(" and ");
}
