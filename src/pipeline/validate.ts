/**
 * `validate`: v1 records against the schema.
 */
import type { RuntimeEvidenceError } from "../evidence/error.ts";
import { createEvidenceReader, oneLine } from "./evidence-reader.ts";
import { openLineWriter } from "./line-writer.ts";
import { requireOwnFiles } from "./output-files.ts";
import {
  type InputProgress,
  partialTailText,
  type StoredInput,
  startProgress,
  visitInputs,
} from "./stored-inputs.ts";

export interface ValidateOptions {
  inputs: readonly StoredInput[];
  /** Gets one line for each record that is not valid: file, line number and reason. */
  report: (line: string) => void;
  /** Gets one line for each input that can't be read. */
  reportFailure: (line: string) => void;
  /** Gets those records, one a line, as they were. */
  rejects?: string | undefined;
  /** Told once, at the start; both grow while it runs. */
  onStart?: (progress: InputProgress, counts: ValidateCounts) => void;
}

export interface ValidateCounts {
  valid: number;
  invalid: number;
}

export interface ValidateResult extends ValidateCounts {
  /** The first input that could not be opened, or read to its end. */
  failure: RuntimeEvidenceError | undefined;
}

/** Checks every record of each input. One that is cut at the end is not valid, too. */
export async function validate(options: ValidateOptions): Promise<ValidateResult> {
  const { inputs, report } = options;
  await requireOwnFiles(inputs, [options.rejects]);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  const read = createEvidenceReader();
  const counts: ValidateCounts = { valid: 0, invalid: 0 };
  const progress = startProgress(inputs);
  options.onStart?.(progress, counts);
  const invalid = (reason: string, place: string, content: Buffer | undefined): void => {
    counts.invalid++;
    report(`${place}: ${reason}`);
    if (content === undefined || rejects === undefined) return;
    rejects.bytes(oneLine(content));
    rejects.line("");
  };
  const failure = await visitInputs(
    inputs,
    {
      request: ({ body }) => {
        const validation = read(body);
        if (!validation.valid) return validation.errors.join("; ");
        counts.valid++;
        return undefined;
      },
      rejected: ({ reason, content }, place) => invalid(reason, place, content),
      partialTail: ({ bytes, content }, place) => invalid(partialTailText(bytes), place, content),
      settle: async () => rejects?.ready(),
    },
    { progress, report: options.reportFailure },
  ).finally(() => rejects?.close());
  return { ...counts, failure };
}
