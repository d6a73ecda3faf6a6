/**
 * Refuses outputs that would overwrite an input or each other: opening a file for writing empties it.
 */
import { fstat, type Stats, stat } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { StoredInput } from "./stored-inputs.ts";

const statOf = promisify(stat);
const fstatOf = promisify(fstat);

/**
 * To be asked before any of `outputs` is opened ("-" is standard output; those that are undefined are not written).
 * Links are followed; pipes and devices may be named as often as one likes.
 * @throws RuntimeEvidenceError `usage` naming the file.
 */
export async function requireOwnFiles(
  inputs: readonly StoredInput[],
  outputs: readonly (string | undefined)[],
): Promise<void> {
  const names = new Map<string, string>();
  for (const output of outputs) {
    if (output === undefined) continue;
    const found = await fileOf(output, 1);
    const identity = found === undefined ? resolve(output) : identityOf(found);
    if (output !== "-" && names.has(identity)) {
      throw new RuntimeEvidenceError("usage", `${output} is named for two outputs: name another file`);
    }
    if (found === undefined || found.isFile()) names.set(identity, output);
  }
  for (const { path } of inputs) {
    if (path === undefined || names.size === 0) continue;
    const found = await fileOf(path, 0);
    const output = found?.isFile() ? names.get(identityOf(found)) : undefined;
    if (output === undefined) continue;
    const what = output === "-" ? "standard output" : output;
    throw new RuntimeEvidenceError("usage", `${what} is one of the inputs: write to another file`);
  }
}

function fileOf(path: string, standardFd: number): Promise<Stats | undefined> {
  const found = path === "-" ? fstatOf(standardFd) : statOf(path);
  return found.catch(() => undefined);
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}
