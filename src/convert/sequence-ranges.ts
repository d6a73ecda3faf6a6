/**
 * A set of sequence numbers, kept as ranges: a stream that arrived whole is one range, however long it is.
 *
 * Ranges stand sorted in blocks of bounded size, so that numbers may come in any order (newest first, as
 * Grafana downloads them) and each costs a search and a short move at most.
 */

/** Default of `rangesMax`: about 16 MB for a stream with a gap beside each number. */
export const RANGES_MAX_DEFAULT = 1_000_000;

/** Ranges in a block before it is split. */
const BLOCK_RANGES_MAX = 512;

/** Numbers from `first` to `last`, both included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** Sorted ranges that neither overlap nor touch; never empty but in an empty set. */
interface Block {
  readonly firsts: number[];
  readonly lasts: number[];
}

/**
 * Safe integers, each in it or not. At `rangesMax` the lowest range is forgotten (`forgottenRanges`): its
 * numbers count as not there, so that a reader that drops duplicates keeps one too many and never one too few.
 */
export class SequenceRanges {
  /** Ranges that were dropped at the limit. */
  forgottenRanges = 0;
  readonly #rangesMax: number;
  #blocks: Block[] = [{ firsts: [], lasts: [] }];
  #rangeCount = 0;
  #count = 0;
  /** The highest number; everything above it is appended without a search. */
  #last: number | undefined;

  constructor(options: { rangesMax?: number } = {}) {
    this.#rangesMax = Math.max(1, options.rangesMax ?? RANGES_MAX_DEFAULT);
  }

  /** How many numbers are in the set. */
  get count(): number {
    return this.#count;
  }

  get rangeCount(): number {
    return this.#rangeCount;
  }

  /** The lowest number; nothing in an empty set. */
  get first(): number | undefined {
    return this.#blocks[0]?.firsts[0];
  }

  /** The highest number; nothing in an empty set. */
  get last(): number | undefined {
    return this.#last;
  }

  /**
   * Puts a number in; false when it was there already.
   * @throws RangeError when it is no safe integer.
   */
  add(sequence: number): boolean {
    if (!Number.isSafeInteger(sequence)) throw new RangeError(`no sequence number: ${sequence}`);
    if (this.#last === undefined || sequence > this.#last) this.#append(sequence);
    else if (!this.#insert(sequence)) return false;
    this.#count++;
    if (this.#rangeCount > this.#rangesMax) this.#forgetLowest();
    return true;
  }

  /** The numbers missing between `first` and `last`, lowest first, at most `limit` ranges of them. */
  gaps(limit: number): SequenceRange[] {
    const gaps: SequenceRange[] = [];
    let before: number | undefined;
    for (const { firsts, lasts } of this.#blocks) {
      for (const [index, first] of firsts.entries()) {
        if (before !== undefined) {
          if (gaps.length >= limit) return gaps;
          gaps.push({ first: before + 1, last: first - 1 });
        }
        before = lasts[index];
      }
    }
    return gaps;
  }

  #append(sequence: number): void {
    const block = this.#blocks.at(-1) as Block;
    const end = block.lasts.length - 1;
    if (end >= 0 && block.lasts[end] === sequence - 1) block.lasts[end] = sequence;
    else this.#place(this.#blocks.length - 1, end + 1, sequence);
    this.#last = sequence;
  }

  /** Puts a number in that is not above the highest; false when it is there. */
  #insert(sequence: number): boolean {
    // The last block whose first number is not above, and in it the last such range.
    const blockIndex = Math.max(0, upperBound(this.#blocks.length, this.#blockFirst, sequence) - 1);
    const { firsts, lasts } = this.#blocks[blockIndex] as Block;
    const index = upperBound(firsts.length, (at) => firsts[at] as number, sequence) - 1;
    if (index >= 0 && sequence <= (lasts[index] as number)) return false;
    const touchesLower = index >= 0 && lasts[index] === sequence - 1;
    const touchesUpper = index + 1 < firsts.length && firsts[index + 1] === sequence + 1;
    if (touchesLower && touchesUpper) {
      lasts[index] = lasts[index + 1] as number;
      firsts.splice(index + 1, 1);
      lasts.splice(index + 1, 1);
      this.#rangeCount--;
    } else if (touchesLower) {
      lasts[index] = sequence;
      if (index + 1 === firsts.length) this.#joinNextBlock(blockIndex);
    } else if (touchesUpper) firsts[index + 1] = sequence;
    else if (index + 1 === firsts.length && this.#blocks[blockIndex + 1]?.firsts[0] === sequence + 1) {
      (this.#blocks[blockIndex + 1] as Block).firsts[0] = sequence;
    } else this.#place(blockIndex, index + 1, sequence);
    return true;
  }

  readonly #blockFirst = (at: number): number => this.#blocks[at]?.firsts[0] as number;

  /** A range of one number at a place of a block. */
  #place(blockIndex: number, index: number, sequence: number): void {
    const block = this.#blocks[blockIndex] as Block;
    block.firsts.splice(index, 0, sequence);
    block.lasts.splice(index, 0, sequence);
    this.#rangeCount++;
    if (block.firsts.length <= BLOCK_RANGES_MAX) return;
    // Numbers that only grow leave full blocks behind.
    const keep = index === BLOCK_RANGES_MAX ? BLOCK_RANGES_MAX : BLOCK_RANGES_MAX / 2;
    const upper = { firsts: block.firsts.splice(keep), lasts: block.lasts.splice(keep) };
    this.#blocks.splice(blockIndex + 1, 0, upper);
  }

  /** Joins the last range of a block with the first of the next one, where they touch. */
  #joinNextBlock(blockIndex: number): void {
    const block = this.#blocks[blockIndex] as Block;
    const next = this.#blocks[blockIndex + 1];
    const end = block.lasts.length - 1;
    if (next === undefined || next.firsts[0] !== (block.lasts[end] as number) + 1) return;
    block.lasts[end] = next.lasts[0] as number;
    this.#removeFirst(blockIndex + 1);
  }

  #removeFirst(blockIndex: number): void {
    const { firsts, lasts } = this.#blocks[blockIndex] as Block;
    firsts.shift();
    lasts.shift();
    this.#rangeCount--;
    if (firsts.length === 0 && this.#blocks.length > 1) this.#blocks.splice(blockIndex, 1);
  }

  #forgetLowest(): void {
    const { firsts, lasts } = this.#blocks[0] as Block;
    this.#count -= (lasts[0] as number) - (firsts[0] as number) + 1;
    this.#removeFirst(0);
    this.forgottenRanges++;
  }
}

/** The first of `length` sorted places whose value is above `value`. */
function upperBound(length: number, valueAt: (index: number) => number, value: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (valueAt(middle) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
