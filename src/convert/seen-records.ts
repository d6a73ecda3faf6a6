/**
 * Which records were seen already, by their `log.record.uid`: whoever sends again what was not acknowledged
 * sends the same uid again.
 */
import { createHash } from "node:crypto";
import { parseUid } from "../otlp/to-evidence.ts";
import { RANGES_MAX_DEFAULT, SequenceRanges } from "./sequence-ranges.ts";

/** Default of `streamsMax`. */
export const STREAMS_MAX_DEFAULT = 10_000;
/** Default of `otherUidsMax`: some 50 MB. */
export const OTHER_UIDS_MAX_DEFAULT = 250_000;

/** Every number of so many digits is exact. */
const SEQUENCE_DIGITS_MAX = 15;

/** Longer uids are known by their digest: they come from anybody. Ours have 64 characters of stream id at most. */
const UID_CHARACTERS_MAX = 96;

/** What becomes of a uid at a limit is always the same: the oldest are forgotten, and a repeat of one passes. */
export interface SeenRecordsOptions {
  /** Ranges of sequence numbers kept, of all streams together. */
  readonly rangesMax?: number;
  /** Streams kept; beyond it, the one unused for longest is forgotten. */
  readonly streamsMax?: number;
  /** Uids kept that are not made of stream and sequence number. */
  readonly otherUidsMax?: number;
}

/** Uids of records, in bounded memory. Those of one of our streams that arrives in order take no room at all. */
export class SeenRecords {
  readonly #rangesMax: number;
  readonly #streamsMax: number;
  readonly #otherUidsMax: number;
  /** The one used last stands last. */
  readonly #streams = new Map<string, SequenceRanges>();
  /** In order of arrival. */
  readonly #otherUids = new Set<string>();
  /** The stream used last, and what its uids start with. */
  #current: { readonly prefix: string; readonly ranges: SequenceRanges } | undefined;
  #rangeCount = 0;
  #forgotten = 0;

  constructor(options: SeenRecordsOptions = {}) {
    this.#rangesMax = options.rangesMax ?? RANGES_MAX_DEFAULT;
    this.#streamsMax = options.streamsMax ?? STREAMS_MAX_DEFAULT;
    this.#otherUidsMax = options.otherUidsMax ?? OTHER_UIDS_MAX_DEFAULT;
  }

  /** How often something was forgotten at a limit; 0 means that no repeat can have passed. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Remembers a record; false when it was seen before. */
  add(uid: string): boolean {
    const current = this.#current;
    const next = current === undefined ? -1 : sequenceOf(uid, current.prefix);
    if (current !== undefined && next >= 0) return this.#addTo(current.ranges, next);
    const parsed = uid.length > UID_CHARACTERS_MAX ? undefined : parseUid(uid);
    // "s-07" and "s-7" are two uids and would be one place in a stream.
    if (parsed === undefined || `${parsed.sequence}`.length !== uid.length - parsed.streamId.length - 1) {
      return this.#addOther(uid);
    }
    return this.#addTo(this.#use(parsed.streamId), parsed.sequence);
  }

  #addTo(ranges: SequenceRanges, sequence: number): boolean {
    const rangesBefore = ranges.rangeCount;
    const forgottenBefore = ranges.forgottenRanges;
    const isNew = ranges.add(sequence);
    this.#forgotten += ranges.forgottenRanges - forgottenBefore;
    this.#rangeCount += ranges.rangeCount - rangesBefore;
    while (this.#rangeCount > this.#rangesMax && this.#streams.size > 1) this.#forgetStream();
    return isNew;
  }

  #addOther(uid: string): boolean {
    const key =
      uid.length > UID_CHARACTERS_MAX ? createHash("sha256").update(uid, "utf16le").digest("base64") : uid;
    if (this.#otherUids.has(key)) return false;
    this.#otherUids.add(key);
    if (this.#otherUids.size > this.#otherUidsMax) {
      this.#otherUids.delete(this.#otherUids.values().next().value as string);
      this.#forgotten++;
    }
    return true;
  }

  /** Makes a stream the one used last. */
  #use(streamId: string): SequenceRanges {
    const ranges = this.#streams.get(streamId) ?? new SequenceRanges({ rangesMax: this.#rangesMax });
    this.#streams.delete(streamId);
    this.#streams.set(streamId, ranges);
    this.#current = { prefix: `${streamId}-`, ranges };
    if (this.#streams.size > this.#streamsMax) this.#forgetStream();
    return ranges;
  }

  /** Forgets the stream that is unused for longest. */
  #forgetStream(): void {
    const [oldest] = this.#streams;
    if (oldest === undefined) return;
    this.#streams.delete(oldest[0]);
    this.#rangeCount -= oldest[1].rangeCount;
    this.#forgotten++;
  }
}

/** The number behind the prefix, if nothing but a number of usual length is; -1 if not. */
function sequenceOf(uid: string, prefix: string): number {
  const digits = uid.length - prefix.length;
  if (digits < 1 || digits > SEQUENCE_DIGITS_MAX || uid.length > UID_CHARACTERS_MAX) return -1;
  if (!uid.startsWith(prefix)) return -1;
  let sequence = 0;
  for (let index = prefix.length; index < uid.length; index++) {
    const digit = uid.charCodeAt(index) - 0x30;
    // "07" is not the uid of 7.
    if (digit < 0 || digit > 9 || (sequence === 0 && index > prefix.length)) return -1;
    sequence = sequence * 10 + digit;
  }
  return sequence;
}
