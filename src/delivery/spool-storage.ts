/**
 * What the spool needs of a file system, by names within its directory. Errors are those of `node:fs`, with
 * their codes. Behind an interface, because tests take power away and break disks.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** O_NONBLOCK: a pipe in place of a file must not make us wait for its writer. */
const READ_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** What can be known of a file without reading all of it. */
export interface FileHead {
  readonly head: Buffer;
  readonly fileBytes: number;
  /** When it was written, by the wall clock, milliseconds since the Unix epoch. */
  readonly writtenAtUnixMs: number;
}

export interface SpoolStorage {
  /** Names in the directory, or in a folder of it; none where that folder is not there. */
  names(folder?: string): Promise<string[]>;
  /** Makes a file of `parts`; where one of that name is left over, it is replaced. `sync`: on disk when resolved. */
  write(name: string, parts: readonly Buffer[], sync: boolean): Promise<void>;
  /**
   * Writes `parts` over a file that is there, in place, and cuts off what is behind them: needs no room that the file
   * does not have. `sync` as for `write`.
   */
  overwrite(name: string, parts: readonly Buffer[], sync: boolean): Promise<void>;
  /** A whole file, which must be no larger than `bytesMax`. */
  read(name: string, bytesMax: number): Promise<Buffer>;
  /** The first bytes of a file. */
  readHead(name: string, headBytesMax: number): Promise<FileHead>;
  /** What was written to the file is on disk when resolved. */
  sync(name: string): Promise<void>;
  /** Atomic; a file of the new name is replaced. A name may stand in a folder, which is made where it is missing. */
  rename(from: string, to: string): Promise<void>;
  /** Does nothing where the file is gone already. */
  remove(name: string): Promise<void>;
  /** Names made, changed and removed are on disk when resolved. */
  syncDirectory(): Promise<void>;
}

/** @param handle the directory, open; it stays the caller's */
export function createSpoolStorage(directory: string, handle: FileHandle): SpoolStorage {
  return new DirectoryStorage(directory, handle);
}

class DirectoryStorage implements SpoolStorage {
  readonly #directory: string;
  readonly #handle: FileHandle;

  constructor(directory: string, handle: FileHandle) {
    this.#directory = directory;
    this.#handle = handle;
  }

  names(folder = "."): Promise<string[]> {
    return readdir(this.#path(folder)).catch((error: NodeJS.ErrnoException) => {
      if (folder !== "." && error.code === "ENOENT") return [];
      throw error;
    });
  }

  async write(name: string, parts: readonly Buffer[], sync: boolean): Promise<void> {
    const file = await this.#create(name);
    try {
      for (const part of parts) await writeAll(file, part);
      if (sync) await file.datasync();
    } finally {
      await file.close();
    }
  }

  async overwrite(name: string, parts: readonly Buffer[], sync: boolean): Promise<void> {
    const file = await open(this.#path(name), O_WRONLY | O_NOFOLLOW);
    try {
      for (const part of parts) await writeAll(file, part);
      await file.truncate(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
      if (sync) await file.datasync();
    } finally {
      await file.close();
    }
  }

  read(name: string, bytesMax: number): Promise<Buffer> {
    return this.#reading(name, async (file, fileBytes) => {
      if (fileBytes > bytesMax) throw errno("EFBIG", name);
      return readUpTo(file, fileBytes);
    });
  }

  /**
   * Blocks for one small read: through the thread pool it would cost five times the CPU (110 µs against 20), and a
   * start may have 100,000 files to look at.
   */
  async readHead(name: string, headBytesMax: number): Promise<FileHead> {
    const file = openSync(this.#path(name), READ_FLAGS);
    try {
      const stat = fstatSync(file);
      if (!stat.isFile()) throw errno("EINVAL", name);
      const head = Buffer.allocUnsafeSlow(Math.min(stat.size, headBytesMax));
      const bytesRead = readSync(file, head, 0, head.length, 0);
      return { head: head.subarray(0, bytesRead), fileBytes: stat.size, writtenAtUnixMs: stat.mtimeMs };
    } finally {
      closeSync(file);
    }
  }

  sync(name: string): Promise<void> {
    return this.#reading(name, (file) => file.datasync());
  }

  async rename(from: string, to: string): Promise<void> {
    if (to.includes("/")) await mkdir(join(this.#path(to), ".."), { recursive: true, mode: 0o700 });
    await rename(this.#path(from), this.#path(to));
  }

  remove(name: string): Promise<void> {
    return unlink(this.#path(name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  syncDirectory(): Promise<void> {
    return this.#handle.sync();
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  /** O_EXCL: nothing that stands there already, a symbolic link least of all, is written to. */
  async #create(name: string): Promise<FileHandle> {
    const create = () => open(this.#path(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      return await create();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    await this.remove(name);
    return create();
  }

  async #reading<T>(name: string, read: (file: FileHandle, fileBytes: number) => Promise<T>): Promise<T> {
    const file = await open(this.#path(name), READ_FLAGS);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw errno("EINVAL", name);
      return await read(file, stat.size);
    } finally {
      await file.close();
    }
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}

/** Shorter where the file ends before. */
async function readUpTo(file: FileHandle, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  while (at < bytes) {
    const { bytesRead } = await file.read(buffer, at, bytes - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return buffer.subarray(0, at);
}

function errno(code: string, name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${name}`), { code });
}

/** What went wrong, in a word that can be counted. */
export function errorCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "error";
}

/** Of the others nobody knows what they say of a file: an I/O error, missing rights, too many open files. */
const NO_FILE: ReadonlySet<string> = new Set(["ENOENT", "ELOOP", "EINVAL", "EFBIG", "EISDIR", "ENXIO"]);

/** Whether reading failed because there is no file of ours under that name: nothing, a link, a folder, a pipe. */
export function isNoFile(error: unknown): boolean {
  return NO_FILE.has(errorCode(error));
}
