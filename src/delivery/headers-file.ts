/**
 * Request headers that are kept in a file, so that a credential can be renewed while evidence flows: one
 * `name=value` per line, values percent-encoded where needed, empty lines and lines that start with `#` left out.
 * No message ever contains a value.
 */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { headerSecrets } from "../evidence/remote-text.ts";
import { FileChange } from "./file-change.ts";
import { parseHeader } from "./otlp-headers.ts";
import type { RenewalOptions } from "./otlp-options.ts";

/** A larger file is refused: it is something else. */
const HEADERS_FILE_BYTES_MAX = 64 * 1024;

/**
 * Reads a headers file. Throws RuntimeEvidenceError `usage` with the number of the first line that cannot be used,
 * `not-found`, `not-permitted`, `io`, or `limit` when it has more than 64 KiB.
 */
export function readHeadersFile(path: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [index, line] of readText(path).split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
    const parsed = parseHeader(line);
    if (typeof parsed === "string") {
      throw new RuntimeEvidenceError("usage", `the headers file ${path}, line ${index + 1}: ${parsed}`);
    }
    headers.set(parsed.name, parsed.value);
  }
  return headers;
}

/** The headers of each request: fixed ones, and those of a file, which win and are read again when it changes. */
export class RequestHeaders {
  readonly #fixed: ReadonlyMap<string, string>;
  readonly #path: string | undefined;
  readonly #change: FileChange;
  readonly #onTrouble: (line: string) => void;
  #current: ReadonlyMap<string, string>;
  #secrets: readonly string[];

  /** Reads the file, and throws as `readHeadersFile` does. Later trouble keeps the old headers and says so. */
  constructor(fixed: ReadonlyMap<string, string>, path: string | undefined, renewal: RenewalOptions) {
    this.#fixed = fixed;
    this.#path = path;
    this.#onTrouble = renewal.onTrouble ?? (() => {});
    this.#change = new FileChange(path === undefined ? [] : [path], renewal);
    this.#current = this.#read();
    this.#secrets = headerSecrets(this.#current);
  }

  get current(): ReadonlyMap<string, string> {
    return this.#current;
  }

  /** Parts of the values that must never be shown; those of the headers before the last change are among them. */
  get secrets(): readonly string[] {
    return this.#secrets;
  }

  /**
   * Reads the file again if it has changed; true when there are new headers.
   * @param now a credential was just refused: look at the file even if it was looked at a moment ago
   */
  refresh({ now = false } = {}): boolean {
    if (!(now ? this.#change.happenedNow() : this.#change.happened())) return false;
    try {
      const headers = this.#read();
      this.#secrets = headerSecrets([...this.#current, ...headers]);
      this.#current = headers;
      return true;
    } catch (thrown) {
      this.#onTrouble(`${RuntimeEvidenceError.from(thrown).message}; the headers read before stay in use`);
      return false;
    }
  }

  #read(): ReadonlyMap<string, string> {
    return this.#path === undefined ? this.#fixed : new Map([...this.#fixed, ...readHeadersFile(this.#path)]);
  }
}

function readText(path: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    if (fstatSync(descriptor).size <= HEADERS_FILE_BYTES_MAX) return readFileSync(descriptor, "utf8");
  } catch (thrown) {
    const errno = (thrown as NodeJS.ErrnoException).code;
    const code = errno === "ENOENT" ? "not-found" : errno === "EACCES" ? "not-permitted" : "io";
    throw new RuntimeEvidenceError(code, `cannot read the headers file ${path}: ${errno}`, { cause: thrown });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  throw new RuntimeEvidenceError(
    "limit",
    `the headers file ${path} has more than ${HEADERS_FILE_BYTES_MAX} bytes`,
  );
}
