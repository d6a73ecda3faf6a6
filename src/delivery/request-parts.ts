/**
 * What is left to deliver of one request: at first the request itself, then halves of it, and halves of those,
 * as often as a collector finds them too large. Parts come in the order of their records.
 */
import type { SealedRequest } from "./outcome.ts";
import { SplitRequest } from "./split-request.ts";

/** Records of a request, by their place in it: `from` up to, but not with, `to`. */
interface Range {
  readonly from: number;
  readonly to: number;
  /** Where it has been made already. */
  readonly request?: SealedRequest;
}

export interface RequestPart extends Range {
  /** To be sent. The whole request is the request itself, byte for byte. */
  readonly request: SealedRequest;
}

export class RequestParts {
  readonly #whole: SealedRequest;
  /** Made when first needed; `undefined` once it is known that this request cannot be cut. */
  #split: SplitRequest | "not-yet" | undefined = "not-yet";
  /** What is not delivered; the next one stands at the end. */
  readonly #left: Range[];

  constructor(request: SealedRequest) {
    this.#whole = request;
    this.#left = [{ from: 0, to: request.recordCount }];
  }

  /** Takes the next part, no larger than `bytesMax` where it has more than one record; `undefined` at the end. */
  next(bytesMax: number): RequestPart | undefined {
    for (let range = this.#left.pop(); range !== undefined; range = this.#left.pop()) {
      if (this.#bytesAtLeast(range) > bytesMax && this.split(range)) continue;
      const part = { ...range, request: this.#request(range) };
      if (part.request.body.byteLength <= bytesMax || !this.split(part)) return part;
    }
    return undefined;
  }

  /** Puts the part back: it is to be sent again. */
  again(part: RequestPart): void {
    this.#left.push(part);
  }

  /** Puts the part back as two halves; false when it cannot be cut any further. */
  split({ from, to }: Range): boolean {
    const split = to - from < 2 ? undefined : this.#splitRequest();
    if (split === undefined) return false;
    const middle = split.middle(from, to);
    this.#left.push({ from: middle, to }, { from, to: middle });
    return true;
  }

  #isWhole({ from, to }: Range): boolean {
    return to - from === this.#whole.recordCount;
  }

  /** Without making the part. */
  #bytesAtLeast(range: Range): number {
    if (this.#isWhole(range)) return this.#whole.body.byteLength;
    if (range.request !== undefined) return range.request.body.byteLength;
    return this.#splitRequest()?.span(range.from, range.to) ?? 0;
  }

  #request(range: Range): SealedRequest {
    const split = this.#isWhole(range) ? undefined : this.#splitRequest();
    if (split === undefined) return this.#whole;
    if (range.request !== undefined) return range.request;
    const { sealedAtUnixMs, streamId } = this.#whole;
    const body = split.part(range.from, range.to);
    const request = { body, recordCount: range.to - range.from, sealedAtUnixMs };
    return streamId === undefined ? request : { ...request, streamId };
  }

  /** A body that does not have the records it was sealed with is never cut: nobody could count what became of it. */
  #splitRequest(): SplitRequest | undefined {
    if (this.#split !== "not-yet") return this.#split;
    this.#split = undefined;
    try {
      const split = new SplitRequest(this.#whole.body);
      if (split.recordCount === this.#whole.recordCount) this.#split = split;
    } catch {
      // No OTLP request: whoever refused it was right.
    }
    return this.#split;
  }
}
