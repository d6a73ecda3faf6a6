/**
 * Keeps a tally for each stream that log records belong to or speak of.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { ATTR_LOG_RECORD_UID } from "../otlp/attributes.gen.ts";
import type { DecodedLogRecord } from "../otlp/decoded-log-record.ts";
import { eventTypeKey, isEventType } from "../otlp/mapping.ts";
import { type ControlRecord, parseUid, toEvidence } from "../otlp/to-evidence.ts";
import { type StreamReport, StreamTally } from "./stream-tally.ts";

/** Default of `gapsMax`: about 128 MB. */
export const GAPS_MAX_DEFAULT = 8_000_000;
/** Default of `streamsMax`. */
export const STREAMS_MAX_DEFAULT = 100_000;

export interface StreamVerifierOptions {
  /**
   * Gaps, and ranges of loss records, that are kept at a time, over all streams. Files that are read in another
   * order than they were written in have gaps meanwhile. Default {@link GAPS_MAX_DEFAULT}.
   */
  readonly gapsMax?: number | undefined;
  /** Streams. Default {@link STREAMS_MAX_DEFAULT}. */
  readonly streamsMax?: number | undefined;
}

/** Log records by what they are to a verifier; with the records of the streams they add up to all that were read. */
export interface VerifyCounts {
  /** Everything that was read. */
  read: number;
  /** Of other applications. */
  foreign: number;
  /** Evidence without a place in a stream: nobody can say whether all of it is there. */
  unnumbered: number;
  /** Evidence that lost attributes on the way, and control records that make no sense. */
  damaged: number;
}

/** What a verifier needs of a log record. */
export type RecordIdentity =
  | { readonly kind: "evidence"; readonly uid: string | undefined; readonly type: string }
  | { readonly kind: "foreign" }
  | { readonly kind: "damaged" }
  | ControlRecord;

/** Says what a log record is. Whether evidence is valid v1 is the business of convert. */
export function identify(logRecord: DecodedLogRecord): RecordIdentity {
  const { attributes } = logRecord;
  const type = attributes.get(eventTypeKey);
  const dropped = logRecord.droppedAttributesCount + logRecord.resource.droppedAttributesCount;
  // The usual case by two look-ups.
  if (isEventType(type) && dropped === 0) {
    const uid = attributes.get(ATTR_LOG_RECORD_UID);
    return { kind: "evidence", uid: typeof uid === "string" ? uid : undefined, type };
  }
  const result = toEvidence(logRecord);
  if (result.kind === "evidence")
    return { kind: "evidence", uid: result.uid, type: result.record.event.type };
  return result.kind === "invalid" ? { kind: "damaged" } : result;
}

export class StreamVerifier {
  readonly counts: VerifyCounts = { read: 0, foreign: 0, unnumbered: 0, damaged: 0 };
  readonly #gapsMax: number;
  readonly #streamsMax: number;
  readonly #tallies = new Map<string, StreamTally>();
  #ranges = 0;
  #last: StreamTally | undefined;

  constructor(options: StreamVerifierOptions = {}) {
    this.#gapsMax = options.gapsMax ?? GAPS_MAX_DEFAULT;
    this.#streamsMax = options.streamsMax ?? STREAMS_MAX_DEFAULT;
  }

  /** @throws RuntimeEvidenceError `limit` when there are more gaps or streams than allowed: nothing can be said then. */
  take(identity: RecordIdentity): void {
    this.counts.read++;
    if (identity.kind === "evidence") this.#evidence(identity);
    else if (identity.kind === "control") this.#control(identity);
    else this.counts[identity.kind]++;
  }

  /** What is known of each stream, in the order in which they were first heard of. */
  reports(gapsShownMax: number): StreamReport[] {
    return Array.from(this.#tallies.values(), (tally) => tally.report(gapsShownMax));
  }

  #evidence({ uid, type }: RecordIdentity & { kind: "evidence" }): void {
    const place = uid === undefined ? undefined : parseUid(uid);
    if (place === undefined) {
      this.counts.unnumbered++;
      return;
    }
    this.#update(place.streamId, (tally) => tally.evidence(place.sequence, type));
  }

  #control(record: ControlRecord): void {
    const place = record.uid === undefined ? undefined : parseUid(record.uid);
    if (place === undefined) {
      this.counts.damaged++;
      return;
    }
    this.#update(place.streamId, (tally) => tally.control(place.sequence));
    if (record.event === "stream") {
      this.#update(record.stream.streamId, (tally) => tally.state(record.stream));
    } else if (this.#update(place.streamId, (tally) => tally.firstReport(record.loss.lossId))) {
      this.#update(record.loss.streamId, (tally) => tally.loss(record.loss));
    }
  }

  #update<Result>(streamId: string, change: (tally: StreamTally) => Result): Result {
    const tally = this.#last?.streamId === streamId ? this.#last : this.#tally(streamId);
    this.#last = tally;
    const before = tally.rangeCount;
    const result = change(tally);
    this.#ranges += tally.rangeCount - before;
    if (this.#ranges > this.#gapsMax) {
      throw new RuntimeEvidenceError(
        "limit",
        `more than ${this.#gapsMax} gaps at a time: give the files in the order in which they were written, or raise --gaps-max`,
        { context: { gapsMax: this.#gapsMax } },
      );
    }
    return result;
  }

  #tally(streamId: string): StreamTally {
    let tally = this.#tallies.get(streamId);
    if (tally !== undefined) return tally;
    if (this.#tallies.size >= this.#streamsMax) {
      throw new RuntimeEvidenceError(
        "limit",
        `more than ${this.#streamsMax} streams: verify fewer files at a time, or raise --streams-max`,
        { context: { streamsMax: this.#streamsMax } },
      );
    }
    // One more than are allowed, so that none is forgotten before that is noticed.
    tally = new StreamTally(streamId, this.#gapsMax + 1);
    this.#tallies.set(streamId, tally);
    return tally;
  }
}
