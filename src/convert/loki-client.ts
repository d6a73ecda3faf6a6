/**
 * Reads logs from a running Loki, page by page and forward in time, without gaps and without repeats.
 *
 * A page starts at the time of the last entry of the page before, so that entries of one time that a page has
 * cut in two are whole again; those already given are known by their content, which is unique: Loki keeps one
 * of entries that are equal in stream, time, line and metadata.
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { hasMoreValues, tooManyValues, VALUES_MAX_DEFAULT } from "./json-values.ts";
import { type LokiConnection, queryRange } from "./loki-http.ts";
import { type LokiEntry, parsePage, toBodies } from "./loki-page.ts";
import type { StoredItem } from "./stored-item.ts";

export interface LokiReadOptions {
  /** Address of Loki, without `/loki/api/v1/…`. */
  readonly url: string;
  /** A LogQL log query, for example `{service_name="runtime-evidence"}`. */
  readonly query: string;
  /** Inclusive, in nanoseconds since the Unix epoch. */
  readonly startNs: bigint;
  /** Exclusive. */
  readonly endNs: bigint;
  /** Most entries per request. Default {@link LOKI_PAGE_ENTRIES_DEFAULT}. */
  readonly limit?: number;
  /** Headers of each request, for example `authorization`. Their values are in no message. */
  readonly headers?: ReadonlyMap<string, string>;
  /** Sent as `X-Scope-OrgID`. */
  readonly tenant?: string;
  /** Longest that one request may take. Default {@link LOKI_TIMEOUT_MS_DEFAULT}. */
  readonly timeoutMs?: number;
  /** Longest answer in bytes; a longer one is asked for in parts. Default {@link LOKI_ANSWER_BYTES_MAX_DEFAULT}. */
  readonly answerBytesMax?: number;
  /** Most members and items of one entry; one with more is rejected. Default {@link VALUES_MAX_DEFAULT}. */
  readonly valuesMax?: number;
  /** How often one request is tried before it fails. Default {@link LOKI_TRIES_MAX_DEFAULT}. */
  readonly triesMax?: number;
  /** Wait after a first failure; doubled after each further one. Default 1 s. */
  readonly retryInitialMs?: number;
  readonly signal?: AbortSignal;
  /** Told, one line each, why a request is tried again or the reading is cut into smaller steps. */
  readonly report?: (line: string) => void;
}

/**
 * Default of `limit`. Loki allows 5,000, but passes no page of more than 4 MiB between its own parts by default
 * (`grpc_server_max_recv_msg_size`), and does not answer then.
 */
export const LOKI_PAGE_ENTRIES_DEFAULT = 1000;
/** Default of `timeoutMs`: Loki itself gives up after a minute. */
export const LOKI_TIMEOUT_MS_DEFAULT = 60_000;
/** Default of `answerBytesMax`: 64 MiB. */
export const LOKI_ANSWER_BYTES_MAX_DEFAULT = 64 * 1024 * 1024;
/** Default of `triesMax`. */
export const LOKI_TRIES_MAX_DEFAULT = 6;

/** A page of fewer bytes than this lets the next have more entries again, one of four times as many fewer. */
const PAGE_BYTES_AIM = 512 * 1024;
const RETRY_MAX_MS = 30_000;
/** A range that Loki refuses as too long is halved, down to this. */
const WINDOW_NS_MIN = 1_000_000_000n;

/**
 * All entries of a query with `startNs` <= time < `endNs`, in the order of time; each item is a request with the
 * encoding `loki`. Throws `RuntimeEvidenceError`: `usage`, `not-permitted`, `not-found` as `queryRange` does,
 * `io` where Loki does not answer `triesMax` times, `limit` where more entries have one time than Loki gives in
 * one answer, `bad-input` for an answer that is none of Loki.
 */
export async function* readLoki(
  options: LokiReadOptions,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  const { valuesMax = VALUES_MAX_DEFAULT } = options;
  const isTooMuch = ({ stream, value }: LokiEntry) =>
    hasMoreValues(stream, valuesMax) || hasMoreValues(value, valuesMax);
  const reader = new RangeReader(options);
  let offset = 0;
  for (let entries = await reader.next(); entries !== undefined; entries = await reader.next()) {
    const items: StoredItem[] = [];
    for (const entry of entries.filter(isTooMuch)) {
      items.push({
        kind: "rejected",
        offset,
        reason: tooManyValues(`the entry at ${entry.timeNs} ns`, valuesMax),
      });
    }
    for (const body of toBodies(entries.filter((entry) => !isTooMuch(entry)))) {
      items.push({ kind: "request", encoding: "loki", body, offset });
      offset += body.length;
    }
    if (items.length > 0) yield items;
  }
}

class RangeReader {
  readonly #options: LokiReadOptions;
  readonly #connection: LokiConnection;
  readonly #report: (line: string) => void;
  /** Where the next page starts. */
  #fromNs: bigint;
  #windowNs: bigint;
  /** Entries at `#fromNs` that were given already, by the hash of their content. */
  #seen = new Set<string>();
  #entriesMax: number;
  /** What Loki has said that a query may give at most. */
  #entriesMaxOfLoki = Number.POSITIVE_INFINITY;
  #failures = 0;

  constructor(options: LokiReadOptions) {
    const { timeoutMs = LOKI_TIMEOUT_MS_DEFAULT, answerBytesMax = LOKI_ANSWER_BYTES_MAX_DEFAULT } = options;
    this.#options = options;
    this.#connection = { ...options, timeoutMs, answerBytesMax };
    this.#report = options.report ?? (() => {});
    this.#fromNs = options.startNs;
    this.#windowNs = options.endNs - options.startNs;
    this.#entriesMax = options.limit ?? LOKI_PAGE_ENTRIES_DEFAULT;
  }

  /** The entries of the next page that were not given yet, in the order of time; nothing at the end. */
  async next(): Promise<readonly LokiEntry[] | undefined> {
    const { query, endNs } = this.#options;
    while (this.#fromNs < endNs) {
      const windowEndNs = this.#fromNs + this.#windowNs;
      const toNs = windowEndNs < endNs ? windowEndNs : endNs;
      const range = { query, startNs: this.#fromNs, endNs: toNs, entriesMax: this.#entriesMax };
      const answer = await queryRange(this.#connection, range);
      if (answer.kind === "page") return this.#takePage(answer.body, toNs);
      if (answer.kind === "range-too-long") this.#halveWindow(answer.reason);
      else if (answer.kind === "too-many-entries") this.#lowerEntriesMax(answer.entriesMax, answer.reason);
      else await this.#waitForRetry(answer.reason, answer.heavy, answer.delayMs);
    }
    return undefined;
  }

  #takePage(answer: Buffer, toNs: bigint): readonly LokiEntry[] {
    this.#failures = 0;
    const page = parsePage(answer);
    for (const warning of page.warnings) this.#report(`Loki warns: ${warning}`);
    const fresh = page.entries.filter(
      (entry) => entry.timeNs !== this.#fromNs || !this.#seen.has(identity(entry)),
    );
    const lastNs = page.entries.at(-1)?.timeNs;
    if (lastNs === undefined || page.entries.length < this.#entriesMax) this.#moveTo(toNs, []);
    else if (lastNs <= this.#fromNs) this.#growPage(fresh);
    else {
      const atLast = page.entries.filter(({ timeNs }) => timeNs === lastNs);
      this.#moveTo(lastNs, atLast);
      this.#adaptPage(answer.length);
    }
    return fresh;
  }

  /** Goes on at `timeNs`, where `given` are there already. */
  #moveTo(timeNs: bigint, given: readonly LokiEntry[]): void {
    this.#fromNs = timeNs;
    this.#seen = new Set(given.map(identity));
  }

  /** A whole page has the time that it starts at: only a larger one shows what is behind it. */
  #growPage(fresh: readonly LokiEntry[]): void {
    for (const entry of fresh) this.#seen.add(identity(entry));
    if (this.#entriesMax >= this.#entriesMaxOfLoki) {
      const message =
        `more than ${this.#entriesMax} entries have the time ${this.#fromNs}, and Loki gives no more at once: ` +
        "raise its limits_config.max_entries_limit_per_query, or narrow the query";
      const context = { timeNs: this.#fromNs, entriesMax: this.#entriesMax };
      throw new RuntimeEvidenceError("limit", message, { context });
    }
    this.#entriesMax = Math.min(this.#entriesMax * 2, this.#entriesMaxOfLoki);
  }

  /** Keeps answers small enough for Loki's own messages, and as large as they may be. */
  #adaptPage(pageBytes: number): void {
    const base = this.#options.limit ?? LOKI_PAGE_ENTRIES_DEFAULT;
    if (pageBytes > 4 * PAGE_BYTES_AIM) this.#entriesMax = Math.max(1, this.#entriesMax >> 1);
    else if (pageBytes < PAGE_BYTES_AIM) this.#entriesMax = this.#entriesMax * 2;
    this.#entriesMax = Math.min(this.#entriesMax, base, this.#entriesMaxOfLoki);
  }

  #lowerEntriesMax(entriesMax: number | undefined, reason: string): void {
    const lower = entriesMax ?? this.#entriesMax >> 1;
    if (lower < 1 || lower >= this.#entriesMax)
      throw new RuntimeEvidenceError("io", `Loki gave no logs (${reason})`);
    this.#entriesMaxOfLoki = lower;
    this.#entriesMax = lower;
    this.#report(`Loki gives at most ${lower} entries at once`);
  }

  #halveWindow(reason: string): void {
    const { endNs } = this.#options;
    const currentNs = this.#fromNs + this.#windowNs < endNs ? this.#windowNs : endNs - this.#fromNs;
    this.#windowNs = currentNs / 2n;
    if (this.#windowNs < WINDOW_NS_MIN)
      throw new RuntimeEvidenceError("usage", `Loki refused the query: ${reason}`);
    this.#report(
      `the time range is too long for one query of Loki: now ${this.#windowNs / 1_000_000_000n} s at a time`,
    );
  }

  async #waitForRetry(reason: string, heavy: boolean, delayMs: number | undefined): Promise<void> {
    const { triesMax = LOKI_TRIES_MAX_DEFAULT, retryInitialMs = 1000, signal } = this.#options;
    this.#failures += 1;
    if (this.#failures >= triesMax) {
      const message = `Loki gave no logs in ${this.#failures} tries (${reason})`;
      throw new RuntimeEvidenceError("io", message, { context: { tries: this.#failures } });
    }
    if (heavy) this.#entriesMax = Math.max(1, this.#entriesMax >> 2);
    // Up to a half more, so that readers that failed together do not come back together.
    const backoffMs =
      Math.min(RETRY_MAX_MS, retryInitialMs * 2 ** (this.#failures - 1)) * (1 + Math.random() / 2);
    const waitMs = Math.round(delayMs ?? backoffMs);
    this.#report(`Loki: ${reason}; trying again in ${waitMs} ms, ${this.#entriesMax} entries at a time`);
    await delay(waitMs, undefined, signal === undefined ? {} : { signal });
  }
}

function identity({ stream, value }: LokiEntry): string {
  return createHash("sha256").update(stream).update(value).digest("base64");
}
