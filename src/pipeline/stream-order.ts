/**
 * Puts the records of a request back into the order in which they were numbered: a request holds them by
 * resource, and the events of two containers come in turns.
 */
import { ATTR_LOG_RECORD_UID } from "../otlp/attributes.gen.ts";
import type { DecodedLogRecord } from "../otlp/decoded-log-record.ts";
import { parseUid } from "../otlp/to-evidence.ts";

interface Numbered {
  readonly index: number;
  readonly sequence: number;
}

/** The same records; those of one stream share the places that they had, and stand there by their number. */
export function inStreamOrder(records: readonly DecodedLogRecord[]): readonly DecodedLogRecord[] {
  const [first] = records;
  if (records.every(({ resource }) => resource === first?.resource)) return records;
  const streams = new Map<string, Numbered[]>();
  for (const [index, { attributes }] of records.entries()) {
    const uid = attributes.get(ATTR_LOG_RECORD_UID);
    const parsed = typeof uid === "string" ? parseUid(uid) : undefined;
    if (parsed === undefined) continue;
    const numbered = streams.get(parsed.streamId);
    if (numbered === undefined) streams.set(parsed.streamId, [{ index, sequence: parsed.sequence }]);
    else numbered.push({ index, sequence: parsed.sequence });
  }
  const ordered = [...records];
  for (const numbered of streams.values()) {
    const sorted = numbered.toSorted((one, other) => one.sequence - other.sequence);
    for (const [place, { index }] of numbered.entries()) {
      ordered[index] = records[sorted[place]?.index as number] as DecodedLogRecord;
    }
  }
  return ordered;
}
