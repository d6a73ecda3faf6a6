/** The order of a disk queue: offers, room, memory and leases over the files of a `Spool`; see `disk-queue.ts`. */
import type { SealedRequest } from "./outcome.ts";
import { createLease, type DeliveryQueue, type Lease, type QueueStats } from "./queue.ts";
import { QueueEntries } from "./queue-entries.ts";
import { Spool, type SpoolCounts, type SpoolFsync } from "./spool.ts";
import { createSpoolEntry, HeldBodies, type SpoolEntry } from "./spool-entry.ts";
import { requestFileName } from "./spool-names.ts";
import { type RecoveredSpool, type SpoolScan, summarizeScan } from "./spool-recovery.ts";
import { errorCode, isNoFile, type SpoolStorage } from "./spool-storage.ts";
import { SpoolWriter, type SpoolWriterSettings } from "./spool-writer.ts";
import { StreamMarks } from "./stream-marks.ts";
import { Wake } from "./wake.ts";

/** Times that a file is read, where the disk refuses, before it is left to the next run. */
const READ_TRIES = 3;

/** Totals since the spool was opened, and what is there now. */
export interface SpoolStats extends SpoolCounts {
  readonly files: number;
  readonly bytes: number;
  /** Bodies in memory beside their files. */
  readonly memoryBytes: number;
  /** Whether the last try to write a file failed. */
  readonly writeFailing: boolean;
}

/** The options of a disk queue, all decided. */
export interface SpoolQueueSettings extends SpoolWriterSettings {
  readonly memoryBytesMax: number;
  readonly fsync: SpoolFsync;
  readonly fsyncIntervalMs: number;
  readonly damagedFilesMax: number;
  readonly lastWordsBytes: number;
}

interface SpoolParts {
  readonly storage: SpoolStorage;
  readonly scan: SpoolScan;
  readonly letGo: () => Promise<void>;
}

export class SpoolQueue implements DeliveryQueue {
  readonly recovered: RecoveredSpool;
  readonly #settings: SpoolQueueSettings;
  readonly #letGo: () => Promise<void>;
  readonly #spool: Spool;
  readonly #marks: StreamMarks;
  readonly #entries = new QueueEntries<SpoolEntry>();
  readonly #wake = new Wake();
  readonly #bodies: HeldBodies;
  readonly #writer: SpoolWriter;
  /** Files that are read again after a while. */
  readonly #resting = new Set<NodeJS.Timeout>();
  #ending: Promise<void> | undefined;

  constructor(settings: SpoolQueueSettings, parts: SpoolParts) {
    this.#settings = settings;
    this.#letGo = parts.letGo;
    this.#spool = new Spool({ ...settings, storage: parts.storage, onRemoved: () => this.#wake.now() });
    this.#marks = new StreamMarks({
      storage: parts.storage,
      spool: this.#spool,
      sync: settings.fsync !== "never",
      lastWordsBytes: settings.lastWordsBytes,
    });
    this.recovered = summarizeScan(parts.scan);
    this.#bodies = new HeldBodies(settings.memoryBytesMax);
    this.#writer = new SpoolWriter(settings, {
      spool: this.#spool,
      entries: this.#entries,
      bodies: this.#bodies,
      wake: this.#wake,
      nextSequence: parts.scan.nextSequence,
    });
    for (const request of parts.scan.requests) {
      this.#entries.add(createSpoolEntry(request, true));
      if (request.young) this.#spool.adopt(requestFileName(request.sequence));
    }
  }

  /** Sets aside what is damaged and removes what was never finished. */
  async tidyUp(scan: SpoolScan): Promise<void> {
    for (const { name, damage } of scan.damaged) {
      await this.#spool.setAside(name, damage.damage);
      if (damage.facts !== undefined) this.#settings.onDropped(damage.facts, "damaged");
    }
    for (const { name, error } of scan.unreadable) this.#spool.leave(name, 0, error);
    for (const name of scan.temporary) await this.#spool.discard(name, 0);
    const { directory, report } = this.#settings;
    const { unreadable, unknown } = scan;
    if (unreadable.length > 1) {
      report("unreadable", `spool ${directory}: ${unreadable.length} files can't be read in all, and stay`);
    }
    if (unknown.length > 0) {
      report(
        "unknown",
        `spool ${directory}: ${unknown.length} files are not ours and stay, ${unknown[0]} first`,
      );
    }
  }

  offer(request: SealedRequest, signal?: AbortSignal): Promise<void> {
    return this.#writer.offer(request, signal);
  }

  async take(signal: AbortSignal): Promise<Lease | undefined> {
    for (;;) {
      const taking = this.#entries.take(signal);
      // A sender without work is where a request goes that can't be written.
      if (this.#writer.failing) this.#wake.now();
      const entry = await taking;
      if (entry === undefined) return undefined;
      const request = entry.request ?? (await this.#load(entry));
      if (request === undefined) continue;
      if (!signal.aborted) {
        return createLease(
          request,
          () => this.#acknowledge(entry),
          () => this.#release(entry),
        );
      }
      this.#release(entry);
      return undefined;
    }
  }

  stats(): QueueStats {
    return this.#entries.stats();
  }

  spoolStats(): SpoolStats {
    const { requests, bytes } = this.#entries.stats();
    const stuck = this.#spool.stuck();
    return {
      ...this.#spool.counts(),
      files: requests + stuck.files,
      bytes: bytes + stuck.bytes,
      memoryBytes: this.#bodies.bytes,
      writeFailing: this.#writer.failing,
    };
  }

  beginStream(streamId: string): Promise<void> {
    return this.#marks.begin(streamId);
  }

  endStream(streamId: string): Promise<void> {
    return this.#marks.end(streamId);
  }

  keepLastWords(streamId: string, request: SealedRequest): Promise<boolean> {
    return this.#marks.lastWords(streamId, request, this.#writer.takeSequence());
  }

  close(): void {
    this.#writer.close();
  }

  settle(): Promise<void> {
    return this.#writer.end();
  }

  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #load(entry: SpoolEntry): Promise<SealedRequest | undefined> {
    try {
      const loaded = await this.#spool.load(requestFileName(entry.sequence));
      if (!("damage" in loaded)) return loaded;
      await this.#setAside(entry, loaded.damage);
    } catch (error) {
      entry.readFailures += 1;
      if (errorCode(error) === "ENOENT") await this.#setAside(entry, "it is gone");
      else if (isNoFile(error)) await this.#setAside(entry, `it can't be read (${errorCode(error)})`);
      else if (entry.readFailures >= READ_TRIES) this.#leave(entry, error);
      else {
        this.#spool.failed("read", error);
        this.#rest(entry);
      }
    }
    return undefined;
  }

  #rest(entry: SpoolEntry): void {
    const timer = setTimeout(() => {
      this.#resting.delete(timer);
      this.#entries.putBack(entry);
    }, this.#settings.retryMs);
    this.#resting.add(timer);
  }

  /** Its records are not lost: they are in the spool, as far as anybody knows. */
  #leave(entry: SpoolEntry, error: unknown): void {
    this.#spool.leave(requestFileName(entry.sequence), entry.bytes, error);
    this.#entries.forget(entry);
    this.#wake.now();
  }

  async #setAside(entry: SpoolEntry, damage: string): Promise<void> {
    const facts = (await this.#spool.facts(requestFileName(entry.sequence))) ?? entry.facts;
    await this.#spool.setAside(requestFileName(entry.sequence), damage);
    this.#entries.forget(entry);
    this.#settings.onDropped(facts, "damaged");
    this.#wake.now();
  }

  async #end(): Promise<void> {
    await this.#writer.end();
    this.#entries.end();
    for (const timer of this.#resting) clearTimeout(timer);
    await this.#spool.end();
    await this.#letGo();
  }

  #acknowledge(entry: SpoolEntry): void {
    if (this.#ending !== undefined) return;
    if (entry.spooled) {
      this.#bodies.forget(entry);
      this.#entries.forget(entry);
      void this.#spool.discard(requestFileName(entry.sequence), entry.bytes);
    } else entry.acknowledged = true;
    this.#wake.now();
  }

  #release(entry: SpoolEntry): void {
    if (this.#ending !== undefined) return;
    if (entry.spooled) this.#entries.putBack(entry);
    else entry.lent = false;
    this.#wake.now();
  }
}
