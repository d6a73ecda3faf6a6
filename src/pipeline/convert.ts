/**
 * `convert` to v1: stored OTLP logs to v1 NDJSON.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { closeAll, openLineWriter } from "./line-writer.ts";
import { requireOwnFiles } from "./output-files.ts";
import { type RebuildCounts, Rebuilder } from "./rebuild.ts";
import { RejectedLines } from "./rejected-lines.ts";
import {
  type InputProgress,
  type InputVisitor,
  partialTailText,
  type StoredInput,
  startProgress,
  visitInputs,
} from "./stored-inputs.ts";

export interface ConvertOptions {
  inputs: readonly StoredInput[];
  /** A file, "-" for standard output. */
  output: string;
  rejects?: string | undefined;
  withExtensions: boolean;
  /** Write records again that come again. */
  keepDuplicates: boolean;
  /** Most members and items of JSON in an attribute. */
  valuesMax?: number | undefined;
  /** Most rejected records and messages of an input to name. Default {@link REJECTED_SHOWN_DEFAULT}. */
  rejectedShownMax?: number | undefined;
  report: (line: string) => void;
  /** Told once, at the start; both grow while it runs. */
  onStart?: (progress: InputProgress, counts: RebuildCounts) => void;
}

export interface ConvertResult extends RebuildCounts {
  /** Messages that are none of what the input's format has. */
  badMessages: number;
  /** Inputs that end within a message, as a file that is still written does. */
  partialTails: number;
  /** How often a uid was forgotten, so that a repeat of it would have been written. */
  forgotten: number;
  /** The first input that could not be opened, or read to its end. */
  failure: RuntimeEvidenceError | undefined;
}

const V1_AS_INPUT =
  "this is a v1 record already; to make OTLP of v1 records say --to otlp-json or --to otlp-proto";

/** Converts each input in turn; what can't be read is reported and the rest goes on. */
export async function convert(options: ConvertOptions): Promise<ConvertResult> {
  const { inputs, report } = options;
  await requireOwnFiles(inputs, [options.output, options.rejects]);
  const output = await openLineWriter(options.output);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  const rejected = new RejectedLines(report, options.rejectedShownMax);
  let where = "";
  const rebuilder = new Rebuilder({
    output,
    rejects,
    withExtensions: options.withExtensions,
    keepDuplicates: options.keepDuplicates,
    valuesMax: options.valuesMax,
    onInvalid: (reason) => rejected.line(`${where}: record rejected: ${reason}`),
  });
  const result = { badMessages: 0, partialTails: 0 };
  const progress = startProgress(inputs);
  options.onStart?.(progress, rebuilder.counts);
  const bad = (reason: string, place: string) => {
    result.badMessages++;
    rejected.line(`${place}: ${reason}`);
  };
  const visitor: InputVisitor = {
    begin: (input) => rejected.begin(input),
    request: ({ encoding, body }, place) => {
      where = place;
      if (encoding === "v1") throw new RuntimeEvidenceError("bad-input", `${place}: ${V1_AS_INPUT}`);
      return unreadable(() => rebuilder.take(encoding, body));
    },
    rejected: ({ reason }, place) => bad(reason, place),
    partialTail: ({ bytes }, place) => {
      result.partialTails++;
      report(`${place}: ${partialTailText(bytes)}`);
    },
    settle: async () => {
      await output.ready();
      await rejects?.ready();
    },
  };
  const failure = await visitInputs(inputs, visitor, { progress, report }).finally(() =>
    closeAll(output, rejects),
  );
  return { ...rebuilder.counts, ...result, forgotten: rebuilder.forgotten, failure };
}

/** Why a message could not be read. */
function unreadable(take: () => void): string | undefined {
  try {
    take();
    return undefined;
  } catch (error) {
    if (!(error instanceof RuntimeEvidenceError) || error.code !== "bad-input") throw error;
    return error.message;
  }
}
