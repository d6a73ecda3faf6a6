/**
 * A recorded frame file (`capture --record FILE`) as a source.
 */
import { open } from "node:fs/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { FrameSource } from "./source.ts";

const READ_BYTES = 256 * 1024;

/**
 * Reads `path` ("-" is standard input) as fast as it is consumed.
 * @throws RuntimeEvidenceError `not-found` when the file can't be opened.
 */
export async function openReplaySource(path: string): Promise<FrameSource> {
  let stopped = false;
  const settled = Promise.withResolvers<void>();
  const bytes = path === "-" ? process.stdin : await openFile(path);
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of bytes) {
        if (stopped) break;
        yield chunk as Buffer;
      }
      settled.resolve();
    } catch (error) {
      settled.reject(
        new RuntimeEvidenceError("io", `cannot read ${path}: ${(error as Error).message}`, { cause: error }),
      );
    }
  }
  return {
    name: path === "-" ? "standard input" : path,
    chunks: chunks(),
    stop: () => {
      stopped = true;
    },
    // A file has always an end soon; standard input may have none.
    kill: () => {
      stopped = true;
      if (path === "-") process.stdin.destroy();
    },
    ended: settled.promise,
  };
}

async function openFile(path: string): Promise<AsyncIterable<Buffer>> {
  try {
    const file = await open(path, "r");
    return file.createReadStream({ highWaterMark: READ_BYTES });
  } catch (error) {
    throw new RuntimeEvidenceError("not-found", `cannot open ${path}: ${(error as Error).message}`, {
      cause: error,
      context: { path },
    });
  }
}
