/**
 * Options about sending to a collector, over the `OTEL_EXPORTER_OTLP_*` variables.
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { type Environment, type OtlpOverrides, readOtlpOptions } from "../delivery/otlp-environment.ts";
import type { OtlpOptions, OtlpSignal } from "../delivery/otlp-options.ts";
import type { WhenFull } from "../delivery/queue.ts";
import type { SpoolFsync } from "../delivery/spool.ts";
import type { DeliveryTuning } from "../pipeline/delivery-tuning.ts";
import { requireNeeds } from "./option-needs.ts";
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
  otlpHeadersFile?: string;
  queue?: "memory" | "disk";
  spoolDir?: string;
  spoolBytes?: number;
  whenFull?: WhenFull;
  fsync?: SpoolFsync;
  fsyncInterval?: number;
  maxAge?: number;
  deadLetter?: string;
  lossInterval?: number;
}

/** Adds the options of every way to a collector. */
export function addDeliveryOptions(command: Command): Command {
  return addQueueOptions(addSendingOptions(command));
}

function addSendingOptions(command: Command): Command {
  return command
    .option("--otlp-endpoint <url>", "send to this collector; port 4317 means gRPC")
    .addOption(
      new Option("--otlp-protocol <protocol>", "how to send").choices(["grpc", "http/protobuf", "http/json"]),
    )
    .option("--otlp-header <name=value>", "send this header, too; repeatable", repeatable(String))
    .addOption(new Option("--otlp-compression <method>", "compress requests").choices(["none", "gzip"]))
    .option("--otlp-timeout <duration>", "time for one request (default: 10s)", parseDurationMs)
    .option("--otlp-insecure", "gRPC without TLS for an endpoint without scheme")
    .option("--otlp-headers-file <file>", "send its name=value lines as headers; read again when it changes")
    .option("--batch-bytes <size>", "largest request before compression (default: 3.5MiB)", parseSizeBytes)
    .option("--batch-age <duration>", "longest wait for a request to fill (default: 1s)", parseDurationMs)
    .option("--in-flight <count>", "requests in flight at once (default: 4)", parseCount(1))
    .option("--max-age <duration>", "give up what is not delivered by then (default: never)", parseDurationMs)
    .option("--dead-letter <file>", "keep here what the collector will never take; convert reads it");
}

/** See docs/delivery.md for what each promises and costs. */
function addQueueOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--queue <where>", "where to keep what is not acknowledged (default: memory)").choices([
        "memory",
        "disk",
      ]),
    )
    .option("--queue-bytes <size>", "memory for it (default: 32MiB)", parseSizeBytes)
    .option("--spool-dir <directory>", `where --queue disk keeps it (default: ${spoolDirectoryDefault()})`)
    .option("--spool-bytes <size>", "disk for it (default: 1GiB)", parseSizeBytes)
    .addOption(
      new Option("--when-full <policy>", "what happens at the limit (default: block)").choices([
        "block",
        "drop-oldest",
        "drop-newest",
      ]),
    )
    .addOption(
      new Option("--fsync <when>", "when the spool is forced to disk (default: interval)").choices([
        "always",
        "interval",
        "never",
      ]),
    )
    .option("--fsync-interval <duration>", "how often, with interval (default: 1s)", parseDurationMs)
    .option("--loss-interval <duration>", "between two reports of a loss (default: 10s)", parseDurationMs);
}

/** A system's state belongs to root's place for it, a user's to theirs (XDG Base Directory Specification). */
export function spoolDirectoryDefault(environment: NodeJS.ProcessEnv = process.env): string {
  if (process.getuid?.() === 0) return "/var/lib/runtime-evidence/spool";
  const state = environment.XDG_STATE_HOME?.trim() || join(homedir(), ".local/state");
  return join(state, "runtime-evidence/spool");
}

/** How to deliver, from the flags. Throws `usage` for options that need others or contradict each other. */
export function resolveDelivery(flags: DeliveryFlags): DeliveryTuning {
  const { spoolDir, spoolBytes, fsync, fsyncInterval } = flags;
  const onDisk = flags.queue === "disk" || (flags.queue === undefined && spoolDir !== undefined);
  requireNeeds(flags, [
    {
      options: ["spoolDir", "spoolBytes", "fsync", "fsyncInterval"],
      isMet: onDisk,
      needed: "--queue disk",
    },
    {
      options: ["fsyncInterval"],
      isMet: fsync === undefined || fsync === "interval",
      needed: "--fsync interval",
    },
  ]);
  const spool = {
    directory: resolve(spoolDir ?? spoolDirectoryDefault()),
    bytesMax: spoolBytes,
    fsync,
    fsyncIntervalMs: fsyncInterval,
  };
  return {
    queue: {
      memoryBytesMax: flags.queueBytes,
      whenFull: flags.whenFull,
      ...(onDisk && { spool }),
    },
    batchBytesMax: flags.batchBytes,
    requestsInFlight: flags.inFlight,
    lossIntervalMs: flags.lossInterval,
    maxAgeMs: flags.maxAge,
    deadLetterPath: flags.deadLetter,
  };
}

/** Where to send, from the flags and the environment; what is wrong in the environment is reported. */
export function resolveOtlp(
  flags: DeliveryFlags,
  report: (line: string) => void,
  environment: Environment = process.env,
  signal: OtlpSignal = "logs",
): OtlpOptions {
  const overrides: OtlpOverrides = {
    ...(flags.otlpEndpoint === undefined ? {} : { endpoint: flags.otlpEndpoint }),
    ...(flags.otlpProtocol === undefined ? {} : { protocol: flags.otlpProtocol }),
    ...(flags.otlpHeader === undefined ? {} : { headers: flags.otlpHeader }),
    ...(flags.otlpHeadersFile === undefined ? {} : { headersFile: flags.otlpHeadersFile }),
    ...(flags.otlpCompression === undefined ? {} : { compression: flags.otlpCompression }),
    ...(flags.otlpTimeout === undefined ? {} : { timeoutMs: flags.otlpTimeout }),
    ...(flags.otlpInsecure === undefined ? {} : { insecure: flags.otlpInsecure }),
    ...(flags.batchAge === undefined ? {} : { batchAgeMaxMs: flags.batchAge }),
  };
  const { options, warnings } = readOtlpOptions(environment, overrides, signal);
  for (const warning of warnings) report(`warning: ${warning}`);
  return options;
}
