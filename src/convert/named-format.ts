/** Whether an input holds any message of the format that was named for it. */

import { RuntimeEvidenceError } from "../evidence/error.ts";
import { formatOfObject, type JsonFormat } from "./sniff-json.ts";
import type { StoredItem } from "./stored-item.ts";

/** Formats of which every JSON object is a message, whatever is in it. */
const OF_ANY_OBJECT: readonly string[] = ["v1", "otlp-json", "grafana-json"] satisfies JsonFormat[];

/** Follows the items of one input that looks like another format than the named one. */
export class NamedFormat {
  readonly #named: string;
  readonly #looksLike: string;
  #isFound = false;

  constructor(named: string, looksLike: string) {
    this.#named = named;
    this.#looksLike = looksLike;
  }

  see(items: readonly StoredItem[]): void {
    this.#isFound ||= items.some((item) => item.kind === "request" && this.#isNamed(item.body));
  }

  /** Throws `bad-input` where none was seen. */
  end(): void {
    if (this.#isFound) return;
    const message = `no message of the input is ${this.#named}; it looks like ${this.#looksLike}`;
    throw new RuntimeEvidenceError("bad-input", message, {
      context: { named: this.#named, looksLike: this.#looksLike },
    });
  }

  #isNamed(body: Buffer): boolean {
    // A table starts with its header, and this input does not.
    if (this.#named === "grafana-csv") return false;
    return !OF_ANY_OBJECT.includes(this.#named) || formatOfObject(body) === this.#named;
  }
}
