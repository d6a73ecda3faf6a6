/**
 * The files of a spool and how durable they are: one method for each thing that happens to a file. Which file
 * when is the queue's business.
 *
 *   store    NNN.request.tmp ──write──► (fsync) ──rename──► NNN.request ──► (fsync of the directory)
 *   discard  NNN.request ──remove──► gone; tried again until it is
 *   setAside NNN.request ──rename──► damaged/NNN.request
 */
import type { SealedRequest } from "./outcome.ts";
import type { RequestFacts } from "./queue.ts";
import type { Report } from "./report.ts";
import {
  decodeSpoolFile,
  decodeSpoolHeader,
  SPOOL_HEADER_BYTES_MAX,
  SPOOL_PAYLOAD_BYTES_MAX,
  type SpoolDamage,
} from "./spool-file.ts";
import { DAMAGED_FOLDER } from "./spool-names.ts";
import { errorCode, type SpoolStorage } from "./spool-storage.ts";
import { SpoolSync } from "./spool-sync.ts";

/** When what was written is forced to disk. What each may lose is said in `disk-queue.ts`. */
export type SpoolFsync = "always" | "interval" | "never";

const FILE_BYTES_MAX = SPOOL_HEADER_BYTES_MAX + SPOOL_PAYLOAD_BYTES_MAX;

export interface SpoolFilesOptions {
  readonly storage: SpoolStorage;
  /** For lines to people. */
  readonly directory: string;
  readonly fsync: SpoolFsync;
  readonly fsyncIntervalMs: number;
  readonly damagedFilesMax: number;
  /** How long after a failed removal it is tried again. */
  readonly retryMs: number;
  readonly report: Report;
  /** Called when a file to be removed is gone: there may be room now. */
  readonly onRemoved: () => void;
}

/** Totals since the spool was opened. */
export interface SpoolCounts {
  /** Failed operations of the file system, by `write ENOSPC`, `fsync EIO` and the like. */
  readonly failures: ReadonlyMap<string, number>;
  readonly bytesWritten: number;
  readonly damagedFiles: number;
  /** Of those, and of earlier runs', how many were removed because `damaged/` was full. */
  readonly damagedFilesRemoved: number;
}

export class Spool {
  readonly #options: SpoolFilesOptions;
  readonly #storage: SpoolStorage;
  readonly #sync: SpoolSync;
  readonly #failures = new Map<string, number>();
  /** Files that could not be removed, with their sizes. */
  readonly #stuck = new Map<string, number>();
  readonly #removals = new Set<Promise<void>>();
  #removeTimer: NodeJS.Timeout | undefined;
  #leftFiles = 0;
  #leftBytes = 0;
  #bytesWritten = 0;
  #damagedFiles = 0;
  #damagedFilesRemoved = 0;
  #ended = false;

  constructor(options: SpoolFilesOptions) {
    this.#options = options;
    this.#storage = options.storage;
    this.#sync = new SpoolSync({
      storage: options.storage,
      intervalMs: options.fsyncIntervalMs,
      fileBytesMax: FILE_BYTES_MAX,
      onFailure: (error) => this.failed("fsync", error, "a power cut may lose what is queued"),
    });
  }

  /** Makes a file of `parts`, as durable as the policy says when resolved. Rejects with what the file system says. */
  async store(name: string, parts: readonly Buffer[]): Promise<void> {
    const { fsync } = this.#options;
    const temporary = `${name}.tmp`;
    try {
      await this.#storage.write(temporary, parts, fsync === "always");
      for (const { byteLength } of parts) this.#bytesWritten += byteLength;
      await this.#storage.rename(temporary, name);
      if (fsync === "always") await this.#storage.syncDirectory();
      else if (fsync === "interval") this.#sync.add(name);
    } catch (error) {
      // It is not in the queue, whichever of the two names it has got.
      await this.#storage.remove(temporary).catch(() => {});
      await this.#storage.remove(name).catch(() => {});
      throw error;
    }
  }

  /** Takes over a file of an earlier run, which may have ended before it was forced to disk. */
  adopt(name: string): void {
    if (this.#options.fsync !== "never") this.#sync.add(name);
  }

  /** What is in a file. Rejects with what the file system says. */
  async load(name: string): Promise<SealedRequest | SpoolDamage> {
    return decodeSpoolFile(await this.#storage.read(name, FILE_BYTES_MAX));
  }

  /** What the header of a file says, where it can be read. */
  async facts(name: string): Promise<RequestFacts | undefined> {
    try {
      const { head, fileBytes } = await this.#storage.readHead(name, SPOOL_HEADER_BYTES_MAX);
      return decodeSpoolHeader(head, fileBytes).facts;
    } catch {
      return undefined;
    }
  }

  /** Removes a file; where that fails it is tried again until it is gone. Resolves after the first try. */
  discard(name: string, bytes: number): Promise<void> {
    this.#sync.delete(name);
    return this.#remove(name, bytes);
  }

  /** What is taken by files that could not be removed yet, or that are left to the next run. */
  stuck(): { readonly files: number; readonly bytes: number } {
    let bytes = this.#leftBytes;
    for (const fileBytes of this.#stuck.values()) bytes += fileBytes;
    return { files: this.#stuck.size + this.#leftFiles, bytes };
  }

  /** Leaves a file that the disk does not give to the next run, and says so; `bytes`: 0 where that isn't known. */
  leave(name: string, bytes: number, error: unknown): void {
    this.#sync.delete(name);
    this.#leftFiles += 1;
    this.#leftBytes += bytes;
    this.failed("read", error, `${name} stays where it is, and is tried again at the next start`);
  }

  /** Moves a file that can't be sent out of the way, and says so. Never rejects. */
  async setAside(name: string, damage: string): Promise<void> {
    this.#damagedFiles += 1;
    this.#sync.delete(name);
    const { directory, report } = this.#options;
    try {
      const taken = await this.#makeRoomForDamaged();
      const to = `${DAMAGED_FOLDER}/${freeName(name, taken)}`;
      await this.#storage.rename(name, to);
      report("damaged", `spool ${directory}: ${name} can't be sent, ${damage}; moved to ${to}`);
    } catch (error) {
      const left = errorCode(error) === "ENOENT" ? "somebody has removed it" : "it stays where it is";
      this.failed("set aside", error, left);
      report("damaged", `spool ${directory}: ${name} can't be sent, ${damage}; ${left}`);
    }
  }

  /** Counts what the file system refused, and says it now and then, with what it means. */
  failed(operation: string, error: unknown, consequence?: string): void {
    const code = errorCode(error);
    const key = `${operation} ${code}`;
    this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
    const meaning = consequence === undefined ? "" : `; ${consequence}`;
    this.#options.report(key, `spool ${this.#options.directory}: ${operation} failed: ${code}${meaning}`);
  }

  counts(): SpoolCounts {
    return {
      failures: new Map(this.#failures),
      bytesWritten: this.#bytesWritten,
      damagedFiles: this.#damagedFiles,
      damagedFilesRemoved: this.#damagedFilesRemoved,
    };
  }

  /** Forces to disk what is not there yet, tries once more to remove what is to be removed, and ends. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#removeTimer);
    await Promise.all(this.#removals);
    this.#removeStuck();
    await Promise.all(this.#removals);
    await this.#sync.end();
  }

  #remove(name: string, bytes: number): Promise<void> {
    const removal = this.#storage.remove(name).then(
      () => {
        this.#stuck.delete(name);
        this.#options.onRemoved();
      },
      (error) => {
        this.#stuck.set(name, bytes);
        this.failed("remove", error, "what is delivered may be sent again by the next run");
        this.#removeLater();
      },
    );
    this.#removals.add(removal);
    return removal.finally(() => this.#removals.delete(removal));
  }

  #removeLater(): void {
    if (this.#removeTimer !== undefined || this.#ended) return;
    this.#removeTimer = setTimeout(() => {
      this.#removeTimer = undefined;
      this.#removeStuck();
    }, this.#options.retryMs);
  }

  #removeStuck(): void {
    for (const [name, bytes] of [...this.#stuck]) void this.#remove(name, bytes);
  }

  /** The oldest go; resolves with the names that stay. */
  async #makeRoomForDamaged(): Promise<readonly string[]> {
    const names = (await this.#storage.names(DAMAGED_FOLDER)).sort();
    while (names.length >= this.#options.damagedFilesMax) {
      const oldest = names.shift() as string;
      await this.#storage.remove(`${DAMAGED_FOLDER}/${oldest}`);
      this.#damagedFilesRemoved += 1;
      const { directory, damagedFilesMax, report } = this.#options;
      report(
        "damaged-full",
        `spool ${directory}: ${DAMAGED_FOLDER}/ holds ${damagedFilesMax} files; removed its oldest, ${oldest}`,
      );
    }
    return names;
  }
}

function freeName(name: string, taken: readonly string[]): string {
  if (!taken.includes(name)) return name;
  for (let copy = 1; ; copy++) {
    const other = `${name}.${copy}`;
    if (!taken.includes(other)) return other;
  }
}
