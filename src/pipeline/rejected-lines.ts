/** Names what is rejected of an input, as far as anybody reads on: the rest is only counted. */

/** Default of `rejectedShownMax`. */
export const REJECTED_SHOWN_DEFAULT = 20;

export class RejectedLines {
  readonly #report: (line: string) => void;
  readonly #shownMax: number;
  #input = "";
  #count = 0;

  /** `shownMax` is the most lines of one input; one more says that there are others. */
  constructor(report: (line: string) => void, shownMax: number = REJECTED_SHOWN_DEFAULT) {
    this.#report = report;
    this.#shownMax = shownMax;
  }

  /** What is rejected from now on is of this input. */
  begin(input: string): void {
    this.#input = input;
    this.#count = 0;
  }

  line(text: string): void {
    this.#count++;
    if (this.#count <= this.#shownMax) this.#report(text);
    else if (this.#count === this.#shownMax + 1) {
      this.#report(`${this.#input}: more is rejected, which is only counted from here on`);
    }
  }
}
