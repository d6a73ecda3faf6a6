/**
 * Options about sending to a collector, over the `OTEL_EXPORTER_OTLP_*` variables.
 */
import { type Command, Option } from "commander";
import { type OtlpOverrides, readOtlpOptions } from "../delivery/otlp-environment.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import { parseCount, parseDurationMs, parseSizeBytes, repeatable } from "./quantity.ts";

/** Values of the options added by `addDeliveryOptions`. */
export interface DeliveryFlags {
  otlpEndpoint?: string;
  otlpProtocol?: string;
  otlpHeader?: string[];
  otlpCompression?: string;
  otlpTimeout?: number;
  otlpInsecure?: boolean;
  queueBytes?: number;
  batchBytes?: number;
  batchAge?: number;
  inFlight?: number;
}

/** Adds the options of every way to a collector. */
export function addDeliveryOptions(command: Command): Command {
  return command
    .option("--otlp-endpoint <url>", "send to this collector; port 4317 means gRPC")
    .addOption(
      new Option("--otlp-protocol <protocol>", "how to send").choices(["grpc", "http/protobuf", "http/json"]),
    )
    .option("--otlp-header <name=value>", "send this header, too; repeatable", repeatable(String))
    .addOption(new Option("--otlp-compression <method>", "compress requests").choices(["none", "gzip"]))
    .option("--otlp-timeout <duration>", "time for one request (default: 10s)", parseDurationMs)
    .option("--otlp-insecure", "gRPC without TLS for an endpoint without scheme")
    .option("--queue-bytes <size>", "memory for what is not acknowledged (default: 32MiB)", parseSizeBytes)
    .option("--batch-bytes <size>", "largest request before compression (default: 3.5MiB)", parseSizeBytes)
    .option("--batch-age <duration>", "longest wait for a request to fill (default: 1s)", parseDurationMs)
    .option("--in-flight <count>", "requests in flight at once (default: 4)", parseCount(1));
}

/** Where to send, from the flags and the environment; what is wrong in the environment is reported. */
export function resolveOtlp(
  flags: DeliveryFlags,
  report: (line: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
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
