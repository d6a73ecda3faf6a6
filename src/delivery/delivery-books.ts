/** The counters of a delivery, and the lines that say what was counted. */

import { said } from "../evidence/remote-text.ts";
import type { LossReason, Refusal, SealedRequest } from "./outcome.ts";
import type { Report } from "./report.ts";

/**
 * Only ever grow. Accepted, rejected and lost records are disjoint. A request that was cut counts as the parts that
 * were sent.
 */
export interface DeliveryCounters {
  /** Acknowledged and stored. */
  readonly recordsAccepted: number;
  /** Acknowledged but not stored (OTLP partial success). */
  readonly recordsRejected: number;
  readonly recordsLost: ReadonlyMap<LossReason, number>;
  /** Those of the lost ones that the dead letter has kept. */
  readonly recordsDeadLettered: number;
  readonly requestsAccepted: number;
  readonly requestsLost: number;
  /** Requests, and parts of such, that were too large and went on as halves. */
  readonly requestsSplit: number;
  /** Tries after the first. */
  readonly retries: number;
  /** Tries that did not end with an acknowledgement, by the reason of their outcome. */
  readonly attemptsFailed: ReadonlyMap<string, number>;
  /** Uncompressed size of the accepted requests. */
  readonly bytesAccepted: number;
}

export class DeliveryBooks {
  readonly #report: Report;
  readonly #lost = new Map<LossReason, number>();
  readonly #attemptsFailed = new Map<string, number>();
  readonly #counts = {
    recordsAccepted: 0,
    recordsRejected: 0,
    recordsDeadLettered: 0,
    requestsAccepted: 0,
    requestsLost: 0,
    requestsSplit: 0,
    retries: 0,
    bytesAccepted: 0,
  };

  constructor(report: Report) {
    this.#report = report;
  }

  counters(): DeliveryCounters {
    const attemptsFailed = new Map(this.#attemptsFailed);
    return { ...this.#counts, recordsLost: new Map(this.#lost), attemptsFailed };
  }

  accepted({ body, recordCount }: SealedRequest, rejected: number, message: string): void {
    this.#counts.requestsAccepted += 1;
    this.#counts.bytesAccepted += body.byteLength;
    this.#counts.recordsRejected += rejected;
    this.#counts.recordsAccepted += recordCount - rejected;
    if (rejected > 0) {
      this.#report("rejected", said(`collector rejected ${rejected} of ${recordCount} records`, message));
    } else if (message !== "") this.#report("warning", `collector warns: ${message}`);
  }

  retried(): void {
    this.#counts.retries += 1;
  }

  attemptFailed(reason: string): void {
    this.#attemptsFailed.set(reason, (this.#attemptsFailed.get(reason) ?? 0) + 1);
  }

  split({ body, recordCount }: SealedRequest, { reason, message }: Refusal): void {
    this.#counts.requestsSplit += 1;
    this.#report(
      "too large",
      `collector: ${said(reason, message)}; ${recordCount} records of ${body.byteLength} bytes go on in halves`,
    );
  }

  /** @param kept whether the dead letter has them */
  lost({ recordCount }: SealedRequest, lossReason: LossReason, refusal: Refusal, kept: boolean): void {
    this.#counts.requestsLost += 1;
    if (kept) this.#counts.recordsDeadLettered += recordCount;
    this.#lost.set(lossReason, (this.#lost.get(lossReason) ?? 0) + recordCount);
    const line = said(`lost ${recordCount} records: ${lossReason}: ${refusal.reason}`, refusal.message);
    this.#report(`lost ${lossReason}`, kept ? `${line}; kept in the dead letter` : line);
  }
}
