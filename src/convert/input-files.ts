/** From the paths that a command is given to the files that it reads, in the order in which they were written. */

import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** One input to read. */
export interface InputFile {
  /** "-" is standard input. */
  readonly path: string;
  /** Nothing for standard input, a pipe, or a path that can't be looked at: reading it says why. */
  readonly sizeBytes: number | undefined;
}

/** Default of `filesMax`. */
export const FILES_MAX_DEFAULT = 100_000;

export interface InputOptions {
  /** Most files of all directories together; more are an error of code `limit`. Default {@link FILES_MAX_DEFAULT}. */
  readonly filesMax?: number;
  /** Told about each file of a directory that is left out, and why. */
  readonly onSkipped?: (path: string, reason: string) => void;
}

/**
 * Paths as they are given, but a directory stands for its files and those of the directories in it, by name.
 * A file that was rotated stands before the one that took its place, the oldest first. Hidden files, and what
 * is no file, are left out. Links to directories are not followed.
 */
export async function expandInputs(
  paths: readonly string[],
  options: InputOptions = {},
): Promise<InputFile[]> {
  const inputs: InputFile[] = [];
  const listing: Listing = {
    filesLeft: options.filesMax ?? FILES_MAX_DEFAULT,
    onSkipped: options.onSkipped ?? (() => {}),
  };
  for (const path of paths) {
    const found = path === "-" ? undefined : await stat(path).catch(() => undefined);
    if (found?.isDirectory()) inputs.push(...(await filesOf(path, listing)));
    else inputs.push({ path, sizeBytes: found?.isFile() ? found.size : undefined });
  }
  return inputs;
}

interface Listing {
  filesLeft: number;
  readonly onSkipped: (path: string, reason: string) => void;
}

async function filesOf(directory: string, listing: Listing): Promise<InputFile[]> {
  const files: InputFile[] = [];
  for (const entry of inOrderWritten(await entriesOf(directory))) {
    const path = join(directory, entry.name);
    if (entry.name.startsWith(".")) {
      listing.onSkipped(path, "it is hidden");
    } else if (entry.isDirectory()) {
      files.push(...(await filesOf(path, listing)));
    } else {
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) {
        takeOne(listing, directory);
        files.push({ path, sizeBytes: found.size });
      } else listing.onSkipped(path, "it is not a file");
    }
  }
  return files;
}

function takeOne(listing: Listing, directory: string): void {
  listing.filesLeft -= 1;
  if (listing.filesLeft >= 0) return;
  const message = `too many files in ${directory}: name fewer directories, or the files themselves`;
  throw new RuntimeEvidenceError("limit", message, { context: { directory } });
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (cause) {
    throw new RuntimeEvidenceError("io", `can't read ${directory}: ${(cause as Error).message}`, { cause });
  }
}

function inOrderWritten(entries: readonly Dirent[]): Dirent[] {
  const keys = new Map(entries.map((entry) => [entry, rotationOf(entry.name)]));
  const keyOf = (entry: Dirent) => keys.get(entry) as Rotation;
  return entries.toSorted((one, other) => {
    const [a, b] = [keyOf(one), keyOf(other)];
    return compare(a.liveName, b.liveName) || compare(a.time, b.time) || compare(one.name, other.name);
  });
}

interface Rotation {
  /** The name of the file that is written now. */
  readonly liveName: string;
  /** When it was rotated; behind all of them for the one that is written now. */
  readonly time: string;
}

/**
 * The Collector's file exporter puts the time before the extension, and newer versions the reason behind it
 * (github.com/DeRuina/timberjack; lumberjack before): `logs.json` becomes
 * `logs-2026-01-02T03-04-05.678-size.json`, and may then be compressed to `….json.gz` or `….json.zst`.
 */
const ROTATED = /^(.*)-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})(?:-[^.]*)?(\.[^.]*)?(?:\.gz|\.zst)?$/;

function rotationOf(name: string): Rotation {
  const [, prefix = name, time = "~", extension = ""] = ROTATED.exec(name) ?? [];
  return { liveName: prefix + extension, time };
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
