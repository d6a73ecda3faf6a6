/** Spools of tests, in directories that are removed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DiskQueue, type DiskQueueOptions, openDiskQueue } from "../../src/delivery/disk-queue.ts";

/** Directories and queues of one suite. */
export class SpoolScratch {
  readonly #directories: string[] = [];
  readonly #queues: DiskQueue[] = [];

  /** A directory that does not exist yet. */
  directory(): string {
    const parent = mkdtempSync(join(tmpdir(), "runtime-evidence-spool-"));
    this.#directories.push(parent);
    return join(parent, "spool");
  }

  /** A queue, in a new directory unless one is named; ended by `remove` at the latest. */
  async open(options: Partial<DiskQueueOptions> = {}): Promise<DiskQueue> {
    const directory = options.directory ?? this.directory();
    const queue = await openDiskQueue({ fsync: "never", retryMs: 20, ...options, directory });
    this.#queues.push(queue);
    return queue;
  }

  /** Ends all queues. */
  async end(): Promise<void> {
    for (const queue of this.#queues.splice(0)) await queue.end();
  }

  async remove(): Promise<void> {
    await this.end();
    for (const directory of this.#directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  }
}
