/**
 * The writing side of a disk queue: one offer after the other becomes a file, or waits, or is dropped.
 *
 *   offer ──room?──► write the file ──► in the queue
 *            │              │
 *            │              └─ the disk refuses: lend it to a sender without work; else, as when there is no room,
 *            └────────────────► block: wait and try again; drop-oldest, drop-newest: drop
 */
import type { SealedRequest } from "./outcome.ts";
import { type DroppedRequest, type DropReason, queueClosed, type WhenFull } from "./queue.ts";
import type { QueueEntries } from "./queue-entries.ts";
import { QueueOffers, type WaitingOffer } from "./queue-offers.ts";
import type { Report } from "./report.ts";
import type { Spool } from "./spool.ts";
import { createSpoolEntry, factsToKeep, type HeldBodies, type SpoolEntry } from "./spool-entry.ts";
import { encodeSpoolHeader } from "./spool-file.ts";
import { requestFileName } from "./spool-names.ts";
import { errorCode } from "./spool-storage.ts";
import type { Wake } from "./wake.ts";

export interface SpoolWriterSettings {
  readonly directory: string;
  readonly bytesMax: number;
  readonly filesMax: number;
  readonly whenFull: WhenFull;
  readonly retryMs: number;
  readonly onDropped: (request: DroppedRequest, reason: DropReason) => void;
  readonly report: Report;
}

interface WriterParts {
  readonly spool: Spool;
  readonly entries: QueueEntries<SpoolEntry>;
  readonly bodies: HeldBodies;
  /** Woken whenever there may be room, a sender without work, or an answer about what was lent. */
  readonly wake: Wake;
  readonly nextSequence: number;
}

/** A request on its way into its file. */
interface Draft {
  readonly offer: WaitingOffer;
  readonly entry: SpoolEntry;
  /** What was dropped for it, because the disk had no room. */
  freedBytes: number;
}

/**
 * How often its own size is dropped for a request on a full disk. Where that is not enough, somebody else fills the
 * disk, and dropping more would only lose more.
 */
const FREED_TIMES_MAX = 3;

export class SpoolWriter {
  readonly #settings: SpoolWriterSettings;
  readonly #parts: WriterParts;
  readonly #offers: QueueOffers;
  #nextSequence: number;
  #writing: Promise<void> | undefined;
  #failing = false;
  #closed = false;
  #ended = false;

  constructor(settings: SpoolWriterSettings, parts: WriterParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#offers = new QueueOffers(() => parts.wake.now());
    this.#nextSequence = parts.nextSequence;
  }

  /** Whether the last try to write a file failed. */
  get failing(): boolean {
    return this.#failing;
  }

  /** A place in the order, behind all that was offered before. */
  takeSequence(): number {
    return this.#nextSequence++;
  }

  offer(request: SealedRequest, signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) return Promise.reject(queueClosed());
    if (signal?.aborted) return Promise.reject(signal.reason);
    const offered = this.#offers.join(request, signal);
    this.#writing ??= this.#write();
    return offered;
  }

  /** Refuses offers, waiting ones included, but for one that is being written or lent. */
  close(): void {
    this.#closed = true;
    this.#offers.refuseWaiting(queueClosed);
    this.#parts.wake.now();
    if (this.#writing === undefined) this.#parts.entries.close();
  }

  /** Closes, and waits for what is being written, but for no sender. */
  async end(): Promise<void> {
    this.#ended = true;
    this.close();
    await this.#writing;
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
    if (this.#closed) this.#parts.entries.close();
  }

  #hasRoom(bytes: number): boolean {
    return this.#fits(bytes, this.#parts.entries.stats());
  }

  /** Whether `bytes` may stand beside what is there: an empty queue takes anything. */
  #fits(bytes: number, beside: { readonly requests: number; readonly bytes: number }): boolean {
    if (beside.requests === 0) return true;
    const { bytesMax, filesMax } = this.#settings;
    const stuck = this.#parts.spool.stuck();
    return beside.bytes + stuck.bytes + bytes <= bytesMax && beside.requests + stuck.files < filesMax;
  }

  async #makeRoom(offer: WaitingOffer, bytes: number): Promise<void> {
    if (this.#settings.whenFull === "block") return this.#parts.wake.wait();
    const mayHelp =
      this.#settings.whenFull === "drop-oldest" && this.#fits(bytes, this.#parts.entries.leased());
    if (!mayHelp || (await this.#dropOldest()) === 0) this.#dropOffer(offer);
  }

  /** Resolves with the bytes of the file that is gone. */
  async #dropOldest(): Promise<number> {
    const entry = this.#parts.entries.dropOldest();
    if (entry === undefined) return 0;
    const name = requestFileName(entry.sequence);
    const facts = entry.request ?? (await this.#whatIsDropped(entry)) ?? entry.facts;
    this.#parts.bodies.forget(entry);
    await this.#parts.spool.discard(name, entry.bytes);
    this.#settings.onDropped(facts, "queue_full");
    return entry.bytes;
  }

  /** What an earlier run has left is read as a whole: nobody else knows what is in it. */
  async #whatIsDropped(entry: SpoolEntry): Promise<DroppedRequest | undefined> {
    const name = requestFileName(entry.sequence);
    if (!entry.recovered) return this.#parts.spool.facts(name);
    const loaded = await this.#parts.spool.load(name).catch(() => undefined);
    return loaded === undefined || "damage" in loaded ? loaded?.facts : loaded;
  }

  #dropOffer(offer: WaitingOffer): void {
    this.#settings.onDropped(offer.request, "queue_full");
    offer.accept();
  }

  /** Writes the file, however often it takes; meanwhile the request may be sent from memory. */
  async #store(offer: WaitingOffer, header: Buffer): Promise<void> {
    const { body } = offer.request;
    const entry = createSpoolEntry({
      sequence: this.takeSequence(),
      fileBytes: header.length + body.byteLength,
      facts: factsToKeep(offer.request),
    });
    const name = requestFileName(entry.sequence);
    entry.request = offer.request;
    const draft: Draft = { offer, entry, freedBytes: 0 };
    for (;;) {
      offer.hold();
      const error = await this.#parts.spool.store(name, [header, body]).catch(asError);
      if (entry.acknowledged) {
        if (error === undefined) await this.#parts.spool.discard(name, entry.bytes);
        return offer.accept();
      }
      if (error === undefined) {
        this.#admit(entry);
        return offer.accept();
      }
      await this.#afterFailedWrite(draft, error);
      if (entry.acknowledged) return offer.accept();
      if (offer.left) return;
    }
  }

  #admit(entry: SpoolEntry): void {
    entry.spooled = true;
    this.#parts.bodies.keep(entry);
    if (entry.lent) this.#parts.entries.count(entry);
    else this.#parts.entries.add(entry);
    if (!this.#failing) return;
    this.#failing = false;
    this.#settings.report("written again", `spool ${this.#settings.directory}: written again`);
  }

  /** Obeys the policy; afterwards the offer has left, or is to be written again. */
  async #afterFailedWrite(draft: Draft, error: unknown): Promise<void> {
    const { whenFull, retryMs } = this.#settings;
    const { offer, entry } = draft;
    const noRoom = /^(ENOSPC|EDQUOT)$/.test(errorCode(error));
    this.#failing = true;
    this.#parts.spool.failed("write", error, consequenceOf(whenFull, noRoom));
    entry.lent ||= this.#parts.entries.hand(entry);
    if (!entry.lent && whenFull !== "block") {
      const mayHelp =
        whenFull === "drop-oldest" && noRoom && draft.freedBytes < FREED_TIMES_MAX * entry.bytes;
      const freedBytes = mayHelp ? await this.#dropOldest() : 0;
      draft.freedBytes += freedBytes;
      if (freedBytes === 0) this.#dropOffer(offer);
      return;
    }
    if (!entry.lent) offer.letGo();
    const refuseWhenClosed = () => {
      if (this.#ended || (this.#closed && !entry.lent)) offer.refuse(queueClosed());
    };
    refuseWhenClosed();
    if (offer.left) return;
    await this.#parts.wake.wait(retryMs);
    if (!entry.acknowledged) refuseWhenClosed();
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
