/**
 * What an earlier run had reported in a request that is lost now: its loss records, and what it said of streams.
 * Counted as lost they would be so many control records, and what they report would be gone.
 */
import { SplitRequest } from "../delivery/split-request.ts";
import { EVENT_RUNTIME_EVIDENCE_LOSS, EVENT_RUNTIME_EVIDENCE_STREAM } from "../otlp/attributes.gen.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import { type ControlRecord, parseUid, toEvidence } from "../otlp/to-evidence.ts";

/** Sequence numbers, both included. */
export interface LostRange {
  readonly first: number;
  readonly last: number;
}

/** The name of its event stands in each report. */
const NAMES = [EVENT_RUNTIME_EVIDENCE_LOSS, EVENT_RUNTIME_EVIDENCE_STREAM];

/**
 * The control records of a request that are among the lost ones, in order; as many as can be read. Only what may be
 * one is decoded, one record at a time: all of a full request would take a second.
 * @param lost where the lost ones stand; `undefined`: any may be lost
 */
export function lostReports(body: Buffer, lost: readonly LostRange[] | undefined): ControlRecord[] {
  try {
    const split = new SplitRequest(body);
    return mayBeReports(body, split).flatMap((index) => {
      const [decoded] = decodeRequest(split.part(index, index + 1));
      const reversed = decoded && toEvidence(decoded);
      if (reversed?.kind !== "control") return [];
      return lost === undefined || isAmong(reversed, lost) ? [reversed] : [];
    });
  } catch {
    // A request that is no OTLP holds no report.
    return [];
  }
}

function mayBeReports(body: Buffer, split: SplitRequest): number[] {
  const found = new Set<number>();
  for (const name of NAMES) {
    for (let at = body.indexOf(name); at >= 0; at = body.indexOf(name, at + name.length)) {
      const index = split.recordAt(at);
      if (index !== undefined) found.add(index);
    }
  }
  return [...found].sort((one, other) => one - other);
}

function isAmong({ uid }: ControlRecord, ranges: readonly LostRange[]): boolean {
  const sequence = uid === undefined ? undefined : parseUid(uid)?.sequence;
  return sequence === undefined || ranges.some(({ first, last }) => first <= sequence && sequence <= last);
}
