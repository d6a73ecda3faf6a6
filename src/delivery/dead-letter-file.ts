/**
 * A dead letter in two files. `PATH` has the refused requests as length-prefixed protobuf, as the Collector's file
 * exporter writes them (4 bytes big-endian length, then an ExportLogsServiceRequest), so that `convert PATH` reads
 * it. `PATH.reasons.ndjson` has one line for each of them, in the same order:
 *
 *     {"offset":0,"bytes":612,"records":1,"time":"2026-11-23T00:00:00.000Z","reason":"too_large: http 413"}
 *
 * `offset` is that of the length. Both files belong to their owner alone (0600) and are never fsynced before they
 * are closed: they survive the process, not a power cut.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { SealedRequest } from "./outcome.ts";

/** Default of `bytesMax`: 64 MiB. */
export const DEAD_LETTER_BYTES_MAX = 64 * 1024 * 1024;

const LENGTH_BYTES = 4;
/** More than a request can have (the writer's own limit). */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;
/** Field 1 of ExportLogsServiceRequest, `resource_logs`: how each request that has records starts. */
const RESOURCE_LOGS_TAG = 0x0a;
const OPEN_BRACE = 0x7b;
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

export interface DeadLetterFileOptions {
  readonly path: string;
  /** Size of both files together at most; what would go beyond is not kept. */
  readonly bytesMax?: number;
  /** Gets one line when something cannot be kept; the caller thins them out. */
  readonly onTrouble: (line: string) => void;
}

/**
 * Opens the files, or makes them, and appends. What a crash has left half-written at the end of either is cut off.
 * Throws RuntimeEvidenceError `not-found`, `not-permitted` or `io`, and `bad-input` when `path` is something else
 * than an earlier dead letter.
 */
export async function openDeadLetterFile(options: DeadLetterFileOptions): Promise<DeadLetter> {
  const opened: FileHandle[] = [];
  const openAt = async (path: string, findEnd: typeof endOfLines): Promise<OpenFile> => {
    const handle = await openRegular(path);
    opened.push(handle);
    return { handle, end: await findEnd(handle, path) };
  };
  try {
    const messages = await openAt(options.path, endOfMessages);
    const reasons = await openAt(`${options.path}.reasons.ndjson`, endOfLines);
    return new DeadLetterFile(options, messages, reasons);
  } catch (thrown) {
    for (const handle of opened) await handle.close();
    throw RuntimeEvidenceError.from(thrown);
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  /** Where the next one goes; what stands behind it is half-written and is overwritten. */
  end: number;
}

class DeadLetterFile implements DeadLetter {
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #onTrouble: (line: string) => void;
  readonly #messages: OpenFile;
  readonly #reasons: OpenFile;
  /** Appends follow one another: each knows where it stands. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DeadLetterFileOptions, messages: OpenFile, reasons: OpenFile) {
    this.#path = options.path;
    this.#bytesMax = options.bytesMax ?? DEAD_LETTER_BYTES_MAX;
    this.#onTrouble = options.onTrouble;
    this.#messages = messages;
    this.#reasons = reasons;
  }

  append(request: SealedRequest, reason: string): Promise<boolean> {
    const kept = this.#last.then(() => this.#append(request, reason));
    this.#last = kept;
    return kept;
  }

  async close(): Promise<void> {
    await this.#last;
    for (const { handle } of [this.#messages, this.#reasons]) {
      await handle.sync().catch(() => {});
      await handle.close();
    }
  }

  async #append({ body, recordCount }: SealedRequest, reason: string): Promise<boolean> {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(body.byteLength);
    const line = Buffer.from(
      `${JSON.stringify({
        offset: this.#messages.end,
        bytes: body.byteLength,
        records: recordCount,
        time: new Date().toISOString(),
        reason,
      })}\n`,
    );
    const bytes = LENGTH_BYTES + body.byteLength + line.byteLength;
    if (this.#messages.end + this.#reasons.end + bytes > this.#bytesMax) {
      this.#onTrouble(`the dead-letter file ${this.#path} has reached its limit of ${this.#bytesMax} bytes`);
      return false;
    }
    try {
      await writeAt(this.#messages, [length, body]);
      // A message without its line is whole: the line explains, it does not count.
      this.#messages.end += LENGTH_BYTES + body.byteLength;
      await writeAt(this.#reasons, [line]);
      this.#reasons.end += line.byteLength;
      return true;
    } catch (thrown) {
      this.#onTrouble(`cannot write the dead-letter file ${this.#path}: ${codeOf(thrown)}`);
      return false;
    }
  }
}

/** Whole, or not at all as far as the next reader can tell: after a failure the same place is written again. */
async function writeAt({ handle, end }: OpenFile, pieces: readonly Buffer[]): Promise<void> {
  let position = end;
  try {
    for (const piece of pieces) {
      for (let written = 0; written < piece.byteLength; ) {
        const { bytesWritten } = await handle.write(piece, written, piece.byteLength - written, position);
        written += bytesWritten;
        position += bytesWritten;
      }
    }
  } catch (thrown) {
    await handle.truncate(end).catch(() => {});
    throw thrown;
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, OPEN_FLAGS, 0o600);
    if ((await handle.stat()).isFile()) {
      // It may have been made by hand, for everybody to read.
      await handle.chmod(0o600);
      return handle;
    }
  } catch (thrown) {
    await handle?.close();
    const errno = codeOf(thrown);
    const code = errno === "ENOENT" ? "not-found" : errno === "EACCES" ? "not-permitted" : "io";
    throw new RuntimeEvidenceError(code, `cannot open the dead-letter file ${path}: ${errno}`, {
      cause: thrown,
    });
  }
  await handle.close();
  throw new RuntimeEvidenceError("bad-input", `the dead-letter file ${path} is not a regular file`);
}

/** Where the last whole message ends; the rest is cut off. A file that somebody else wrote is never touched. */
async function endOfMessages(handle: FileHandle, path: string): Promise<number> {
  const { size } = await handle.stat();
  const head = Buffer.alloc(LENGTH_BYTES + 1);
  let end = 0;
  while (end + LENGTH_BYTES <= size) {
    await handle.read(head, 0, head.length, end);
    const length = head.readUInt32BE();
    // Text of any kind has a "length" beyond this.
    const foreign = length > MESSAGE_BYTES_MAX || (end === 0 && head[LENGTH_BYTES] !== RESOURCE_LOGS_TAG);
    if (foreign) throw notOurs(path);
    if (end + LENGTH_BYTES + length > size) break;
    end += LENGTH_BYTES + length;
  }
  await handle.truncate(end);
  return end;
}

async function endOfLines(handle: FileHandle, path: string): Promise<number> {
  const { size } = await handle.stat();
  // The last line is short: reasons are cut.
  const tail = Buffer.alloc(Math.min(size, 4096));
  const first = Buffer.alloc(1);
  await handle.read(first, 0, 1, 0);
  if (size > 0 && first[0] !== OPEN_BRACE) throw notOurs(path);
  await handle.read(tail, 0, tail.length, size - tail.length);
  const end = size - tail.length + tail.lastIndexOf("\n") + 1;
  await handle.truncate(end);
  return end;
}

function notOurs(path: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `${path} is not a dead-letter file; it is left as it is`);
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException).code ?? "unknown";
}
