/**
 * `convert`: stored OTLP logs to v1 NDJSON.
 */
import { readStoredRequests, type StoredFormat } from "../convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { openLineWriter } from "./line-writer.ts";
import { type RebuildCounts, Rebuilder } from "./rebuild.ts";

export interface ConvertOptions {
  /** Files, "-" for standard input. */
  inputs: readonly string[];
  from: StoredFormat | "auto";
  output: string;
  rejects?: string | undefined;
  withExtensions: boolean;
  report: (line: string) => void;
  /** Told how far the reading is: bytes of the current input. */
  onProgress?: (input: string, offset: number, counts: RebuildCounts) => void;
}

export interface ConvertResult extends RebuildCounts {
  /** Messages that are no OTLP requests, and inputs that could not be read to their end. */
  badMessages: number;
  /** Inputs that end within a message, as a file that is still written does. */
  partialTails: number;
  /** The first input that could not be opened or read. */
  failure: RuntimeEvidenceError | undefined;
}

/** Converts each input in turn; what can't be read is reported and the rest goes on. */
export async function convert(options: ConvertOptions): Promise<ConvertResult> {
  const output = await openLineWriter(options.output);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  let where = "";
  const rebuilder = new Rebuilder({
    output,
    rejects,
    withExtensions: options.withExtensions,
    onInvalid: (reason) => options.report(`${where}: record rejected: ${reason}`),
  });
  const result: Pick<ConvertResult, "badMessages" | "partialTails" | "failure"> = {
    badMessages: 0,
    partialTails: 0,
    failure: undefined,
  };
  const bad = (reason: string) => {
    result.badMessages++;
    options.report(`${where}: ${reason}`);
  };
  for (const input of options.inputs) {
    const source = input === "-" ? process.stdin : input;
    where = input === "-" ? "standard input" : input;
    try {
      for await (const items of readStoredRequests(source, { from: options.from })) {
        for (const item of items) {
          where = place(input, item);
          if (item.kind === "partial-tail") {
            result.partialTails++;
            options.report(`${where}: ends within a message; its ${item.bytes} bytes were left out`);
          } else if (item.kind === "rejected") bad(item.reason);
          else takeOrReport(() => rebuilder.take(item.encoding, item.body), bad);
          options.onProgress?.(input, item.offset, rebuilder.counts);
        }
        await output.ready();
      }
    } catch (thrown) {
      const error = RuntimeEvidenceError.from(thrown);
      // The output failed, not the input: nothing more can be done.
      if (error.code === "output-closed" || output.failed()) throw error;
      if (error.code === "bad-input" || error.code === "limit") bad(error.message);
      else {
        result.failure ??= error;
        options.report(error.message);
      }
    }
  }
  await output.close();
  await rejects?.close();
  return { ...rebuilder.counts, ...result };
}

function place(input: string, item: { offset: number; line?: number }): string {
  const name = input === "-" ? "standard input" : input;
  return item.line === undefined ? `${name}: byte ${item.offset}` : `${name}: line ${item.line}`;
}

function takeOrReport(take: () => void, bad: (reason: string) => void): void {
  try {
    take();
  } catch (error) {
    if (!(error instanceof RuntimeEvidenceError) || error.code !== "bad-input") throw error;
    bad(error.message);
  }
}
