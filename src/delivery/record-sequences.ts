/** Which records of a stream a request holds, read back from their `log.record.uid`. */
import { ATTR_LOG_RECORD_UID } from "../otlp/attributes.gen.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import { parseUid } from "../otlp/to-evidence.ts";
import { SplitRequest } from "./split-request.ts";

/** Sequence numbers from `first` to `last`, both included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The sequence numbers of one stream in a request, in its own order; none where it cannot be decoded. Decodes one
 * record at a time: a decoded record takes up to a hundred times its bytes.
 */
export function sequencesOf(body: Buffer, streamId: string): SequenceRange[] {
  const ranges: SequenceRange[] = [];
  try {
    const split = new SplitRequest(body);
    for (let index = 0; index < split.recordCount; index++) {
      const uid = decodeRequest(split.part(index, index + 1))[0]?.attributes.get(ATTR_LOG_RECORD_UID);
      const parsed = typeof uid === "string" ? parseUid(uid) : undefined;
      if (parsed?.streamId === streamId) ranges.push({ first: parsed.sequence, last: parsed.sequence });
    }
  } catch {
    // A request that is no OTLP is lost like any other, and nobody can say more about it than its count.
  }
  return ranges;
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
