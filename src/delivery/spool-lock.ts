/**
 * One process per spool. The lock is a listening Unix socket in the directory: the kernel closes it with the
 * process, however that dies, and nobody can connect to it any more, so it can't go stale. (A pid says nothing in
 * another pid namespace, an abstract socket nothing in another network namespace; a socket file is the same for
 * every container that mounts the directory. Node has no flock.)
 *
 *   1. listen on `lock-<pid>-<random>.new`, then rename it to `lock-<pid>-<random>`: whoever sees that name sees a
 *      socket that listens, or one whose process is gone;
 *   2. look at every other `lock-*`: one that can be connected to is alive, so take ours away and give up.
 *
 * Of two starters the one that renames later looks after both names are there, and sees the other. So never both
 * win; where both see each other, both try again after a random time. Names are never used twice, so removing a
 * dead one can't hit a live one. All of it holds for processes of one machine: on a network file system two
 * machines don't see each other's sockets.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, readdir, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Tries of one starter, and the longest wait between them: a held lock is refused in a fifth of a second. */
const TRIES = 4;
const WAIT_MS_MAX = 60;

const LOCK_NAME = /^lock-(\d+)-[0-9a-f]{16}$/;
const CLAIM_NAME = /^lock-\d+-[0-9a-f]{16}\.new$/;

/** Whether a name in the directory is the lock's business. */
export function isLockName(name: string): boolean {
  return LOCK_NAME.test(name) || CLAIM_NAME.test(name);
}

/** Held until released, or until the process ends. */
export interface SpoolLock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a directory.
 * @param handle the directory, open; must stay open as long as the lock is held
 * @throws RuntimeEvidenceError `limit` where another process has it, `io` where the file system can't hold it
 */
export async function lockSpool(directory: string, handle: FileHandle): Promise<SpoolLock> {
  // A path through the open directory: the path of a socket may have 107 bytes at most.
  const base = `/proc/self/fd/${handle.fd}`;
  let holder: string | undefined;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await sleep(5 + Math.random() * WAIT_MS_MAX);
    const claim = await publishClaim(base).catch((error: NodeJS.ErrnoException) => {
      throw new RuntimeEvidenceError("io", `cannot lock the spool ${directory}: ${error.message}`, {
        cause: error,
      });
    });
    if (claim === undefined) continue;
    holder = await findHolder(base, claim.name);
    if (holder === undefined) return { release: claim.withdraw };
    await claim.withdraw();
  }
  const who = holder === undefined ? "" : ` (process ${LOCK_NAME.exec(holder)?.[1]})`;
  throw new RuntimeEvidenceError(
    "limit",
    `the spool ${directory} is in use by another exporter${who}; give each exporter a --spool-dir of its own`,
    { context: { directory } },
  );
}

interface Claim {
  readonly name: string;
  withdraw(): Promise<void>;
}

/** `undefined` where another starter has taken the new name for a dead one. */
async function publishClaim(base: string): Promise<Claim | undefined> {
  const name = `lock-${process.pid}-${randomBytes(8).toString("hex")}`;
  const server = createServer((connection) => connection.destroy());
  const withdraw = async () => {
    await rm(join(base, name), { force: true });
    await new Promise((resolve) => server.close(resolve));
  };
  await listen(server, join(base, `${name}.new`));
  try {
    await rename(join(base, `${name}.new`), join(base, name));
  } catch (error) {
    await withdraw();
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return { name, withdraw };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      // Failing to accept a connection changes nothing about the lock; nor does the lock keep a process alive.
      server.on("error", () => {});
      server.unref();
      resolve();
    });
  });
}

/** The name of another live socket; dead ones are removed. */
async function findHolder(base: string, own: string): Promise<string | undefined> {
  for (const name of await readdir(base)) {
    if (name === own || !isLockName(name)) continue;
    const alive = await isAlive(join(base, name));
    if (!alive) await rm(join(base, name), { force: true });
    else if (LOCK_NAME.test(name)) return name;
  }
  return undefined;
}

/** Whatever isn't surely dead is alive. A process that is stopped or busy counts: the kernel answers for it. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(path);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}
