/**
 * What became of one leased request, to the record: the entry in the books that loss records and counters are made
 * of. A request is settled in parts when it had to be cut.
 */

import { said } from "../evidence/remote-text.ts";
import type { LossReason, Refusal, SealedRequest, SendOutcome } from "./outcome.ts";
import { mergeRanges, type SequenceRange, sequencesOf } from "./record-sequences.ts";
import type { RequestPart } from "./request-parts.ts";

/** `acceptedRecords + rejectedRecords + Σ lost + keptRecords` is the request's `recordCount`. */
export interface Settlement {
  readonly request: SealedRequest;
  /** Acknowledged and stored. */
  readonly acceptedRecords: number;
  /** Acknowledged but not stored (OTLP partial success); a collector does not say which. */
  readonly rejectedRecords: number;
  readonly lost: ReadonlyMap<LossReason, number>;
  /** Sequence numbers of the lost records, in order and without overlap; empty when the request has no stream. */
  readonly lostSequences: readonly SequenceRange[];
  /**
   * Records that are neither: delivery ended within the request, which is in the queue again, whole. Whoever sends
   * it next sends its accepted records once more. 0 unless delivery was stopped.
   */
  readonly keptRecords: number;
  /** What the collector said last about records that it did not store, or as a warning; empty when nothing. */
  readonly message: string;
}

/** Gathers what becomes of the parts of one request. */
export class OpenSettlement {
  readonly #request: SealedRequest;
  #acceptedRecords = 0;
  #rejectedRecords = 0;
  readonly #lost = new Map<LossReason, number>();
  readonly #lostSequences: SequenceRange[] = [];
  #message = "";

  constructor(request: SealedRequest) {
    this.#request = request;
  }

  /** Returns how many of the part's records were rejected: never more than were sent, whatever is claimed. */
  accepted(
    { request }: RequestPart,
    { rejectedRecords, message }: SendOutcome & { kind: "accepted" },
  ): number {
    if (message !== "") this.#message = message;
    const rejected = Math.min(rejectedRecords, request.recordCount);
    this.#rejectedRecords += rejected;
    this.#acceptedRecords += request.recordCount - rejected;
    return rejected;
  }

  lost({ request }: RequestPart, reason: LossReason, refusal: Refusal): void {
    this.#message = said(refusal.reason, refusal.message);
    this.#lost.set(reason, (this.#lost.get(reason) ?? 0) + request.recordCount);
    const { streamId, firstSequence, lastSequence } = this.#request;
    if (streamId === undefined) return;
    const isWhole = request === this.#request;
    if (isWhole && firstSequence !== undefined && lastSequence !== undefined) {
      this.#lostSequences.push({ first: firstSequence, last: lastSequence });
    } else this.#lostSequences.push(...sequencesOf(request.body, streamId));
  }

  /** The entry as it stands; `undefined` while nothing has become of any record. */
  close(): Settlement | undefined {
    const lostRecords = [...this.#lost.values()].reduce((sum, count) => sum + count, 0);
    const settled = this.#acceptedRecords + this.#rejectedRecords + lostRecords;
    if (settled === 0) return undefined;
    return {
      request: this.#request,
      acceptedRecords: this.#acceptedRecords,
      rejectedRecords: this.#rejectedRecords,
      lost: this.#lost,
      lostSequences: mergeRanges(this.#lostSequences),
      keptRecords: this.#request.recordCount - settled,
      message: this.#message,
    };
  }
}
