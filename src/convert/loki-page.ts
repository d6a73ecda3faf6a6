/**
 * One answer of Loki's `query_range` as entries in the order of time, and those as bodies to decode. Entries are
 * cut out as they stand: what they say is for their decoder, which reads every digit and name as it is written.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { itemsOf, memberOf, membersOf } from "./json-members.ts";
import type { Range } from "./request-pieces.ts";

export interface LokiEntry {
  readonly timeNs: bigint;
  /** Labels of the stream as JSON, shared by its entries. */
  readonly stream: Buffer;
  /** `[time, line]` or `[time, line, categories]` as JSON, as Loki gave it. */
  readonly value: Buffer;
}

export interface LokiPage {
  readonly entries: readonly LokiEntry[];
  readonly warnings: readonly string[];
}

/** Of an answer's own words: what they say more is of no use to anybody. */
const WARNINGS_MAX = 10;
const WARNING_CHARACTERS_MAX = 300;
const OPEN_BRACE = 0x7b;

/** Reads an answer. Throws `bad-input` where it is none of Loki, `usage` where the query gives numbers. */
export function parsePage(answer: Buffer): LokiPage {
  const [first] = membersOf(answer, 0);
  if (first !== undefined && "reason" in first) throw noAnswer("it is no JSON object");
  const data = memberOf(answer, 0, "data");
  const type = data && memberOf(answer, data.start, "resultType");
  const resultType = type && answer.toString("latin1", type.start, type.end);
  if (resultType !== undefined && /^"(?:matrix|vector|scalar)"$/.test(resultType)) {
    throw new RuntimeEvidenceError(
      "usage",
      "the query gives numbers: ask for log lines, without a metric function",
    );
  }
  const result = data && memberOf(answer, data.start, "result");
  if (resultType !== '"streams"' || result === undefined) throw noAnswer("its result has no streams");
  const entries = rangesOf(answer, result).flatMap((element) => streamEntries(answer, element));
  // Stable: entries of one time stay in Loki's order.
  entries.sort((one, other) => (one.timeNs < other.timeNs ? -1 : one.timeNs > other.timeNs ? 1 : 0));
  return { entries, warnings: warningsOf(answer) };
}

/** Runs of entries of one stream, in the shape of an element of `data.result`. */
export function toBodies(entries: readonly LokiEntry[]): Buffer[] {
  const bodies: Buffer[] = [];
  let run: Buffer[] = [];
  for (const [index, { stream, value }] of entries.entries()) {
    run.push(
      run.length === 0
        ? Buffer.concat([Buffer.from('{"stream":'), stream, Buffer.from(',"values":[')])
        : COMMA,
    );
    run.push(value);
    if (entries[index + 1]?.stream === stream) continue;
    bodies.push(Buffer.concat([...run, END]));
    run = [];
  }
  return bodies;
}

const COMMA = Buffer.from(",");
const END = Buffer.from("]}");

function streamEntries(answer: Buffer, element: Range): LokiEntry[] {
  const labels = memberOf(answer, element.start, "stream");
  const values = memberOf(answer, element.start, "values");
  if (labels === undefined || answer[labels.start] !== OPEN_BRACE || values === undefined) {
    throw noAnswer("a stream has no labels or no values");
  }
  const stream = answer.subarray(labels.start, labels.end);
  return rangesOf(answer, values).map(({ start, end }) => {
    const [time] = itemsOf(answer, start);
    const digits =
      time === undefined || "reason" in time
        ? undefined
        : /^"(-?\d{1,19})"$/.exec(answer.toString("latin1", time.start, time.end))?.[1];
    if (digits === undefined) throw noAnswer("an entry has no time");
    return { timeNs: BigInt(digits), stream, value: answer.subarray(start, end) };
  });
}

/** The items of the array at `start`. */
function rangesOf(answer: Buffer, { start }: Range): Range[] {
  return [...itemsOf(answer, start)].map((item) => {
    if ("reason" in item) throw noAnswer(`${item.reason} at byte ${item.offset}`);
    return item;
  });
}

function warningsOf(answer: Buffer): string[] {
  const found = memberOf(answer, 0, "warnings");
  if (found === undefined) return [];
  const texts: string[] = [];
  for (const item of itemsOf(answer, found.start)) {
    if ("reason" in item || texts.length === WARNINGS_MAX) break;
    const text = answer.toString("utf8", item.start, item.end).replace(/^"|"$/g, "");
    texts.push(text.slice(0, WARNING_CHARACTERS_MAX).replace(/\p{C}+/gu, " "));
  }
  return texts;
}

function noAnswer(reason: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `the answer is not one of Loki's query_range: ${reason}`);
}
