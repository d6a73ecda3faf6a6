/**
 * The log record `runtime_evidence.stream`: a stream started, or ended and how far it came, or never ended. With
 * it a reader knows whether what it has is all.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import {
  ATTR_RUNTIME_EVIDENCE_STREAM_COUNTS,
  ATTR_RUNTIME_EVIDENCE_STREAM_ID,
  ATTR_RUNTIME_EVIDENCE_STREAM_LAST_SEQUENCE,
  ATTR_RUNTIME_EVIDENCE_STREAM_STATE,
  EVENT_RUNTIME_EVIDENCE_STREAM,
} from "./attributes.gen.ts";
import {
  type ControlContext,
  type ControlMembers,
  checkedNumber,
  checkedText,
  checkedTexts,
  encodeControlRecord,
  NAME_PATTERN,
  STREAM_ID_PATTERN,
} from "./control-record.ts";
import type { FieldMapping } from "./mapping.ts";
import { severity } from "./projection.ts";
import type { RequestBuilder } from "./request-builder.ts";

/**
 * `start` is the first record of a stream, `end` its last; `unended` is written by a later run about a stream
 * that it found without an end.
 */
export type StreamState = "start" | "end" | "unended";

/** What became of a probe's events up to their sequence numbers: seen = recorded + filtered + Σ lost. */
export interface StreamCounts {
  readonly probe: string;
  readonly seen: bigint;
  /** Given a sequence number. */
  readonly recorded: bigint;
  readonly filtered: bigint;
  /** Lost before they got a sequence number, by reason. */
  readonly lost: ReadonlyMap<string, bigint>;
}

export interface StreamRecord {
  /** The stream that it speaks of. */
  readonly streamId: string;
  readonly state: StreamState;
  /** Highest sequence number of the stream as far as is known; of an `end`, the record's own. */
  readonly lastSequence?: number;
  /** Final counts; empty but in an `end`. */
  readonly counts: readonly StreamCounts[];
  /** Nanoseconds since the Unix epoch. */
  readonly timeUnixNano: bigint;
}

const PROBES_READ_MAX = 64;
const PAIRS_READ_MAX = 64;

/** How the members of a stream record are carried; see `mapping.ts`. */
export const streamFields = [
  { member: "streamId", key: ATTR_RUNTIME_EVIDENCE_STREAM_ID, type: "string" },
  { member: "state", key: ATTR_RUNTIME_EVIDENCE_STREAM_STATE, type: "string" },
  { member: "lastSequence", key: ATTR_RUNTIME_EVIDENCE_STREAM_LAST_SEQUENCE, type: "integer" },
  { member: "counts", key: ATTR_RUNTIME_EVIDENCE_STREAM_COUNTS, type: "string-array" },
] as const satisfies readonly (FieldMapping & { readonly member: keyof StreamRecord })[];

/** Writes a stream record: severity INFO, and WARN for a stream that never ended. */
export function encodeStreamRecord(
  builder: RequestBuilder,
  record: StreamRecord,
  context: ControlContext,
): void {
  const { streamId, state, lastSequence, counts } = record;
  const known = lastSequence === undefined ? "" : ` at ${lastSequence}`;
  encodeControlRecord(
    builder,
    {
      eventName: EVENT_RUNTIME_EVIDENCE_STREAM,
      severityNumber: state === "unended" ? severity.warn : severity.info,
      timeUnixNano: record.timeUnixNano,
      body: `runtime_evidence.stream ${streamId} ${state}${known}`,
      attributes: {
        [ATTR_RUNTIME_EVIDENCE_STREAM_ID]: streamId,
        [ATTR_RUNTIME_EVIDENCE_STREAM_STATE]: state,
        ...(lastSequence !== undefined && { [ATTR_RUNTIME_EVIDENCE_STREAM_LAST_SEQUENCE]: lastSequence }),
        ...(counts.length > 0 && { [ATTR_RUNTIME_EVIDENCE_STREAM_COUNTS]: counts.map(countsText) }),
      },
    },
    context,
  );
}

/** The stream record that `members` are, checked. Throws `bad-input`. */
export function streamFromMembers(members: ControlMembers, timeUnixNano: bigint): StreamRecord {
  return {
    streamId: checkedText(members, "streamId", STREAM_ID_PATTERN),
    state: checkedText(members, "state", /^(?:start|end|unended)$/) as StreamState,
    ...(members.lastSequence !== undefined && { lastSequence: checkedNumber(members, "lastSequence") }),
    counts: checkedTexts(members, "counts", PROBES_READ_MAX).map(parseCounts),
    timeUnixNano,
  };
}

function countsText({ probe, seen, recorded, filtered, lost }: StreamCounts): string {
  const losses = [...lost].map(([reason, count]) => ` lost.${reason}=${count}`);
  return `${probe} seen=${seen} recorded=${recorded} filtered=${filtered}${losses.join("")}`;
}

function parseCounts(text: string): StreamCounts {
  const [probe = "", ...pairs] = text.split(" ", PAIRS_READ_MAX + 1);
  const totals = { seen: 0n, recorded: 0n, filtered: 0n };
  const lost = new Map<string, bigint>();
  if (!NAME_PATTERN.test(probe)) throw unsound();
  for (const pair of pairs) {
    const [, reason, name = "", digits = ""] =
      /^(?:lost\.([a-z][a-z0-9_]{0,63})|([a-z]+))=(\d{1,20})$/.exec(pair) ?? [];
    if (reason !== undefined) lost.set(reason, BigInt(digits));
    else if (Object.hasOwn(totals, name)) totals[name as keyof typeof totals] = BigInt(digits);
    else throw unsound();
  }
  return { probe, ...totals, lost };
}

function unsound(): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", "the counts of a stream record are not sound");
}
