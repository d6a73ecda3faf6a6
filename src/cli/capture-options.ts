/**
 * Options that `capture` and `replay` share: where the evidence goes.
 */
import { type Command, Option } from "commander";
import { describeOtlpOptions, type OtlpOptions } from "../delivery/otlp-options.ts";
import type { SinkOptions } from "../pipeline/sinks.ts";
import { addDeliveryOptions, type DeliveryFlags, resolveDelivery, resolveOtlp } from "./delivery-options.ts";
import { parseDurationMs } from "./quantity.ts";

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

/** What the flags and the environment ask for; without a collector or a file, v1 on standard output. */
export function resolveSinks(
  flags: SinkFlags,
  report: (line: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): { sinks: SinkOptions; description: string } {
  const wantsOtlp =
    flags.otlpEndpoint !== undefined || ENDPOINT_VARIABLES.some((name) => environment[name]?.trim());
  const otlp = flags.discard ? "discard" : wantsOtlp ? resolveOtlp(flags, report, environment) : undefined;
  const output = flags.output ?? (otlp === undefined ? "-" : undefined);
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
