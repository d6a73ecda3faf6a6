/**
 * Cuts one large OTLP request into requests that together mean the same, so that memory does not grow with
 * the size of a message: decoded, a log record may take a hundred times its bytes.
 *
 *     request ─► resource logs ─► scope logs ─► log records
 *                  resource         scope
 *
 * Children are kept together up to the size of a piece. Whatever is larger is cut one level deeper, and each
 * piece repeats the members of the levels around it.
 */

import { tooManyValues } from "./json-values.ts";

/** Bytes of a request, from `start` up to `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where a message can't be read any further, and why. */
export interface Damage {
  readonly offset: number;
  readonly reason: string;
}

/** What stands side by side; put together once, at the end. */
export type Bytes = readonly Buffer[];

/** How one encoding writes the levels of one request: 0 is the request, 1 resource logs, 2 scope logs. */
export interface RequestSyntax {
  /** The members of `message` that are not of the next level, as far as it can be read. */
  own(message: Range, depth: number): Iterable<Range>;
  /** The members of the next level, then the damage where there is some. */
  children(message: Range, depth: number): Iterable<Range | Damage>;
  /** Whether what ends at `end` and what starts at `start` may stay in one piece as they stand. */
  isSideBySide(end: number, start: number): boolean;
  /** Whether a log record has more values in it than `valuesMax`. */
  hasMoreValues(record: Range, valuesMax: number): boolean;
  /** The bytes of a message of `depth` with these members, as it stands in the level above. */
  join(depth: number, own: readonly Buffer[], children: readonly Bytes[]): Bytes;
}

export interface PieceLimits {
  /** Size of a piece, but for what it repeats and for a log record that is larger by itself. */
  readonly pieceBytesMax: number;
  /** Most log records of a piece: one that is decoded takes memory even if it is empty. */
  readonly pieceRecordsMax: number;
  /** Largest log record. */
  readonly recordBytesMax: number;
  /** Most values of one: its attributes, and the items and members in them. */
  readonly valuesMax: number;
}

/** A request, or a part of one that can't be read; `offset` is where it starts in what is cut. */
export type Piece = Damage | { readonly offset: number; readonly body: Buffer };

/** Most bytes of resource and scope, which each piece repeats. */
const REPEATED_BYTES_MAX = 1024 * 1024;
/** Most ranges of one piece that do not lie side by side. */
const RANGES_MAX = 4096;
const DEPTH_OF_SCOPE_LOGS = 2;

/** The pieces of `request` in order, and between them what can't be read or is over a limit. */
export function requestPieces(request: Buffer, syntax: RequestSyntax, limits: PieceLimits): Iterable<Piece> {
  const whole = { start: 0, end: request.length };
  const { pieceBytesMax, pieceRecordsMax } = limits;
  if (request.length <= pieceBytesMax && countRecords(syntax, whole, 0, pieceRecordsMax) <= pieceRecordsMax) {
    return [{ offset: 0, body: request }];
  }
  return cut({ request, syntax, limits }, whole, 0, (content) => content);
}

interface Cutting {
  readonly request: Buffer;
  readonly syntax: RequestSyntax;
  readonly limits: PieceLimits;
}

/** Cuts `message`, which is of level `depth`; `outer` puts one of it into the levels around it. */
function* cut(
  cutting: Cutting,
  message: Range,
  depth: number,
  outer: (message: Bytes) => Bytes,
): Generator<Piece, void, undefined> {
  const { request, syntax } = cutting;
  const { pieceBytesMax, pieceRecordsMax, recordBytesMax, valuesMax } = cutting.limits;
  const own = slices(cutting, syntax.own(message, depth), REPEATED_BYTES_MAX);
  if (own === undefined) {
    yield overLimit(message, "resource or scope", REPEATED_BYTES_MAX);
    return;
  }
  const wrap = (children: readonly Bytes[]) => outer(syntax.join(depth, own, children));
  const pieceOf = (ranges: RangeBatch): Piece => {
    const children = ranges.slices(request).map((slice) => [slice]);
    return { offset: ranges.start, body: Buffer.concat(wrap(children)) };
  };
  let batch = new RangeBatch(syntax);
  let batchRecords = 0;
  for (const child of syntax.children(message, depth)) {
    const isDamage = "reason" in child;
    const childBytes = isDamage ? 0 : child.end - child.start;
    const isTooLarge = childBytes > pieceBytesMax;
    const records = isDamage || isTooLarge ? 0 : countRecords(syntax, child, depth + 1, pieceRecordsMax);
    const isFull = batch.byteCount + childBytes > pieceBytesMax || batchRecords + records > pieceRecordsMax;
    if (!batch.isEmpty && (isDamage || batch.isFull || isFull)) {
      yield pieceOf(batch);
      batch = new RangeBatch(syntax);
      batchRecords = 0;
    }
    if (isDamage) yield child;
    else if (depth < DEPTH_OF_SCOPE_LOGS && (isTooLarge || records > pieceRecordsMax)) {
      yield* cut(cutting, child, depth + 1, (inner) => wrap([inner]));
    } else if (childBytes > recordBytesMax) yield overLimit(child, "log record", recordBytesMax);
    else if (depth === DEPTH_OF_SCOPE_LOGS && syntax.hasMoreValues(child, valuesMax)) {
      yield { offset: child.start, reason: tooManyValues("log record", valuesMax) };
    } else {
      batch.add(child);
      batchRecords += records;
    }
  }
  if (!batch.isEmpty) yield pieceOf(batch);
}

/** The log records in a message of `depth`; counts no further than just over `recordsMax`. */
function countRecords(syntax: RequestSyntax, message: Range, depth: number, recordsMax: number): number {
  if (depth > DEPTH_OF_SCOPE_LOGS) return 1;
  let count = 0;
  for (const child of syntax.children(message, depth)) {
    if (!("reason" in child)) count += countRecords(syntax, child, depth + 1, recordsMax - count);
    if (count > recordsMax) break;
  }
  return count;
}

/** Ranges for one piece; those that lie side by side are one. */
class RangeBatch {
  readonly #syntax: RequestSyntax;
  readonly #ranges: { readonly start: number; end: number }[] = [];
  byteCount = 0;

  constructor(syntax: RequestSyntax) {
    this.#syntax = syntax;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  get isFull(): boolean {
    return this.#ranges.length >= RANGES_MAX;
  }

  get start(): number {
    return this.#ranges[0]?.start ?? 0;
  }

  add({ start, end }: Range): void {
    this.byteCount += end - start;
    const last = this.#ranges.at(-1);
    if (last !== undefined && this.#syntax.isSideBySide(last.end, start)) last.end = end;
    else this.#ranges.push({ start, end });
  }

  slices(request: Buffer): Buffer[] {
    return this.#ranges.map(({ start, end }) => request.subarray(start, end));
  }
}

/** The bytes of `ranges`; nothing where they are more than `bytesMax`. */
function slices(
  { request, syntax }: Cutting,
  ranges: Iterable<Range>,
  bytesMax: number,
): Buffer[] | undefined {
  const batch = new RangeBatch(syntax);
  for (const range of ranges) {
    batch.add(range);
    if (batch.byteCount > bytesMax) return undefined;
  }
  return batch.slices(request);
}

function overLimit({ start, end }: Range, what: string, bytesMax: number): Damage {
  const reason = `${what} in ${end - start} bytes is over the limit of ${bytesMax} bytes`;
  return { offset: start, reason };
}
