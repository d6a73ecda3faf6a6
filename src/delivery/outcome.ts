/**
 * What a collector said to one request, and what one sealed request is. Retryable or permanent is a type,
 * never a guess from a message.
 */

/** One OTLP request, ready to send: reading it is not owning it, it stays queued until acknowledged. */
export interface SealedRequest {
  /** Protobuf of `ExportLogsServiceRequest`; other encodings are made from it when sent. */
  readonly body: Buffer;
  readonly recordCount: number;
  /** When it was sealed: `steadyUnixMs()`, milliseconds since the Unix epoch. Its age survives a restart. */
  readonly sealedAtUnixMs: number;
  /** The stream its records belong to, where they have one; then the two sequence numbers are there as well. */
  readonly streamId?: string;
  /** Lowest sequence number of its records. */
  readonly firstSequence?: number;
  /** Highest sequence number of its records. */
  readonly lastSequence?: number;
  /** How many of its records each probe made. */
  readonly recordsByProbe?: ReadonlyMap<string, number>;
}

/**
 * The outcome of one attempt to send. `reason` is one of a small set of texts (`grpc UNAVAILABLE`, `http 413`,
 * `connect ECONNREFUSED`), fit to be a counter's key; `message` is what the other side said, cleaned and cut.
 */
export type SendOutcome =
  /** Acknowledged; `rejectedRecords` of it are not stored (OTLP partial success) and must not be retried. */
  | { readonly kind: "accepted"; readonly rejectedRecords: number; readonly message: string }
  /** Worth another try, not before `delayMs` where the collector said so. */
  | ({
      readonly kind: "retryable";
      readonly delayMs?: number;
      /** The time for one attempt was over: perhaps the request is more than fits into it. */
      readonly timedOut?: boolean;
    } & Refusal)
  /** Will never be accepted. */
  | ({ readonly kind: "permanent" } & Refusal)
  /** Larger than the collector takes: worth another try in smaller parts. */
  | ({ readonly kind: "too-large" } & Refusal);

/** Why an attempt did not succeed. */
export interface Refusal {
  readonly reason: string;
  readonly message?: string;
}

/** Why records that were queued never reached a collector; the keys of the counters and of loss records. */
export type LossReason =
  /** The collector said that it will never take them. */
  | "refused"
  /** One record by itself is larger than the collector takes, or the request cannot be cut. */
  | "too_large"
  /** Older than the age that was asked for (`maxAgeMs`), and still not delivered. */
  | "given_up";

/** Sends one request once. Never throws: every failure is an outcome. */
export interface Sender {
  send(request: SealedRequest, signal: AbortSignal): Promise<SendOutcome>;
  /** Ends connections. No `send` may follow. */
  close(): Promise<void>;
}
