/** One answer of Loki's `query_range` as entries in the order of time, and those as bodies to decode. */
import { RuntimeEvidenceError } from "../evidence/error.ts";

export interface LokiEntry {
  readonly timeNs: bigint;
  /** Labels of the stream, shared by its entries. */
  readonly stream: object;
  /** `[time, line]` or `[time, line, categories]`, as Loki gave it. */
  readonly value: readonly unknown[];
}

export interface LokiPage {
  readonly entries: readonly LokiEntry[];
  readonly warnings: readonly string[];
}

/** Reads an answer. Throws `bad-input` where it is none of Loki, `usage` where the query gives numbers. */
export function parsePage(text: string): LokiPage {
  const answer = parseAnswer(text);
  const { resultType, result } = (isObject(answer.data) ? answer.data : {}) as Record<string, unknown>;
  if (resultType === "matrix" || resultType === "vector" || resultType === "scalar") {
    throw new RuntimeEvidenceError(
      "usage",
      "the query gives numbers: ask for log lines, without a metric function",
    );
  }
  if (resultType !== "streams" || !Array.isArray(result)) throw noAnswer("its result has no streams");
  const entries = result.flatMap(streamEntries);
  // Stable: entries of one time stay in Loki's order.
  entries.sort((one, other) => (one.timeNs < other.timeNs ? -1 : one.timeNs > other.timeNs ? 1 : 0));
  const warnings = Array.isArray(answer.warnings) ? answer.warnings.slice(0, 10) : [];
  return {
    entries,
    warnings: warnings.map((warning) =>
      String(warning)
        .slice(0, 300)
        .replace(/\p{C}+/gu, " "),
    ),
  };
}

/** Runs of entries of one stream, in the shape of an element of `data.result`. */
export function toBodies(entries: readonly LokiEntry[]): Buffer[] {
  const bodies: Buffer[] = [];
  let start = 0;
  for (let end = 1; end <= entries.length; end++) {
    const stream = entries[start]?.stream;
    if (end < entries.length && entries[end]?.stream === stream) continue;
    const values = entries.slice(start, end).map(({ value }) => value);
    bodies.push(Buffer.from(JSON.stringify({ stream, values })));
    start = end;
  }
  return bodies;
}

function parseAnswer(text: string): Record<string, unknown> {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw noAnswer("it is not JSON", cause);
  }
  if (!isObject(answer)) throw noAnswer("it is no JSON object");
  return answer;
}

function streamEntries(element: unknown): LokiEntry[] {
  const { stream, values } = (isObject(element) ? element : {}) as Record<string, unknown>;
  if (!isObject(stream) || !Array.isArray(values)) throw noAnswer("a stream has no labels or no values");
  return values.map((value: unknown) => {
    const time = Array.isArray(value) ? value[0] : undefined;
    if (typeof time !== "string" || !/^-?\d{1,19}$/.test(time)) throw noAnswer("an entry has no time");
    return { timeNs: BigInt(time), stream, value: value as readonly unknown[] };
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function noAnswer(reason: string, cause?: unknown): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `the answer is not one of Loki's query_range: ${reason}`, {
    cause,
  });
}
