/**
 * The marks of streams in a spool: a stream that has begun and not ended has one. A mark also keeps room, so that
 * the last words of its stream can be written when the disk is full: over the mark, in place, which then gets the name
 * of a request and is one like any other.
 *
 *   begin  ──► ID.stream: zeros ──► end: removed
 *                    │
 *                    └─ last words: overwritten, cut to their length, (fsync), renamed ──► NNN.request
 *
 * A mark that was being overwritten when its process died is a mark still.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { SealedRequest } from "./outcome.ts";
import type { Spool } from "./spool.ts";
import { encodeSpoolHeader } from "./spool-file.ts";
import { requestFileName, streamFileName } from "./spool-names.ts";
import { errorCode, type SpoolStorage } from "./spool-storage.ts";

export interface StreamMarksOptions {
  readonly storage: SpoolStorage;
  readonly spool: Spool;
  /** Whether marks and last words are forced to disk. */
  readonly sync: boolean;
  /** Room kept for the last words of each stream. */
  readonly lastWordsBytes: number;
}

export class StreamMarks {
  readonly #options: StreamMarksOptions;

  constructor(options: StreamMarksOptions) {
    this.#options = options;
  }

  /**
   * Resolves also where the file system has no room for the mark, or only for a smaller one, which is reported.
   * @throws RuntimeEvidenceError `usage` for an id that is none
   */
  async begin(streamId: string): Promise<void> {
    const { storage, spool, sync, lastWordsBytes } = this.#options;
    const name = markOf(streamId);
    try {
      await storage.write(name, [Buffer.alloc(lastWordsBytes)], sync);
      if (sync) await storage.syncDirectory();
    } catch (error) {
      spool.failed("write", error, "how this stream ends may not be kept");
    }
  }

  /** Also of an earlier run. */
  async end(streamId: string): Promise<void> {
    await this.#options.spool.discard(markOf(streamId), 0);
  }

  /** Makes the mark a request, with this place in the order; false where that fails, and the mark stays. */
  async lastWords(streamId: string, request: SealedRequest, sequence: number): Promise<boolean> {
    const { storage, spool, sync } = this.#options;
    const name = markOf(streamId);
    const parts = [encodeSpoolHeader(request), request.body];
    try {
      await storage.overwrite(name, parts, sync).catch((error: unknown) => {
        if (errorCode(error) !== "ENOENT") throw error;
        // The stream began on a disk that had no room for its mark; there may be some now.
        return storage.write(name, parts, sync);
      });
      await storage.rename(name, requestFileName(sequence));
      if (sync) await storage.syncDirectory();
      return true;
    } catch (error) {
      spool.failed("write", error, "this stream is left without its end");
      return false;
    }
  }
}

/** @throws RuntimeEvidenceError `usage` */
function markOf(streamId: string): string {
  const name = streamFileName(streamId);
  if (name !== undefined) return name;
  throw new RuntimeEvidenceError(
    "usage",
    `a stream id is 1 to 64 hexadecimal digits, not ${streamId.slice(0, 80)}`,
  );
}
