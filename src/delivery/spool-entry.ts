/** What a disk queue remembers of one request: about 200 bytes, and the request itself while it is in memory. */
import type { SealedRequest } from "./outcome.ts";
import type { RequestFacts } from "./queue.ts";
import type { QueueEntry } from "./queue-entries.ts";
import { requestFileName } from "./spool-names.ts";

export interface SpoolEntry extends QueueEntry {
  readonly name: string;
  /** Without the counts by probe: those are read from the file when they are asked for. */
  readonly facts: RequestFacts;
  /** The request, while it is in memory. */
  request: SealedRequest | undefined;
  /** Its file is there. */
  spooled: boolean;
  /** Given to a sender before it was spooled, because it can't be. */
  lent: boolean;
  /** Acknowledged before it was spooled. */
  acknowledged: boolean;
  readFailures: number;
}

/** An entry whose file is not there yet, without its request. */
export function createSpoolEntry(sequence: number, fileBytes: number, request: RequestFacts): SpoolEntry {
  const { recordCount, sealedAtUnixMs, streamId, firstSequence, lastSequence } = request;
  return {
    sequence,
    bytes: fileBytes,
    records: recordCount,
    name: requestFileName(sequence),
    facts: {
      recordCount,
      sealedAtUnixMs,
      ...(streamId === undefined ? {} : { streamId }),
      ...(firstSequence === undefined ? {} : { firstSequence }),
      ...(lastSequence === undefined ? {} : { lastSequence }),
    },
    request: undefined,
    spooled: false,
    lent: false,
    acknowledged: false,
    readFailures: 0,
  };
}
