/**
 * `verify`: whether all evidence of the streams in stored OTLP logs is there, and what is known of the rest.
 */
import { readStoredRequests, type StoredFormat } from "../convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { decodeStored } from "./rebuild.ts";
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
  /** Files, "-" for standard input. */
  inputs: readonly string[];
  from: StoredFormat | "auto";
  /** Gaps to name per stream. */
  gapsShownMax: number;
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
  const result = { badMessages: 0, partialTails: 0, failure: undefined as RuntimeEvidenceError | undefined };
  for (const input of options.inputs) {
    try {
      await readInput(input, options, verifier, result);
    } catch (thrown) {
      const error = RuntimeEvidenceError.from(thrown);
      if (error.code === "limit") throw error;
      if (error.code === "bad-input") result.badMessages++;
      else result.failure ??= error;
      options.report(error.code === "bad-input" ? `${nameOf(input)}: ${error.message}` : error.message);
    }
  }
  const streams = verifier.reports(options.gapsShownMax);
  return { ...verifier.counts, ...result, verdict: verdictOf(streams), streams };
}

async function readInput(
  input: string,
  { from, report }: VerifyOptions,
  verifier: StreamVerifier,
  result: { badMessages: number; partialTails: number },
): Promise<void> {
  for await (const item of readStoredRequests(input === "-" ? process.stdin : input, { from })) {
    const place = `${nameOf(input)}: ${item.line === undefined ? `byte ${item.offset}` : `line ${item.line}`}`;
    if (item.kind === "partial-tail") {
      result.partialTails++;
      report(`${place}: ends within a message; its ${item.bytes} bytes were left out`);
      continue;
    }
    const identities = item.kind === "rejected" ? item.reason : identifyAll(item.encoding, item.body);
    if (typeof identities === "string") {
      result.badMessages++;
      report(`${place}: ${identities}`);
    } else for (const identity of identities) verifier.take(identity);
  }
}

const nameOf = (input: string): string => (input === "-" ? "standard input" : input);

/** All records of a message, or why it is none: then it counts as if none of it had been stored, as for convert. */
function identifyAll(...message: Parameters<typeof decodeStored>): RecordIdentity[] | string {
  try {
    return decodeStored(...message).map(identify);
  } catch (thrown) {
    if (!(thrown instanceof RuntimeEvidenceError) || thrown.code !== "bad-input") throw thrown;
    return thrown.message;
  }
}
