/**
 * Losses until somebody has read of them. Each is kept from where it was counted until the loss record that
 * reports it is delivered: gathered per stream, reason and probe, taken at most once per interval, and taken
 * again, unchanged, when the record did not arrive.
 *
 *     add ──► gathering ──take──► reported ──delivered──► forgotten
 *                  ▲                  │
 *             (next interval)    undelivered ──► taken again, with its lossId
 *
 * It has no clock and no I/O of its own.
 */
import type { LossRecord, LostSequences } from "../otlp/loss-record.ts";
import { addSequences } from "./lost-sequences.ts";

/** The reason of a time without a probe: how many events it had, nobody knows. */
export const PROBE_DOWN = "probe_down";
/** The stream that losses are reported for when those of too many streams wait: see `streamsMax`. */
export const OTHER_STREAMS = "other";

/** Something that was lost. */
export interface Loss {
  /** One of the values of `runtime_evidence.loss.reason`. */
  readonly reason: string;
  /** Type of the probe's events; "control" for records of the exporter itself. */
  readonly probe: string;
  /** Events. Nothing is lost with 0, unless the reason is {@link PROBE_DOWN}. */
  readonly count: number | bigint;
  /** The time in which they were lost, in nanoseconds since the Unix epoch, in either order: clocks step back. */
  readonly firstTimeUnixNano: bigint;
  readonly lastTimeUnixNano: bigint;
  /** The stream they are lost from; by default the registry's own. */
  readonly streamId?: string;
  /** Where they stood in the stream, when they had sequence numbers already. */
  readonly sequences?: readonly LostSequences[];
}

export interface LossRegistryOptions {
  /** The stream that reports. */
  readonly streamId: string;
  /** Shortest time between two reports of one reason and probe, in milliseconds. Default 10,000. */
  readonly intervalMs?: number;
  /**
   * Reports that may wait for their delivery. At the limit none are taken and losses go on being gathered, so
   * that none is forgotten and memory stays bounded. Default 1,024.
   */
  readonly reportsMax?: number;
  /** Ranges of sequence numbers of one report. At the limit the two nearest become one. Default 32. */
  readonly rangesMax?: number;
  /**
   * Other streams (that earlier runs left in the spool) with losses that are being gathered. At the limit
   * further ones are reported as stream {@link OTHER_STREAMS}, without sequence numbers. Default 64.
   */
  readonly streamsMax?: number;
}

/** What is gathered of one stream, reason and probe. */
interface Account {
  readonly streamId: string;
  readonly reason: string;
  readonly probe: string;
  gathering: Gathering | undefined;
  /** Reports that did not arrive, oldest first. */
  readonly returned: LossRecord[];
  takenAtMs: number;
}

interface Gathering {
  count: bigint;
  firstTimeUnixNano: bigint;
  lastTimeUnixNano: bigint;
  sequences: LostSequences[];
}

export class LossRegistry {
  readonly #streamId: string;
  readonly #intervalMs: number;
  readonly #reportsMax: number;
  readonly #rangesMax: number;
  readonly #streamsMax: number;
  readonly #accounts = new Map<string, Account>();
  /** Taken and neither delivered nor returned. */
  readonly #reported = new Set<LossRecord>();
  #returnedCount = 0;
  #lossId = 0;

  constructor(options: LossRegistryOptions) {
    this.#streamId = options.streamId;
    this.#intervalMs = options.intervalMs ?? 10_000;
    this.#reportsMax = options.reportsMax ?? 1024;
    this.#rangesMax = options.rangesMax ?? 32;
    this.#streamsMax = options.streamsMax ?? 64;
  }

  /** Losses that no delivered record has reported: those being gathered and those under way. */
  get pending(): number {
    let pending = this.#reported.size + this.#returnedCount;
    for (const { gathering } of this.#accounts.values()) if (gathering !== undefined) pending++;
    return pending;
  }

  /** Those of them that no record reports which is under way. */
  get unreported(): number {
    return this.pending - this.#reported.size;
  }

  add(loss: Loss): void {
    const count = BigInt(loss.count);
    if (count < 0n) throw new RangeError(`no loss: ${loss.count} ${loss.reason}`);
    if (count === 0n && loss.reason !== PROBE_DOWN) return;
    const account = this.#account(loss);
    account.gathering ??= {
      count: 0n,
      firstTimeUnixNano: loss.firstTimeUnixNano,
      lastTimeUnixNano: loss.firstTimeUnixNano,
      sequences: [],
    };
    const { gathering } = account;
    gathering.count += count;
    for (const time of [loss.firstTimeUnixNano, loss.lastTimeUnixNano]) {
      if (time < gathering.firstTimeUnixNano) gathering.firstTimeUnixNano = time;
      if (time > gathering.lastTimeUnixNano) gathering.lastTimeUnixNano = time;
    }
    if (account.streamId === OTHER_STREAMS) return;
    for (const range of loss.sequences ?? []) addSequences(gathering.sequences, range, this.#rangesMax);
  }

  /**
   * What is due to be reported: of each stream, reason and probe at most one, and none within the interval since
   * the last. `nowMs` is of a clock that never steps. Every record that is taken has to be given to `delivered` or
   * `undelivered` at last.
   */
  take(nowMs: number): LossRecord[] {
    const due: LossRecord[] = [];
    for (const account of this.#accounts.values()) {
      if (nowMs - account.takenAtMs < this.#intervalMs) continue;
      const report = this.#next(account);
      if (report === undefined) continue;
      account.takenAtMs = nowMs;
      due.push(report);
    }
    this.#forgetSettled(nowMs);
    return due;
  }

  /** Everything that is not reported, whatever the interval: for the end of a stream. */
  takeAll(): LossRecord[] {
    const all: LossRecord[] = [];
    for (const account of this.#accounts.values()) {
      for (let report = this.#next(account); report !== undefined; report = this.#next(account)) {
        all.push(report);
      }
    }
    return all;
  }

  /** The collector has the record that reports this loss. */
  delivered(loss: LossRecord): void {
    this.#reported.delete(loss);
  }

  /** The record that reports this loss is lost itself: it is taken again. */
  undelivered(loss: LossRecord): void {
    if (!this.#reported.delete(loss)) return;
    this.#account(loss).returned.push(loss);
    this.#returnedCount++;
  }

  #account({
    streamId = this.#streamId,
    reason,
    probe,
  }: Pick<Loss, "streamId" | "reason" | "probe">): Account {
    const key = `${streamId} ${reason} ${probe}`;
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    if (this.#isOneStreamTooMany(streamId)) return this.#account({ streamId: OTHER_STREAMS, reason, probe });
    const account: Account = {
      streamId,
      reason,
      probe,
      gathering: undefined,
      returned: [],
      takenAtMs: Number.NEGATIVE_INFINITY,
    };
    this.#accounts.set(key, account);
    return account;
  }

  #isOneStreamTooMany(streamId: string): boolean {
    if (streamId === this.#streamId || streamId === OTHER_STREAMS) return false;
    const streams = new Set(Array.from(this.#accounts.values(), (account) => account.streamId));
    streams.delete(this.#streamId);
    streams.delete(OTHER_STREAMS);
    return !streams.has(streamId) && streams.size >= this.#streamsMax;
  }

  #next(account: Account): LossRecord | undefined {
    const again = account.returned.shift();
    if (again !== undefined) {
      this.#returnedCount--;
      this.#reported.add(again);
      return again;
    }
    const { streamId, reason, probe, gathering } = account;
    if (gathering === undefined || this.#reported.size + this.#returnedCount >= this.#reportsMax) {
      return undefined;
    }
    account.gathering = undefined;
    const report = { streamId, lossId: ++this.#lossId, reason, probe, ...gathering };
    this.#reported.add(report);
    return report;
  }

  /** Accounts of other streams come and go; an empty one is not needed once its interval is over. */
  #forgetSettled(nowMs: number): void {
    for (const [key, { streamId, gathering, returned, takenAtMs }] of this.#accounts) {
      const isIdle = gathering === undefined && returned.length === 0;
      if (isIdle && streamId !== this.#streamId && nowMs - takenAtMs >= this.#intervalMs) {
        this.#accounts.delete(key);
      }
    }
  }
}
