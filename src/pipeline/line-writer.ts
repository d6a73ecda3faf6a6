/**
 * Writes lines of text to a file or to standard output, in large pieces and with pressure. A file whose name
 * ends in `.gz` or `.zst` is compressed.
 */
import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Lines are gathered until this many characters before they are written. */
const GATHER_CHARS = 256 * 1024;

/** A sink for lines. */
export interface LineWriter {
  /** Takes one line, without its newline. */
  line(text: string): void;
  /** Takes bytes as they are, behind the lines before. They must not change until `ready` has resolved. */
  bytes(bytes: Buffer): void;
  /** Resolves when everything taken is written, out of any compressor too. Rejects when writing failed. */
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
    return new StreamLineWriter(createWriteStream("", { fd: file }), path, true, compressorFor(path));
  } catch (cause) {
    throw new RuntimeEvidenceError("io", `cannot write ${path}: ${(cause as Error).message}`, {
      cause,
      context: { path },
    });
  }
}

/** Closes all, also when one of them fails. */
export async function closeAll(...writers: readonly (LineWriter | undefined)[]): Promise<void> {
  const results = await Promise.allSettled(writers.map((writer) => writer?.close()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

type Compressor = Gzip | ZstdCompress;

function compressorFor(path: string): Compressor | undefined {
  if (path.endsWith(".gz")) return createGzip();
  return path.endsWith(".zst") ? createZstdCompress() : undefined;
}

class StreamLineWriter implements LineWriter {
  /** Where bytes come out at last, and where they go in: the same without compression. */
  readonly #target: Writable;
  readonly #stream: Writable;
  readonly #compressor: Compressor | undefined;
  readonly #owned: boolean;
  #gathered = "";
  #pending: Promise<void> | undefined;
  #failure: RuntimeEvidenceError | undefined;

  constructor(target: Writable, name: string, owned: boolean, compressor?: Compressor) {
    this.#target = target;
    this.#stream = compressor ?? target;
    this.#compressor = compressor;
    this.#owned = owned;
    target.on("error", (cause) => {
      const code = (cause as NodeJS.ErrnoException).code === "EPIPE" ? "output-closed" : "io";
      this.#failure ??= new RuntimeEvidenceError(code, `cannot write ${name}: ${cause.message}`, { cause });
      // What waits in the compressor waits for nothing.
      compressor?.destroy();
    });
    compressor?.on("error", () => {});
    compressor?.pipe(target);
  }

  line(text: string): void {
    this.#gathered += `${text}\n`;
    if (this.#gathered.length >= GATHER_CHARS) this.#write();
  }

  bytes(bytes: Buffer): void {
    this.#write();
    this.#put(bytes);
  }

  async ready(): Promise<void> {
    this.#write();
    const pending = this.#pending;
    if (pending !== undefined) {
      await pending;
      await this.#flushCompressor();
      if (this.#pending === pending) this.#pending = undefined;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  failed(): boolean {
    return this.#failure !== undefined;
  }

  async close(): Promise<void> {
    await this.ready();
    if (!this.#owned) return;
    const closed = new Promise<void>((resolve) => this.#target.once("close", () => resolve()));
    this.#stream.end();
    await closed;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #flushCompressor(): Promise<void> {
    const compressor = this.#compressor;
    if (compressor === undefined || this.#failure !== undefined) return;
    await new Promise<void>((resolve) => {
      compressor.once("close", resolve);
      compressor.flush(() => {
        compressor.off("close", resolve);
        resolve();
      });
    });
    // The last write to the target is behind all others.
    await new Promise<void>((resolve) => this.#target.write("", () => resolve()));
  }

  #write(): void {
    if (this.#gathered === "") return;
    const text = this.#gathered;
    this.#gathered = "";
    this.#put(text);
  }

  #put(data: string | Buffer): void {
    // One promise for all that is under way: streams write in order, so the last callback is the latest.
    this.#pending = new Promise((resolve) => {
      this.#stream.write(data, "utf8", () => resolve());
    });
  }
}
