/**
 * What the commands that read stored logs read: files, or a running Loki.
 */
import { type Command, Option } from "commander";
import { expandInputs } from "../convert/input-files.ts";
import { STORED_FORMATS, type StoredFormat } from "../convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { lokiInput } from "../pipeline/loki-input.ts";
import { fileInput, type StoredInput } from "../pipeline/stored-inputs.ts";
import { addLokiOptions, type LokiFlags, resolveLoki } from "./loki-options.ts";

/** Values of the options added by `addInputOptions`. */
export interface InputFlags extends LokiFlags {
  from: StoredFormat | "auto";
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
  return addLokiOptions(command);
}

/** What to read, in order. Throws `usage` where there is nothing, or both files and a Loki. */
export async function openInputs(
  paths: readonly string[],
  flags: InputFlags,
  report: (line: string) => void,
): Promise<StoredInput[]> {
  const loki = resolveLoki(flags, report);
  if (loki !== undefined) {
    if (paths.length === 0) return [lokiInput(loki)];
    throw new RuntimeEvidenceError("usage", "--loki-url reads no files: give one or the other");
  }
  if (paths.length === 0) throw new RuntimeEvidenceError("usage", "name files to read, or --loki-url");
  return (await expandInputs(paths)).map((file) => fileInput(file, flags.from));
}
