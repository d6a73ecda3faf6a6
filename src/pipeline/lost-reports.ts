/**
 * What an earlier run had reported in a request that is lost now: its loss records, and what it said of streams.
 * Counted as lost they would be so many control records, and what they report would be gone.
 */
import { SplitRequest } from "../delivery/split-request.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import { type ControlRecord, parseUid, toEvidence } from "../otlp/to-evidence.ts";

/** Sequence numbers, both included. */
export interface LostRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The control records of a request that are among the lost ones, in order; as many as can be read. Decodes one record
 * at a time, and stops when all are found.
 * @param lost where the lost ones stand; `undefined`: any may be lost
 * @param countMax how many control records the request has, as far as is known
 */
export function lostReports(
  body: Buffer,
  lost: readonly LostRange[] | undefined,
  countMax = Number.POSITIVE_INFINITY,
): ControlRecord[] {
  const reports: ControlRecord[] = [];
  let found = 0;
  try {
    const split = new SplitRequest(body);
    for (let index = 0; index < split.recordCount && found < countMax; index++) {
      const [decoded] = decodeRequest(split.part(index, index + 1));
      const reversed = decoded && toEvidence(decoded);
      if (reversed?.kind !== "control") continue;
      found += 1;
      if (lost === undefined || isAmong(reversed, lost)) reports.push(reversed);
    }
  } catch {
    // A request that is no OTLP holds no report.
  }
  return reports;
}

function isAmong({ uid }: ControlRecord, ranges: readonly LostRange[]): boolean {
  const sequence = uid === undefined ? undefined : parseUid(uid)?.sequence;
  return sequence === undefined || ranges.some(({ first, last }) => first <= sequence && sequence <= last);
}
