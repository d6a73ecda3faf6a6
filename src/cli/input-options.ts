/**
 * What the commands that read stored logs read: files, or a running Loki.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { expandInputs } from "../convert/input-files.ts";
import { STORED_FORMATS, type StoredFormat } from "../convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { lokiInput } from "../pipeline/loki-input.ts";
import { REJECTED_SHOWN_DEFAULT } from "../pipeline/rejected-lines.ts";
import { fileInput, type StoredInput, type StoredLimits } from "../pipeline/stored-inputs.ts";
import { addLokiOptions, type LokiFlags, resolveLoki } from "./loki-options.ts";
import { parseCount, parseSizeBytes } from "./quantity.ts";

/** Values of the options added by `addLimitOptions`. */
export interface LimitFlags {
  lineBytesMax?: number;
  valuesMax?: number;
  showRejected: number;
}

/** Values of the options added by `addInputOptions`. */
export interface InputFlags extends LokiFlags, LimitFlags {
  messageBytesMax?: number;
  from: StoredFormat | "auto";
}

/** Text of more bytes is beyond what V8 can have in one string. */
const MESSAGE_BYTES_LIMIT = 256 * 1024 * 1024;
const MESSAGE_BYTES_LEAST = 1024;

/** Adds the limits of records that are read. */
export function addLimitOptions(command: Command): Command {
  return command
    .option(
      "--line-bytes-max <size>",
      "longest v1 record, row of Grafana, or log record of a large message; longer ones are rejected (default: 4MiB)",
      parseMessageBytes,
    )
    .option(
      "--values-max <count>",
      "most members and items of one record; one with more is rejected (default: 100000)",
      parseCount(1),
    )
    .option(
      "--show-rejected <count>",
      "rejected records and messages to name per input; others are only counted",
      parseCount(0),
      REJECTED_SHOWN_DEFAULT,
    );
}

function parseMessageBytes(text: string): number {
  const bytes = parseSizeBytes(text);
  if (bytes >= MESSAGE_BYTES_LEAST && bytes <= MESSAGE_BYTES_LIMIT) return bytes;
  throw new InvalidArgumentError("a size from 1KiB to 256MiB is needed.");
}

/** The limits that were given. */
export function resolveLimits(flags: LimitFlags & Pick<InputFlags, "messageBytesMax">): StoredLimits {
  const { lineBytesMax, messageBytesMax, valuesMax } = flags;
  return {
    ...(lineBytesMax !== undefined && { lineBytesMax }),
    ...(messageBytesMax !== undefined && { messageBytesMax }),
    ...(valuesMax !== undefined && { valuesMax }),
  };
}

/** Adds the argument and the options. */
export function addInputOptions(command: Command): Command {
  command
    .argument(
      "[input...]",
      'files, or directories of them; "-" is standard input; gzip and zstd are read, too',
    )
    .addOption(
      new Option("--from <format>", "what the inputs are")
        .choices(["auto", ...STORED_FORMATS])
        .default("auto"),
    );
  addLimitOptions(command).option(
    "--message-bytes-max <size>",
    "longest OTLP message or answer of Loki; longer ones are passed over (default: 64MiB)",
    parseMessageBytes,
  );
  return addLokiOptions(command);
}

/** What to read, in order. Throws `usage` where there is nothing, or both files and a Loki. */
export async function openInputs(
  paths: readonly string[],
  flags: InputFlags,
  report: (line: string) => void,
): Promise<StoredInput[]> {
  const loki = resolveLoki(flags, report);
  const limits = resolveLimits(flags);
  if (loki !== undefined) {
    if (paths.length === 0) return [lokiInput(loki, limits)];
    throw new RuntimeEvidenceError("usage", "--loki-url reads no files: give one or the other");
  }
  if (paths.length === 0) throw new RuntimeEvidenceError("usage", "name files to read, or --loki-url");
  return (await expandInputs(paths)).map((file) => fileInput(file, flags.from, limits));
}
