/**
 * `convert` from v1: v1 records to a file of OTLP logs, as a collector stores them.
 */
import type { RuntimeEvidenceError } from "../evidence/error.ts";
import { openLineWriter } from "./line-writer.ts";
import { type OtlpFileFormat, OtlpFileOutlet } from "./otlp-file-outlet.ts";
import { requireOwnFiles } from "./output-files.ts";
import { createRecordEncoder, type EncodingOptions } from "./record-encoder.ts";
import { type SendCounts, sendEvidence } from "./send-evidence.ts";
import { type InputProgress, type StoredInput, startProgress } from "./stored-inputs.ts";

export interface ConvertV1Options {
  inputs: readonly StoredInput[];
  to: OtlpFileFormat;
  encoding: EncodingOptions;
  /** A file, "-" for standard output. */
  output: string;
  rejects?: string | undefined;
  /** Most records of an input that are not sent to name. Default {@link REJECTED_SHOWN_DEFAULT}. */
  rejectedShownMax?: number | undefined;
  report: (line: string) => void;
  /** Told once, at the start; both grow while it runs. */
  onStart?: (progress: InputProgress, counts: Readonly<SendCounts>) => void;
}

export interface ConvertV1Result extends SendCounts {
  /** The first input that could not be opened, or read to its end. */
  failure: RuntimeEvidenceError | undefined;
}

/** Converts each input in turn; what is no valid record is reported and the rest goes on. */
export async function convertV1(options: ConvertV1Options): Promise<ConvertV1Result> {
  const { inputs, report } = options;
  await requireOwnFiles(inputs, [options.output, options.rejects]);
  const encoder = await createRecordEncoder(options.encoding);
  const outlet = new OtlpFileOutlet(await openLineWriter(options.output), options.to);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  const progress = startProgress(inputs);
  const counts: SendCounts = { read: 0, encoded: 0, invalid: 0, refused: 0 };
  options.onStart?.(progress, counts);
  const { rejectedShownMax } = options;
  const sending = sendEvidence({
    inputs,
    progress,
    counts,
    encoder,
    outlet,
    rejects,
    rejectedShownMax,
    report,
  });
  const failure = await sending.finally(async () => {
    await outlet.end();
    await rejects?.close();
  });
  return { ...counts, failure };
}
