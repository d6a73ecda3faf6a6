/**
 * `verify`: whether all evidence of the streams in stored OTLP logs is there, and what is known of the rest.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { decodeStored } from "./rebuild.ts";
import { RejectedLines } from "./rejected-lines.ts";
import {
  type InputProgress,
  type InputVisitor,
  partialTailText,
  type StoredInput,
  visitInputs,
} from "./stored-inputs.ts";
import type { StreamReport } from "./stream-tally.ts";
import {
  identify,
  type RecordIdentity,
  StreamVerifier,
  type StreamVerifierOptions,
  type VerifyCounts,
} from "./stream-verifier.ts";
import { type Verdict, verdictOf } from "./verdict.ts";

export interface VerifyOptions extends StreamVerifierOptions {
  inputs: readonly StoredInput[];
  progress: InputProgress;
  /** Gaps to name per stream. */
  gapsShownMax: number;
  /** Most rejected messages of an input to name. Default {@link REJECTED_SHOWN_DEFAULT}. */
  rejectedShownMax?: number | undefined;
  report: (line: string) => void;
  /** Told before the first message; they grow while the reading goes on. */
  onStart?: (counts: VerifyCounts) => void;
}

export interface VerifyResult extends VerifyCounts {
  verdict: Verdict;
  streams: StreamReport[];
  /** Messages that are no OTLP requests, and inputs that could not be read to their end. */
  badMessages: number;
  /** Inputs that end within a message, as a file that is still written does. */
  partialTails: number;
  /** The first input that could not be opened or read. */
  failure: RuntimeEvidenceError | undefined;
}

/**
 * Reads each input in turn; what can't be read is reported and the rest goes on. Memory is bounded by the limits,
 * not by how much is read.
 * @throws RuntimeEvidenceError `limit` at a limit of the verifier.
 */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  const verifier = new StreamVerifier(options);
  options.onStart?.(verifier.counts);
  const result = { badMessages: 0, partialTails: 0 };
  const rejected = new RejectedLines(options.report, options.rejectedShownMax);
  const bad = (place: string, reason: string): void => {
    result.badMessages++;
    rejected.line(`${place}: ${reason}`);
  };
  const visitor: InputVisitor = {
    begin: (input) => rejected.begin(input),
    request: ({ encoding, body }) => {
      if (encoding === "v1") throw new RuntimeEvidenceError("bad-input", NO_STREAMS);
      const identities = identifyAll(encoding, body);
      if (typeof identities === "string") return identities;
      for (const identity of identities) verifier.take(identity);
      return undefined;
    },
    rejected: ({ reason }, place) => bad(place, reason),
    partialTail: ({ bytes }, place) => {
      result.partialTails++;
      options.report(`${place}: ${partialTailText(bytes)}`);
    },
    settle: () => Promise.resolve(),
  };
  let failure = await visitInputs(options.inputs, visitor, options);
  if (failure?.code === "bad-input") {
    // What could be read of the input was taken; `visitInputs` has said so.
    result.badMessages++;
    failure = undefined;
  }
  const streams = verifier.reports(options.gapsShownMax);
  return { ...verifier.counts, ...result, failure, verdict: verdictOf(streams), streams };
}

const NO_STREAMS = "these are v1 records, which say nothing of streams; verify reads stored log records";

/** All records of a message, or why it is none: then it counts as if none of it had been stored, as for convert. */
function identifyAll(...message: Parameters<typeof decodeStored>): RecordIdentity[] | string {
  try {
    return decodeStored(...message).map(identify);
  } catch (thrown) {
    if (!(thrown instanceof RuntimeEvidenceError) || thrown.code !== "bad-input") throw thrown;
    return thrown.message;
  }
}
