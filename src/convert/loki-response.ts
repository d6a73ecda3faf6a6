/**
 * Stored answers of Loki's `query_range` (its HTTP API):
 *
 *     { "status": "success", "data": { "resultType": "streams", "result": [ { "stream", "values" }, … ], "stats" } }
 *
 * Each element of `result` becomes a request of its own, cut out as it stands; one with many values becomes
 * several, with the same labels, so that little is decoded at a time.
 */
import { itemsOf, memberOf } from "./json-members.ts";
import { hasMoreValues, tooManyValues } from "./json-values.ts";
import type { Damage, PieceLimits, Range } from "./request-pieces.ts";
import type { StoredItem, StoredRequest } from "./stored-item.ts";

/** Streams up to here are handed on as they are. */
const WHOLE_BYTES = 64 * 1024;

const NEWLINE = 0x0a;
const STREAMS = Buffer.from('"streams"');

/** The streams of one answer. What is none is rejected, and so is an answer without log lines. */
export function* streamsOf(
  answer: StoredRequest,
  limits: PieceLimits,
): Generator<StoredItem, void, undefined> {
  const { body } = answer;
  const data = memberOf(body, 0, "data");
  const type = data && memberOf(body, data.start, "resultType");
  const result = data && memberOf(body, data.start, "result");
  if (type === undefined || result === undefined) {
    yield rejected(answer, 0, "no answer of Loki's query_range");
    return;
  }
  if (!body.subarray(type.start, type.end).equals(STREAMS)) {
    yield rejected(answer, 0, "an answer of Loki without log lines: its query gives numbers");
    return;
  }
  const place = new LineCounter(answer);
  for (const element of itemsOf(body, result.start)) {
    // What is damaged may go on like this for long.
    if ("reason" in element || memberOf(body, element.start, "stream") === undefined) {
      const start = "reason" in element ? element.offset : element.start;
      yield rejected(answer, start, "an answer of Loki with damaged streams");
      return;
    }
    yield* piecesOf(place.at(element.start), element, limits);
  }
}

/** `whole` is the answer with the place of `element`. */
function* piecesOf(
  whole: StoredRequest,
  element: Range,
  limits: PieceLimits,
): Generator<StoredItem, void, undefined> {
  const body = whole.body.subarray(element.start, element.end);
  if (body.length <= WHOLE_BYTES) {
    yield { ...whole, body };
    return;
  }
  const stream = memberOf(body, 0, "stream");
  const values = memberOf(body, 0, "values");
  if (stream === undefined || values === undefined || stream.end - stream.start > limits.recordBytesMax) {
    yield rejected(whole, 0, "a stream of Loki without labels or values, or with labels over the limit");
    return;
  }
  const labels = body.subarray(stream.start, stream.end);
  if (hasMoreValues(labels, limits.valuesMax)) {
    yield rejected(whole, stream.start, tooManyValues("a stream of Loki", limits.valuesMax));
    return;
  }
  let open: (Range & { readonly count: number }) | undefined;
  for (const entry of itemsOf(body, values.start)) {
    const problem = problemOf(entry, body, limits);
    const fits =
      !("reason" in entry) &&
      open !== undefined &&
      open.count < limits.pieceRecordsMax &&
      entry.end - open.start <= limits.pieceBytesMax;
    if (open !== undefined && (problem !== undefined || !fits)) {
      yield { ...whole, body: piece(labels, body, open) };
      open = undefined;
    }
    if (problem !== undefined) yield rejected(whole, problem.offset, problem.reason);
    else if (!("reason" in entry)) {
      open = { start: open?.start ?? entry.start, end: entry.end, count: (open?.count ?? 0) + 1 };
    }
  }
  if (open !== undefined) yield { ...whole, body: piece(labels, body, open) };
}

/** Labels up to here are read once more for each entry. */
const REPEATED_LABELS_BYTES_MAX = 256 * 1024;

/**
 * The entries of one stream, each as a stream of its own; behind them what is damaged. Nothing where there are no
 * two of them.
 */
export function singleEntries(stream: StoredRequest): Iterable<StoredItem> | undefined {
  const { body } = stream;
  const labels = memberOf(body, 0, "stream");
  const values = memberOf(body, 0, "values");
  if (labels === undefined || values === undefined) return undefined;
  if (labels.end - labels.start > REPEATED_LABELS_BYTES_MAX) return undefined;
  const [, second] = itemsOf(body, values.start);
  return second && entriesOf(stream, body.subarray(labels.start, labels.end), values.start);
}

function* entriesOf(stream: StoredRequest, labels: Buffer, valuesStart: number): Iterable<StoredItem> {
  const { body } = stream;
  for (const entry of itemsOf(body, valuesStart)) {
    if ("reason" in entry) yield rejected(stream, entry.offset, "a stream of Loki with damaged values");
    else yield { ...stream, body: piece(labels, body, entry) };
  }
}

function problemOf(entry: Range | Damage, stream: Buffer, limits: PieceLimits): Damage | undefined {
  if ("reason" in entry) return { offset: entry.offset, reason: "a stream of Loki with damaged values" };
  const { recordBytesMax, valuesMax } = limits;
  const { start, end } = entry;
  if (end - start > recordBytesMax) {
    const reason = `entry of ${end - start} bytes is over the limit of ${recordBytesMax} bytes`;
    return { offset: start, reason };
  }
  if (!hasMoreValues(stream.subarray(start, end), valuesMax)) return undefined;
  return { offset: start, reason: tooManyValues("entry", valuesMax) };
}

function piece(labels: Buffer, body: Buffer, { start, end }: Range): Buffer {
  const parts = [Buffer.from('{"stream":'), labels, Buffer.from(',"values":['), body.subarray(start, end)];
  return Buffer.concat([...parts, Buffer.from("]}")]);
}

function rejected({ offset, line = 1 }: StoredRequest, start: number, reason: string): StoredItem {
  return { kind: "rejected", offset: offset + start, line, reason };
}

/** Follows lines through an answer, from its start to its end. */
class LineCounter {
  readonly #answer: StoredRequest;
  #line: number;
  #nextNewline: number;

  constructor(answer: StoredRequest) {
    this.#answer = answer;
    this.#line = answer.line ?? 1;
    this.#nextNewline = answer.body.indexOf(NEWLINE);
  }

  /** The answer, with the offset and line of what starts at `start` in it. */
  at(start: number): StoredRequest {
    const { body, offset } = this.#answer;
    while (this.#nextNewline !== -1 && this.#nextNewline < start) {
      this.#line += 1;
      this.#nextNewline = body.indexOf(NEWLINE, this.#nextNewline + 1);
    }
    return { ...this.#answer, offset: offset + start, line: this.#line };
  }
}
