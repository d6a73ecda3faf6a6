/** The order of a disk queue: offers, room, memory and leases over the files of a `Spool`; see `disk-queue.ts`. */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { SealedRequest } from "./outcome.ts";
import {
  createLease,
  type DeliveryQueue,
  type DropReason,
  type Lease,
  type QueueStats,
  queueClosed,
  type RequestFacts,
  type WhenFull,
} from "./queue.ts";
import { QueueEntries } from "./queue-entries.ts";
import { QueueOffers, type WaitingOffer } from "./queue-offers.ts";
import type { Report } from "./report.ts";
import { errorCode, Spool, type SpoolCounts, type SpoolFsync } from "./spool.ts";
import { createSpoolEntry, type SpoolEntry } from "./spool-entry.ts";
import { decodeSpoolHeader, encodeSpoolHeader, SPOOL_HEADER_BYTES_MAX } from "./spool-file.ts";
import { streamFileName } from "./spool-names.ts";
import { type RecoveredSpool, type SpoolScan, summarizeScan } from "./spool-recovery.ts";
import type { SpoolStorage } from "./spool-storage.ts";
import { Wake } from "./wake.ts";

/** Times that a file is read, where the file system refuses, before it is set aside. */
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
export interface SpoolQueueSettings {
  readonly directory: string;
  readonly bytesMax: number;
  readonly filesMax: number;
  readonly memoryBytesMax: number;
  readonly whenFull: WhenFull;
  readonly fsync: SpoolFsync;
  readonly fsyncIntervalMs: number;
  readonly damagedFilesMax: number;
  readonly retryMs: number;
  readonly onDropped: (request: RequestFacts, reason: DropReason) => void;
  readonly report: Report;
}

interface SpoolParts {
  readonly storage: SpoolStorage;
  readonly scan: SpoolScan;
  readonly letGo: () => Promise<void>;
}

export class SpoolQueue implements DeliveryQueue {
  readonly recovered: RecoveredSpool;
  readonly #settings: SpoolQueueSettings;
  readonly #storage: SpoolStorage;
  readonly #letGo: () => Promise<void>;
  readonly #spool: Spool;
  readonly #entries = new QueueEntries<SpoolEntry>();
  readonly #wake = new Wake();
  readonly #offers = new QueueOffers(() => this.#wake.now());
  /** Files that are read again after a while. */
  readonly #resting = new Set<NodeJS.Timeout>();
  #nextSequence: number;
  #memoryBytes = 0;
  #writing: Promise<void> | undefined;
  #writeFailing = false;
  #closed = false;
  #ended = false;

  constructor(settings: SpoolQueueSettings, parts: SpoolParts) {
    this.#settings = settings;
    this.#storage = parts.storage;
    this.#letGo = parts.letGo;
    this.#spool = new Spool({ ...settings, storage: parts.storage, onRemoved: () => this.#wake.now() });
    this.recovered = summarizeScan(parts.scan);
    this.#nextSequence = parts.scan.nextSequence;
    for (const { sequence, fileBytes, facts } of parts.scan.requests) {
      const entry = { ...createSpoolEntry(sequence, fileBytes, facts), spooled: true };
      this.#entries.add(entry);
      this.#spool.adopt(entry.name);
    }
  }

  /** Sets aside what is damaged and removes what was never finished. */
  async tidyUp(scan: SpoolScan): Promise<void> {
    for (const { name, damage } of scan.damaged) {
      await this.#spool.setAside(name, damage.damage);
      if (damage.facts !== undefined) this.#settings.onDropped(damage.facts, "spool_damaged");
    }
    for (const name of scan.temporary) await this.#spool.discard(name, 0);
    if (scan.unknown.length > 0) {
      const { directory, report } = this.#settings;
      report(
        "unknown",
        `spool ${directory}: ${scan.unknown.length} files are not ours and stay, ${scan.unknown[0]} first`,
      );
    }
  }

  offer(request: SealedRequest, signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(queueClosed());
    if (signal?.aborted) return Promise.reject(signal.reason);
    const offered = this.#offers.join(request, signal);
    this.#writing ??= this.#write();
    return offered;
  }

  async take(signal: AbortSignal): Promise<Lease | undefined> {
    for (;;) {
      const taking = this.#entries.take(signal);
      // A sender without work is where a request goes that can't be written.
      if (this.#writeFailing) this.#wake.now();
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
      memoryBytes: this.#memoryBytes,
      writeFailing: this.#writeFailing,
    };
  }

  async beginStream(streamId: string): Promise<void> {
    const sync = this.#settings.fsync !== "never";
    try {
      await this.#storage.write(markOf(streamId), [], sync);
      if (sync) await this.#storage.syncDirectory();
    } catch (error) {
      if (error instanceof RuntimeEvidenceError) throw error;
      this.#spool.failed("write", error);
    }
  }

  async endStream(streamId: string): Promise<void> {
    await this.#spool.discard(markOf(streamId), 0);
  }

  close(): void {
    this.#closed = true;
    this.#offers.refuseWaiting(queueClosed);
    this.#wake.now();
    if (this.#writing === undefined) this.#entries.close();
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.close();
    await this.#writing;
    this.#entries.end();
    for (const timer of this.#resting) clearTimeout(timer);
    await this.#spool.end();
    await this.#letGo();
  }

  /** One offer after the other, so that files appear in the order of their numbers. */
  async #write(): Promise<void> {
    // Not a step before the caller has taken note of this promise.
    await undefined;
    for (let offer = this.#offers.first; offer !== undefined; offer = this.#offers.first) {
      const header = encoded(offer);
      if (header === undefined) continue;
      const bytes = header.length + offer.request.body.byteLength;
      while (!offer.left && !this.#hasRoom(bytes)) await this.#makeRoom(offer, bytes);
      if (!offer.left) await this.#store(offer, header);
    }
    this.#writing = undefined;
    if (this.#closed) this.#entries.close();
  }

  #hasRoom(bytes: number): boolean {
    return this.#fits(bytes, this.#entries.stats());
  }

  /** Whether `bytes` may stand beside what is there: an empty queue takes anything. */
  #fits(bytes: number, beside: { readonly requests: number; readonly bytes: number }): boolean {
    if (beside.requests === 0) return true;
    const { bytesMax, filesMax } = this.#settings;
    const stuck = this.#spool.stuck();
    return beside.bytes + stuck.bytes + bytes <= bytesMax && beside.requests + stuck.files < filesMax;
  }

  async #makeRoom(offer: WaitingOffer, bytes: number): Promise<void> {
    if (this.#settings.whenFull === "block") return this.#wake.wait();
    const mayHelp = this.#settings.whenFull === "drop-oldest" && this.#fits(bytes, this.#entries.leased());
    if (!mayHelp || !(await this.#dropOldest())) this.#dropOffer(offer, "queue_full");
  }

  async #dropOldest(): Promise<boolean> {
    const entry = this.#entries.dropOldest();
    if (entry === undefined) return false;
    const facts = entry.request ?? (await this.#wholeFacts(entry));
    this.#forgetBody(entry);
    await this.#spool.discard(entry.name, entry.bytes);
    this.#settings.onDropped(facts, "queue_full");
    return true;
  }

  #dropOffer(offer: WaitingOffer, reason: DropReason): void {
    this.#settings.onDropped(offer.request, reason);
    offer.accept();
  }

  /** Writes the file, however often it takes; meanwhile the request may be sent from memory. */
  async #store(offer: WaitingOffer, header: Buffer): Promise<void> {
    const { body } = offer.request;
    const entry = createSpoolEntry(this.#nextSequence++, header.length + body.byteLength, offer.request);
    entry.request = offer.request;
    for (;;) {
      offer.hold();
      const error = await this.#spool.store(entry.name, [header, body]).catch(asError);
      if (entry.acknowledged) {
        if (error === undefined) await this.#spool.discard(entry.name, entry.bytes);
        return offer.accept();
      }
      if (error === undefined) {
        this.#admit(entry);
        return offer.accept();
      }
      await this.#afterFailedWrite(offer, entry, error);
      if (entry.acknowledged) return offer.accept();
      if (offer.left) return;
    }
  }

  #admit(entry: SpoolEntry): void {
    entry.spooled = true;
    const bytes = entry.request?.body.byteLength ?? 0;
    if (this.#memoryBytes + bytes <= this.#settings.memoryBytesMax) this.#memoryBytes += bytes;
    else entry.request = undefined;
    if (entry.lent) this.#entries.count(entry);
    else this.#entries.add(entry);
    if (!this.#writeFailing) return;
    this.#writeFailing = false;
    this.#settings.report("written again", `spool ${this.#settings.directory}: written again`);
  }

  /** Obeys the policy; afterwards the offer has left, or is to be written again. */
  async #afterFailedWrite(offer: WaitingOffer, entry: SpoolEntry, error: unknown): Promise<void> {
    const { whenFull, retryMs } = this.#settings;
    const noRoom = /^(ENOSPC|EDQUOT)$/.test(errorCode(error));
    this.#writeFailing = true;
    this.#spool.failed("write", error, consequenceOf(whenFull, noRoom));
    entry.lent ||= this.#entries.hand(entry);
    if (!entry.lent && whenFull !== "block") {
      if (noRoom && whenFull === "drop-oldest" && (await this.#dropOldest())) return;
      return this.#dropOffer(offer, noRoom ? "queue_full" : "spool_failed");
    }
    if (!entry.lent) offer.letGo();
    const refuseWhenClosed = () => {
      if (this.#ended || (this.#closed && !entry.lent)) offer.refuse(queueClosed());
    };
    refuseWhenClosed();
    if (offer.left) return;
    await this.#wake.wait(retryMs);
    if (!entry.acknowledged) refuseWhenClosed();
  }

  async #load(entry: SpoolEntry): Promise<SealedRequest | undefined> {
    try {
      const loaded = await this.#spool.load(entry.name);
      if (!("damage" in loaded)) return loaded;
      await this.#setAside(entry, loaded.damage);
    } catch (error) {
      this.#spool.failed("read", error);
      entry.readFailures += 1;
      const code = errorCode(error);
      if (code === "ENOENT") await this.#setAside(entry, "it is gone");
      else if (entry.readFailures >= READ_TRIES) await this.#setAside(entry, `it can't be read (${code})`);
      else this.#rest(entry);
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

  async #setAside(entry: SpoolEntry, damage: string): Promise<void> {
    const facts = await this.#wholeFacts(entry);
    await this.#spool.setAside(entry.name, damage);
    this.#entries.forget(entry);
    this.#settings.onDropped(facts, "spool_damaged");
    this.#wake.now();
  }

  /** With the counts by probe, where the header can still be read. */
  async #wholeFacts(entry: SpoolEntry): Promise<RequestFacts> {
    try {
      const { head, fileBytes } = await this.#storage.readHead(entry.name, SPOOL_HEADER_BYTES_MAX);
      return decodeSpoolHeader(head, fileBytes).facts ?? entry.facts;
    } catch {
      return entry.facts;
    }
  }

  #acknowledge(entry: SpoolEntry): void {
    if (this.#ended) return;
    if (entry.spooled) {
      this.#forgetBody(entry);
      this.#entries.forget(entry);
      void this.#spool.discard(entry.name, entry.bytes);
    } else entry.acknowledged = true;
    this.#wake.now();
  }

  #release(entry: SpoolEntry): void {
    if (this.#ended) return;
    if (entry.spooled) this.#entries.putBack(entry);
    else entry.lent = false;
    this.#wake.now();
  }

  #forgetBody(entry: SpoolEntry): void {
    if (entry.request === undefined) return;
    this.#memoryBytes -= entry.request.body.byteLength;
    entry.request = undefined;
  }
}

/** The header of an offer; an offer that does not fit the format is refused. */
function encoded(offer: WaitingOffer): Buffer | undefined {
  try {
    return encodeSpoolHeader(offer.request);
  } catch (error) {
    offer.refuse(error);
    return undefined;
  }
}

/** What a person should know when a file can't be written. */
function consequenceOf(whenFull: WhenFull, noRoom: boolean): string {
  if (whenFull === "block") return "new requests wait";
  return whenFull === "drop-oldest" && noRoom
    ? "the oldest requests are dropped"
    : "new requests are dropped";
}

function asError(error: unknown): unknown {
  return error ?? new Error("unknown");
}

/** @throws RuntimeEvidenceError `usage` */
function markOf(streamId: string): string {
  const name = streamFileName(streamId);
  if (name !== undefined) return name;
  throw new RuntimeEvidenceError(
    "usage",
    `a stream id is 1 to 64 hexadecimal digits, not ${streamId.slice(0, 80)}`,
  );
}
