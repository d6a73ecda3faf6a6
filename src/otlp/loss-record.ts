/**
 * The log record `runtime_evidence.loss`: evidence was lost, and this says how much, why and when, so that a
 * gap in the evidence is itself evidence.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import {
  ATTR_RUNTIME_EVIDENCE_LOSS_COUNT,
  ATTR_RUNTIME_EVIDENCE_LOSS_FIRST_TIME,
  ATTR_RUNTIME_EVIDENCE_LOSS_ID,
  ATTR_RUNTIME_EVIDENCE_LOSS_LAST_TIME,
  ATTR_RUNTIME_EVIDENCE_LOSS_REASON,
  ATTR_RUNTIME_EVIDENCE_LOSS_SEQUENCES,
  ATTR_RUNTIME_EVIDENCE_PROBE_TYPE,
  ATTR_RUNTIME_EVIDENCE_STREAM_ID,
  EVENT_RUNTIME_EVIDENCE_LOSS,
} from "./attributes.gen.ts";
import {
  type ControlContext,
  type ControlMembers,
  checkedNumber,
  checkedText,
  checkedTexts,
  checkedUnsigned,
  encodeControlRecord,
  NAME_PATTERN,
  STREAM_ID_PATTERN,
} from "./control-record.ts";
import type { FieldMapping } from "./mapping.ts";
import { severity } from "./projection.ts";
import type { RequestBuilder } from "./request-builder.ts";

/** `count` of the records with sequence numbers from `first` to `last`, both included, were lost. */
export interface LostSequences {
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** One loss: of one stream, for one reason, of one probe. */
export interface LossRecord {
  /** The stream whose evidence was lost; it may be an earlier one than that which reports it. */
  readonly streamId: string;
  /** Number of the loss in the stream that reports it; the same when it is reported again. */
  readonly lossId: number;
  readonly reason: string;
  /** Type of the probe's events; `control` for records of the exporter itself. */
  readonly probe: string;
  /** Events; 0 where nobody can know. */
  readonly count: bigint;
  /** The time in which they were lost, in nanoseconds since the Unix epoch. */
  readonly firstTimeUnixNano: bigint;
  readonly lastTimeUnixNano: bigint;
  /** Where they stood in the stream; empty when they were lost before they got a number. */
  readonly sequences: readonly LostSequences[];
}

/** Most ranges of a record that are read; the registry writes fewer. */
const SEQUENCES_READ_MAX = 1024;

/** How the members of a loss record are carried; see `mapping.ts`. */
export const lossFields = [
  { member: "streamId", key: ATTR_RUNTIME_EVIDENCE_STREAM_ID, type: "string" },
  { member: "lossId", key: ATTR_RUNTIME_EVIDENCE_LOSS_ID, type: "integer" },
  { member: "reason", key: ATTR_RUNTIME_EVIDENCE_LOSS_REASON, type: "string" },
  { member: "probe", key: ATTR_RUNTIME_EVIDENCE_PROBE_TYPE, type: "string" },
  { member: "count", key: ATTR_RUNTIME_EVIDENCE_LOSS_COUNT, type: "integer" },
  { member: "firstTimeUnixNano", key: ATTR_RUNTIME_EVIDENCE_LOSS_FIRST_TIME, type: "integer" },
  { member: "lastTimeUnixNano", key: ATTR_RUNTIME_EVIDENCE_LOSS_LAST_TIME, type: "integer" },
  { member: "sequences", key: ATTR_RUNTIME_EVIDENCE_LOSS_SEQUENCES, type: "string-array" },
] as const satisfies readonly (FieldMapping & { readonly member: keyof LossRecord })[];

/** Writes a loss record with severity WARN; its Timestamp is the end of the time in which evidence was lost. */
export function encodeLossRecord(builder: RequestBuilder, loss: LossRecord, context: ControlContext): void {
  const { sequences, ...members } = loss;
  const attributes: Record<string, string | bigint | number | readonly string[]> = {};
  for (const { member, key } of lossFields) {
    if (member !== "sequences") attributes[key] = members[member];
    else if (sequences.length > 0) attributes[key] = sequences.map(sequencesText);
  }
  encodeControlRecord(
    builder,
    {
      eventName: EVENT_RUNTIME_EVIDENCE_LOSS,
      severityNumber: severity.warn,
      timeUnixNano: loss.lastTimeUnixNano,
      body: `runtime_evidence.loss ${loss.count} ${loss.probe} (${loss.reason})`,
      attributes,
    },
    context,
  );
}

/** The loss that `members` are, checked. Throws `bad-input`. */
export function lossFromMembers(members: ControlMembers): LossRecord {
  return {
    streamId: checkedText(members, "streamId", STREAM_ID_PATTERN),
    lossId: checkedNumber(members, "lossId"),
    reason: checkedText(members, "reason", NAME_PATTERN),
    probe: checkedText(members, "probe", NAME_PATTERN),
    count: checkedUnsigned(members, "count"),
    firstTimeUnixNano: checkedUnsigned(members, "firstTimeUnixNano"),
    lastTimeUnixNano: checkedUnsigned(members, "lastTimeUnixNano"),
    sequences: checkedTexts(members, "sequences", SEQUENCES_READ_MAX).map(parseSequences),
  };
}

const sequencesText = ({ first, last, count }: LostSequences): string => `${first}-${last}:${count}`;

function parseSequences(text: string): LostSequences {
  const [, ...digits] = /^(\d{1,16})-(\d{1,16}):(\d{1,16})$/.exec(text) ?? [];
  const [first, last, count] = digits.map(Number);
  const sound =
    first !== undefined &&
    last !== undefined &&
    count !== undefined &&
    Number.isSafeInteger(last) &&
    first >= 1 &&
    first <= last &&
    count >= 1 &&
    count <= last - first + 1;
  if (sound) return { first, last, count };
  throw new RuntimeEvidenceError("bad-input", "a range of lost sequence numbers is not sound");
}
