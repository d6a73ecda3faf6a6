/** Which records of a stream a request holds, read back from their `log.record.uid`. */
import { ATTR_LOG_RECORD_UID } from "../otlp/attributes.gen.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import type { DecodedLogRecord } from "../otlp/decoded-log-record.ts";
import { parseUid } from "../otlp/to-evidence.ts";

/** Sequence numbers from `first` to `last`, both included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** The sequence numbers of one stream in a request, in its own order; none where it cannot be decoded. */
export function sequencesOf(body: Buffer, streamId: string): SequenceRange[] {
  const ranges: SequenceRange[] = [];
  for (const { attributes } of decoded(body)) {
    const uid = attributes.get(ATTR_LOG_RECORD_UID);
    const parsed = typeof uid === "string" ? parseUid(uid) : undefined;
    if (parsed?.streamId === streamId) ranges.push({ first: parsed.sequence, last: parsed.sequence });
  }
  return ranges;
}

function decoded(body: Buffer): DecodedLogRecord[] {
  try {
    return decodeRequest(body);
  } catch {
    // A request that is no OTLP is lost like any other, and nobody can say more about it than its count.
    return [];
  }
}

/** The same numbers in as few ranges as there can be, in order. */
export function mergeRanges(ranges: readonly SequenceRange[]): SequenceRange[] {
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else merged.push({ first, last });
  }
  return merged;
}
