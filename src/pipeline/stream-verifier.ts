/**
 * Keeps a tally for each stream that log records belong to or speak of.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { AnyValue } from "../otlp/any-value.ts";
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
  take(logRecord: DecodedLogRecord): void {
    this.counts.read++;
    const { attributes } = logRecord;
    const type = attributes.get(eventTypeKey);
    const dropped = logRecord.droppedAttributesCount + logRecord.resource.droppedAttributesCount;
    // The usual case by two look-ups: whether a record is valid v1 is the business of convert.
    if (isEventType(type) && dropped === 0) this.#evidence(attributes.get(ATTR_LOG_RECORD_UID), type);
    else this.#unusual(logRecord);
  }

  /** What is known of each stream, in the order in which they were first heard of. */
  reports(gapsShownMax: number): StreamReport[] {
    return Array.from(this.#tallies.values(), (tally) => tally.report(gapsShownMax));
  }

  #unusual(logRecord: DecodedLogRecord): void {
    const result = toEvidence(logRecord);
    if (result.kind === "foreign") this.counts.foreign++;
    else if (result.kind === "invalid") this.counts.damaged++;
    else if (result.kind === "control") this.#control(result);
    else this.#evidence(result.uid, result.record.event.type);
  }

  #evidence(uid: AnyValue | undefined, type: string): void {
    const place = typeof uid === "string" ? parseUid(uid) : undefined;
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
    const isNew = this.#update(place.streamId, (tally) => tally.control(place.sequence));
    if (!isNew) return;
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
