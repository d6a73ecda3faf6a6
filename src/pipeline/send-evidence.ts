/**
 * v1 records from files to OTLP: read, validate, encode, pass on. What is no valid record is reported and
 * counted, and the rest goes on.
 */

import { unlessAborted } from "../delivery/within.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { eventTypes } from "../otlp/mapping.ts";
import { createEvidenceReader, oneLine } from "./evidence-reader.ts";
import type { LineWriter } from "./line-writer.ts";
import type { RecordEncoder } from "./record-encoder.ts";
import { RejectedLines } from "./rejected-lines.ts";
import type { RequestOutlet } from "./request-outlet.ts";
import {
  type InputProgress,
  type InputVisitor,
  partialTailText,
  type StoredInput,
  visitInputs,
} from "./stored-inputs.ts";

/** What became of the records that were read: read = encoded + invalid + refused. */
export interface SendCounts {
  read: number;
  encoded: number;
  /** Not valid v1. */
  invalid: number;
  /** Valid, and beyond a limit of the store that they are for. */
  refused: number;
}

export interface SendOptions {
  inputs: readonly StoredInput[];
  progress: InputProgress;
  counts: SendCounts;
  encoder: RecordEncoder;
  outlet: RequestOutlet;
  /** Gets the records that are not sent, one a line, as they were. */
  rejects?: LineWriter | undefined;
  /** Most records of an input that are not sent to name. Default {@link REJECTED_SHOWN_DEFAULT}. */
  rejectedShownMax?: number | undefined;
  report: (line: string) => void;
  /** Ends the reading. */
  signal?: AbortSignal | undefined;
}

/** A record that needs no room made for it: a batch seals itself while it has more than this left. */
const TEXT_BYTES_SMALL = 4096;
/** Bytes of a log record for a byte of JSON, at most, and for what all have. */
const GROWTH_MAX = 12;
const RECORD_BYTES_BASE = 8192;

/**
 * Sends all records of the inputs, in order. The outlet is not ended here.
 * @returns the first reason why an input could not be read to its end; all were reported.
 * @throws RuntimeEvidenceError when the outlet or the rejects fail.
 */
export function sendEvidence(options: SendOptions): Promise<RuntimeEvidenceError | undefined> {
  return visitInputs(options.inputs, createVisitor(options), options);
}

function createVisitor(options: SendOptions): InputVisitor {
  const { counts, encoder, outlet, rejects, report, signal } = options;
  const read = createEvidenceReader();
  const rejected = new RejectedLines(report, options.rejectedShownMax);
  const leaveOut = (why: "invalid" | "refused", reason: string, place: string, text?: Buffer): void => {
    counts.read++;
    counts[why]++;
    rejected.line(`${place}: ${reason}`);
    if (text === undefined || rejects === undefined) return;
    rejects.bytes(oneLine(text));
    rejects.line("");
  };
  return {
    begin: (input) => rejected.begin(input),
    request: ({ encoding, body }, place) => {
      if (encoding !== "v1") {
        const message = `${place}: these are stored log records, not v1; "runtime-evidence convert" makes v1 of them`;
        throw new RuntimeEvidenceError("bad-input", message);
      }
      const validation = read(body);
      if (!validation.valid) return validation.errors.join("; ");
      const { record } = validation;
      const refusal = encoder.refusal(record, body.length);
      if (refusal !== undefined) {
        leaveOut("refused", refusal, place, body);
        return undefined;
      }
      if (body.length > TEXT_BYTES_SMALL) outlet.makeRoom(body.length * GROWTH_MAX + RECORD_BYTES_BASE);
      const next = outlet.next(eventTypes.indexOf(record.event.type));
      counts.read++;
      encoder.encode(outlet.builder, record, encoder.numbersByPlace ? counts.read : next);
      counts.encoded++;
      outlet.grown();
      return undefined;
    },
    rejected: ({ reason, content }, place) => leaveOut("invalid", reason, place, content),
    partialTail: ({ bytes }, place) => report(`${place}: ${partialTailText(bytes)}`),
    settle: async () => {
      await (signal ? unlessAborted(outlet.ready(), signal) : outlet.ready());
      await rejects?.ready();
      encoder.observe();
    },
  };
}
