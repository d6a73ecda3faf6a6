/**
 * A source that is also written to a file as it is read: `capture --record FILE`, for `replay`.
 */
import { once } from "node:events";
import { constants, createWriteStream, type WriteStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { FrameSplitter } from "../frames/split.ts";
import { type FrameSource, RESTARTED } from "./source.ts";

/** Opens the file now; `record` wraps a source that is started later, when rights may have been given up. */
export async function openRecording(path: string): Promise<{ record<S extends FrameSource>(source: S): S }> {
  // Appending, so that what is written after `truncate` stands where the file ends.
  const file = await open(path, TRUNCATE_AND_APPEND, 0o600).catch((cause) => {
    throw new RuntimeEvidenceError("io", `cannot write ${path}: ${cause.message}`, {
      cause,
      context: { path },
    });
  });
  const stream = createWriteStream("", { fd: file });
  let failure: Error | undefined;
  stream.on("error", (error) => {
    failure ??= error;
  });
  const check = () => {
    if (failure === undefined) return;
    throw new RuntimeEvidenceError("io", `cannot write ${path}: ${failure.message}`, { cause: failure });
  };
  return {
    record: (source) => ({ ...source, chunks: recorded(source.chunks, { file, stream, check }) }),
  };
}

const TRUNCATE_AND_APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND;

interface Recording {
  readonly file: FileHandle;
  readonly stream: WriteStream;
  /** Throws what writing has failed with. */
  readonly check: () => void;
}

async function* recorded(chunks: FrameSource["chunks"], recording: Recording): FrameSource["chunks"] {
  const { stream, check } = recording;
  let splitter = new FrameSplitter();
  let recordedBytes = 0;
  for await (const chunk of chunks) {
    check();
    if (chunk === RESTARTED) {
      // The frame that was torn would run into the next probe's first one.
      recordedBytes -= splitter.tornTailBytes;
      await cut(recording, recordedBytes);
      splitter = new FrameSplitter();
    } else {
      splitter.push(chunk, () => {});
      recordedBytes += chunk.length;
      if (!stream.write(chunk)) await drained(stream);
      check();
    }
    yield chunk;
  }
  stream.end();
  await finished(stream).catch(() => {});
  check();
}

/** Resolves when the stream takes more, or never will. */
async function drained(stream: WriteStream): Promise<void> {
  const settled = new AbortController();
  const { signal } = settled;
  // What it failed with is told by `check`.
  const events = [once(stream, "drain", { signal }), once(stream, "close", { signal })];
  await Promise.race(events).catch(() => {});
  settled.abort();
  await Promise.allSettled(events);
}

async function cut({ file, stream, check }: Recording, lengthBytes: number): Promise<void> {
  await new Promise<void>((resolve) => stream.write("", () => resolve()));
  check();
  await file.truncate(lengthBytes);
}
