/** The directory of a spool: ours alone, and what its path says, or refused with a sentence. */
import { constants, type Stats } from "node:fs";
import { chown, type FileHandle, lstat, mkdir, open, readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { RuntimeEvidenceError } from "../evidence/error.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
const GROUP_OR_OTHERS_WRITE = 0o022;

/** Who the exporter will be when it uses the directory. */
export interface SpoolOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Opens the directory, making it (0700) where it is missing.
 * @param sync whether a directory just made must survive a power cut
 * @throws RuntimeEvidenceError `usage` where it is no directory or a symbolic link, `not-permitted` where it is
 *   another user's or others may write to it, `io` otherwise
 */
export async function openSpoolDirectory(directory: string, sync: boolean): Promise<FileHandle> {
  await makeDirectory(directory, sync);
  await inspect(directory);
  const handle = await open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((error) => {
    throw refusal(directory, error);
  });
  try {
    const { uid, mode } = await handle.stat();
    checkOwner(directory, { uid, mode }, process.geteuid?.() ?? uid);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * For root that will give itself up: makes the directory and gives it to `owner`, who will open it later. One that
 * is there already must be the owner's, or root's and empty.
 * @throws RuntimeEvidenceError as `openSpoolDirectory`
 */
export async function prepareSpoolDirectory(directory: string, owner: SpoolOwner): Promise<void> {
  await makeDirectory(directory, false);
  const found = await inspect(directory);
  const isOurs = found.uid === process.geteuid?.();
  if (found.uid !== owner.uid && isOurs && (await readdir(directory)).length === 0) {
    checkOwner(directory, found, found.uid);
    await chown(directory, owner.uid, owner.gid);
    return;
  }
  checkOwner(directory, found, owner.uid);
}

async function makeDirectory(directory: string, sync: boolean): Promise<void> {
  try {
    const made = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (made === undefined || !sync) return;
    const parent = await open(dirname(made), O_RDONLY | O_DIRECTORY);
    await parent.sync().finally(() => parent.close());
  } catch (error) {
    throw refusal(directory, error as NodeJS.ErrnoException);
  }
}

async function inspect(directory: string): Promise<Stats> {
  const found = await lstat(directory).catch((error) => {
    throw refusal(directory, error);
  });
  if (found.isSymbolicLink()) throw refusal(directory, { code: "ELOOP" });
  if (!found.isDirectory()) throw refusal(directory, { code: "ENOTDIR" });
  return found;
}

function checkOwner(directory: string, { uid, mode }: Pick<Stats, "uid" | "mode">, ours: number): void {
  if (uid !== ours) {
    throw new RuntimeEvidenceError(
      "not-permitted",
      `the spool ${directory} belongs to user ${uid}, not to user ${ours} that the exporter runs as`,
      { context: { directory } },
    );
  }
  if ((mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    throw new RuntimeEvidenceError(
      "not-permitted",
      `others may write to the spool ${directory}: do chmod 700 and look at what is in it`,
      { context: { directory } },
    );
  }
}

function refusal(
  directory: string,
  error: { code?: string | undefined; message?: string },
): RuntimeEvidenceError {
  const options = { context: { directory }, cause: error };
  switch (error.code) {
    case "ENOTDIR":
    case "EEXIST":
      return new RuntimeEvidenceError("usage", `the spool ${directory} is not a directory`, options);
    case "ELOOP":
      return new RuntimeEvidenceError(
        "usage",
        `the spool ${directory} is a symbolic link: name the directory itself`,
        options,
      );
    case "EACCES":
    case "EPERM":
      return new RuntimeEvidenceError(
        "not-permitted",
        `cannot use the spool ${directory}: ${error.code}`,
        options,
      );
    default:
      return new RuntimeEvidenceError("io", `cannot use the spool ${directory}: ${error.message}`, options);
  }
}
