/** What a disk queue remembers of one request: some 300 bytes, and the request itself while it is in memory. */
import type { SealedRequest } from "./outcome.ts";
import type { RequestFacts } from "./queue.ts";
import type { QueueEntry } from "./queue-entries.ts";
import type { RecoveredRequest } from "./spool-recovery.ts";

export interface SpoolEntry extends QueueEntry {
  /** Without the counts by probe: those are read from the file when they are asked for. */
  readonly facts: RequestFacts;
  /** The request, while it is in memory. */
  request: SealedRequest | undefined;
  /** An earlier run has left it. */
  readonly recovered: boolean;
  /** Its file is there. */
  spooled: boolean;
  /** Given to a sender before it was spooled, because it can't be. */
  lent: boolean;
  /** Acknowledged before it was spooled. */
  acknowledged: boolean;
  readFailures: number;
}

/** An entry without its request: of one to be written, or of one that an earlier run has left. */
export function createSpoolEntry(
  { sequence, fileBytes, facts }: Pick<RecoveredRequest, "sequence" | "fileBytes" | "facts">,
  recovered = false,
): SpoolEntry {
  return {
    sequence,
    bytes: fileBytes,
    records: facts.recordCount,
    facts,
    request: undefined,
    recovered,
    spooled: recovered,
    lent: false,
    acknowledged: false,
    readFailures: 0,
  };
}

/** What is worth remembering of a request: all but its body and the counts by probe. */
export function factsToKeep(request: SealedRequest): RequestFacts {
  const { body: _, recordsByProbe: __, ...facts } = request;
  return facts;
}

/** Bodies that stay in memory beside their files, up to a limit. */
export class HeldBodies {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps the request of an entry that is spooled by now, or takes it away from the entry. */
  keep(entry: SpoolEntry): void {
    const bytes = entry.request?.body.byteLength ?? 0;
    if (this.#bytes + bytes <= this.#bytesMax) this.#bytes += bytes;
    else entry.request = undefined;
  }

  /** The request of a spooled entry is not needed any more. */
  forget(entry: SpoolEntry): void {
    this.#bytes -= entry.request?.body.byteLength ?? 0;
    entry.request = undefined;
  }
}
