/**
 * Forces files to disk together, every interval, after they were written: those of `--fsync interval`, and those an
 * earlier run left. What is delivered before its turn is never forced to disk at all.
 */
import { decodeSpoolFile } from "./spool-file.ts";
import type { SpoolStorage } from "./spool-storage.ts";

export interface SpoolSyncOptions {
  readonly storage: SpoolStorage;
  readonly intervalMs: number;
  /** Largest file there is. */
  readonly fileBytesMax: number;
  /** A file, or the directory, could not be forced to disk; it is tried again after the next interval. */
  readonly onFailure: (error: unknown) => void;
}

export class SpoolSync {
  readonly #options: SpoolSyncOptions;
  readonly #unsynced = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: SpoolSyncOptions) {
    this.#options = options;
  }

  /** The file is there, and must be on disk after the interval. */
  add(name: string): void {
    this.#unsynced.add(name);
    this.#arm();
  }

  /** The file is not needed any more. */
  delete(name: string): void {
    this.#unsynced.delete(name);
  }

  /** Forces what is left to disk and ends. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
    await this.#syncAll();
    clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#running !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#syncAll().finally(() => {
        this.#running = undefined;
        if (this.#unsynced.size > 0) this.#arm();
      });
    }, this.#options.intervalMs);
  }

  async #syncAll(): Promise<void> {
    if (this.#unsynced.size === 0) return;
    const synced: string[] = [];
    for (const name of [...this.#unsynced]) {
      if (this.#unsynced.has(name) && (await this.#syncOne(name))) synced.push(name);
    }
    try {
      await this.#options.storage.syncDirectory();
      for (const name of synced) this.#unsynced.delete(name);
    } catch (error) {
      this.#options.onFailure(error);
    }
  }

  async #syncOne(name: string): Promise<boolean> {
    try {
      await this.#options.storage.sync(name);
      return true;
    } catch (error) {
      if (!this.#unsynced.has(name)) return true;
      this.#options.onFailure(error);
    }
    // The kernel forgets what it failed to write: another fsync of the same pages would succeed and mean nothing.
    // https://lwn.net/Articles/752063/
    return this.#rewrite(name).catch((error) => {
      this.#options.onFailure(error);
      return false;
    });
  }

  async #rewrite(name: string): Promise<boolean> {
    const { storage, fileBytesMax } = this.#options;
    const temporary = `${name}.tmp`;
    const file = await storage.read(name, fileBytesMax);
    // What can't be read back any more is found damaged when its turn to be sent comes.
    if ("damage" in decodeSpoolFile(file)) return true;
    try {
      await storage.write(temporary, [file], true);
      if (this.#unsynced.has(name)) await storage.rename(temporary, name);
    } finally {
      await storage.remove(temporary);
    }
    // Delivered while it was renamed: its removal came too early.
    if (!this.#unsynced.has(name)) await storage.remove(name);
    return true;
  }
}
