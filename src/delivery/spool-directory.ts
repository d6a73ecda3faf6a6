/** The directory of a spool: ours alone, and what its path says, or refused with a sentence. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir } from "node:fs/promises";
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
  return inspect(directory, async (_, found) => {
    checkOwner(directory, found, process.geteuid?.() ?? found.uid);
  });
}

/**
 * For root that will give itself up: makes the directory and gives it to `owner`, who will open it later. One that
 * is there already must be the owner's, or root's and empty.
 * @throws RuntimeEvidenceError as `openSpoolDirectory`
 */
export async function prepareSpoolDirectory(directory: string, owner: SpoolOwner): Promise<void> {
  await makeDirectory(directory, false);
  const handle = await inspect(directory, async (handle, found) => {
    const isOurs = found.uid === process.geteuid?.();
    // By the open directory, not by its path: who may write above it could put another one in its place.
    const isEmpty = async () => (await readdir(`/proc/self/fd/${handle.fd}`)).length === 0;
    if (found.uid === owner.uid || !isOurs || !(await isEmpty())) {
      return checkOwner(directory, found, owner.uid);
    }
    checkOwner(directory, found, found.uid);
    await handle.chown(owner.uid, owner.gid);
  });
  await handle.close();
}

async function makeDirectory(directory: string, sync: boolean): Promise<void> {
  try {
    const parent = dirname(directory);
    // Whoever the directory is given to must be able to get there.
    const made = await mkdir(parent, { recursive: true, mode: 0o755 });
    await mkdir(directory, { mode: 0o700 });
    if (!sync) return;
    await syncDirectory(parent);
    if (made !== undefined) await syncDirectory(dirname(made));
  } catch (error) {
    // Whatever stands there is looked at next.
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw refusal(directory, error as NodeJS.ErrnoException);
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, O_RDONLY | O_DIRECTORY);
  await handle.sync().finally(() => handle.close());
}

/** Opens the directory, and closes it again where `check` refuses it. */
async function inspect(
  directory: string,
  check: (handle: FileHandle, found: Stats) => Promise<void>,
): Promise<FileHandle> {
  const handle = await open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(async (error) => {
    // A link is refused with the same code as a file.
    const isLink = await lstat(directory).then(
      (stat) => stat.isSymbolicLink(),
      () => false,
    );
    throw refusal(directory, isLink ? { ...error, code: "ELOOP" } : error);
  });
  try {
    await check(handle, await handle.stat());
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
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
