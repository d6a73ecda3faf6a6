/**
 * Options that `capture` and `replay` share: where the evidence goes.
 */
import { type Command, Option } from "commander";
import { type OtlpOverrides, readOtlpOptions } from "../delivery/otlp-environment.ts";
import { describeOtlpOptions, type OtlpOptions } from "../delivery/otlp-options.ts";
import type { SinkOptions } from "../pipeline/sinks.ts";
import { parseCount, parseDurationMs, parseSizeBytes, repeatable } from "./quantity.ts";

/** Values of the options added by `addSinkOptions`. */
export interface SinkFlags {
  otlpEndpoint?: string;
  otlpProtocol?: string;
  otlpHeader?: string[];
  otlpCompression?: string;
  otlpTimeout?: number;
  otlpInsecure?: boolean;
  output?: string;
  discard?: boolean;
  clock: "boot" | "realtime";
  extensions?: boolean;
  queueBytes?: number;
  batchBytes?: number;
  batchAge?: number;
  inFlight?: number;
  shutdownTimeout: number;
  summary: "text" | "json" | "none";
}

/** Variables that by themselves ask for a collector. */
const ENDPOINT_VARIABLES = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] as const;

/** Adds the options of all sinks. */
export function addSinkOptions(command: Command): Command {
  return command
    .option("--otlp-endpoint <url>", "send to this collector; port 4317 means gRPC")
    .addOption(
      new Option("--otlp-protocol <protocol>", "how to send").choices(["grpc", "http/protobuf", "http/json"]),
    )
    .option("--otlp-header <name=value>", "send this header, too; repeatable", repeatable(String))
    .addOption(new Option("--otlp-compression <method>", "compress requests").choices(["none", "gzip"]))
    .option("--otlp-timeout <duration>", "time for one request (default: 10s)", parseDurationMs)
    .option("--otlp-insecure", "gRPC without TLS for an endpoint without scheme")
    .option("-o, --output <file>", 'write v1 NDJSON to this file; "-" is standard output')
    .option("--discard", "encode everything, send nothing: for measuring")
    .addOption(
      new Option("--clock <clock>", "what ts_ns counts from: boot, or the Unix epoch")
        .choices(["boot", "realtime"])
        .default("boot"),
    )
    .option("--extensions", "add what is known beyond v1 to v1 output, as a member of its own")
    .option("--queue-bytes <size>", "memory for what is not acknowledged (default: 32MiB)", parseSizeBytes)
    .option("--batch-bytes <size>", "largest request before compression (default: 3.5MiB)", parseSizeBytes)
    .option("--batch-age <duration>", "longest wait for a request to fill (default: 1s)", parseDurationMs)
    .option("--in-flight <count>", "requests in flight at once (default: 4)", parseCount(1))
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
      queueBytesMax: flags.queueBytes,
      batchBytesMax: flags.batchBytes,
      requestsInFlight: flags.inFlight,
      report,
    },
    description: describe(otlp, output),
  };
}

function resolveOtlp(
  flags: SinkFlags,
  report: (line: string) => void,
  environment: NodeJS.ProcessEnv,
): OtlpOptions {
  const overrides: OtlpOverrides = {
    ...(flags.otlpEndpoint === undefined ? {} : { endpoint: flags.otlpEndpoint }),
    ...(flags.otlpProtocol === undefined ? {} : { protocol: flags.otlpProtocol }),
    ...(flags.otlpHeader === undefined ? {} : { headers: flags.otlpHeader }),
    ...(flags.otlpCompression === undefined ? {} : { compression: flags.otlpCompression }),
    ...(flags.otlpTimeout === undefined ? {} : { timeoutMs: flags.otlpTimeout }),
    ...(flags.otlpInsecure === undefined ? {} : { insecure: flags.otlpInsecure }),
    ...(flags.batchAge === undefined ? {} : { batchAgeMaxMs: flags.batchAge }),
  };
  const { options, warnings } = readOtlpOptions(environment, overrides);
  for (const warning of warnings) report(`warning: ${warning}`);
  return options;
}

function describe(otlp: OtlpOptions | "discard" | undefined, output: string | undefined): string {
  const parts: string[] = [];
  if (otlp === "discard") parts.push("nowhere");
  else if (otlp !== undefined) parts.push(describeOtlpOptions(otlp));
  if (output !== undefined) parts.push(output === "-" ? "standard output" : output);
  return parts.join(" and ");
}
