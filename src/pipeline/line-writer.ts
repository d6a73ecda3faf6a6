/**
 * Writes lines of text to a file or to standard output, in large pieces and with pressure.
 */
import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Lines are gathered until this many characters before they are written. */
const GATHER_CHARS = 256 * 1024;

/** A sink for lines. */
export interface LineWriter {
  /** Takes one line, without its newline. */
  line(text: string): void;
  /** Writes what is gathered and resolves when the stream takes more. Rejects when writing failed. */
  ready(): Promise<void>;
  /** Whether writing has failed. */
  failed(): boolean;
  /** Writes the rest and closes (standard output stays open). */
  close(): Promise<void>;
}

/** Evidence is for whoever asked for it: nobody else may read a new file. */
const FILE_MODE = 0o600;

/**
 * Opens `path` ("-" is standard output) for writing; an existing file is replaced.
 * @throws RuntimeEvidenceError `io` when it can't be opened.
 */
export async function openLineWriter(path: string): Promise<LineWriter> {
  if (path === "-") return new StreamLineWriter(process.stdout, "standard output", false);
  try {
    const file = await open(path, "w", FILE_MODE);
    return new StreamLineWriter(createWriteStream("", { fd: file }), path, true);
  } catch (cause) {
    throw new RuntimeEvidenceError("io", `cannot write ${path}: ${(cause as Error).message}`, {
      cause,
      context: { path },
    });
  }
}

class StreamLineWriter implements LineWriter {
  readonly #stream: Writable;
  readonly #owned: boolean;
  #gathered = "";
  #pending: Promise<void> | undefined;
  #failure: RuntimeEvidenceError | undefined;

  constructor(stream: Writable, name: string, owned: boolean) {
    this.#stream = stream;
    this.#owned = owned;
    stream.on("error", (cause) => {
      const code = (cause as NodeJS.ErrnoException).code === "EPIPE" ? "output-closed" : "io";
      this.#failure ??= new RuntimeEvidenceError(code, `cannot write ${name}: ${cause.message}`, { cause });
    });
  }

  line(text: string): void {
    this.#gathered += `${text}\n`;
    if (this.#gathered.length >= GATHER_CHARS) this.#write();
  }

  async ready(): Promise<void> {
    this.#write();
    await this.#pending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  failed(): boolean {
    return this.#failure !== undefined;
  }

  async close(): Promise<void> {
    await this.ready();
    if (!this.#owned) return;
    await new Promise<void>((resolve) => this.#stream.end(resolve));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #write(): void {
    if (this.#gathered === "") return;
    const text = this.#gathered;
    this.#gathered = "";
    // One promise for all that is under way: streams write in order, so the last callback is the latest.
    this.#pending = new Promise((resolve) => {
      this.#stream.write(text, "utf8", () => resolve());
    });
  }
}
