/** Where stored bytes come from: a file by its path, or any stream of buffers (standard input, a test). */

import { createReadStream } from "node:fs";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** A path, or chunks of any size. */
export type ByteSource = string | AsyncIterable<Buffer>;

/** Bytes per read of a file: large enough that the cost of a chunk does not matter. */
const READ_BYTES = 256 * 1024;

/**
 * Reads `source` once, chunk by chunk. Throws `RuntimeEvidenceError` with code `not-found` where the file
 * does not exist, and `io` where it can't be read.
 */
export async function* openByteSource(source: ByteSource): AsyncGenerator<Buffer, void, undefined> {
  const chunks =
    typeof source === "string" ? createReadStream(source, { highWaterMark: READ_BYTES }) : source;
  try {
    for await (const chunk of chunks as AsyncIterable<Buffer>) yield chunk;
  } catch (thrown) {
    throw readError(source, thrown);
  }
}

function readError(source: ByteSource, thrown: unknown): RuntimeEvidenceError {
  if (thrown instanceof RuntimeEvidenceError) return thrown;
  const name = typeof source === "string" ? source : "the input";
  if ((thrown as NodeJS.ErrnoException).code === "ENOENT") {
    return new RuntimeEvidenceError("not-found", `${name} does not exist`, { cause: thrown });
  }
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new RuntimeEvidenceError("io", `can't read ${name}: ${reason}`, { cause: thrown });
}
