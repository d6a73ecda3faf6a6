/**
 * A source that is also written to a file as it is read: `capture --record FILE`, for `replay`.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { FrameSource } from "./source.ts";

/** Opens the file now; `record` wraps a source that is started later, when rights may have been given up. */
export async function openRecording(path: string): Promise<{ record<S extends FrameSource>(source: S): S }> {
  const file = await open(path, "w", 0o600).catch((cause) => {
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
    record: (source) => ({ ...source, chunks: recorded(source.chunks, stream, check) }),
  };
}

async function* recorded(
  chunks: AsyncIterable<Buffer>,
  stream: ReturnType<typeof createWriteStream>,
  check: () => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    check();
    if (!stream.write(chunk)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
    yield chunk;
  }
  stream.end();
  await once(stream, "close");
  check();
}
