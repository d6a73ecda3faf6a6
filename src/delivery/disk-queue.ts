/**
 * The queue on disk. A sealed request is one file (`spool-file.ts` has its layout); when its offer resolves the
 * file is there, and it is removed when the request is acknowledged or dropped, never before. There is no index
 * and no journal: the names are the order, so that no two files can contradict each other after a crash.
 *
 *   DIRECTORY/                   0700, ours; refused otherwise
 *     0000000000000042.request   0600; the number is the place in the order of offers
 *     0000000000000043.request.tmp   being written; removed at the next start, its offer never resolved
 *     3f9c0d5a7b2e4c61.stream    this stream began and has not ended; room for its last words, see `stream-marks.ts`
 *     damaged/                   what can't be sent, by its old name; never sent, limited in number
 *     lock-4711-9f…              see `spool-lock.ts`
 *
 * What can be lost, given that the offer had resolved:
 *
 *   fsync     process killed   power cut
 *   always    nothing          nothing: file, then directory, are forced to disk before the offer resolves
 *   interval  nothing          what was offered in the last `fsyncIntervalMs`, and while fsync ran or failed
 *   never     nothing          what the kernel had not written by itself, some 30 s with its defaults
 *
 * A file that a power cut left half-written is recognised by its sizes and checksums, set aside and counted. A
 * removal is never forced to disk: after a power cut a request that was acknowledged may be sent once more.
 *
 * Bodies stay in memory too, up to `memoryBytesMax`, so that nothing is read back while the collector keeps up;
 * what is beyond is read when its turn comes. Where a file can't be written, the policy of `whenFull` is obeyed, and
 * a sender that has nothing else to do gets the request from memory: its offer resolves when it is acknowledged.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { SealedRequest } from "./outcome.ts";
import { checkLimit, type DeliveryQueue, type QueueOptions, WHEN_FULL } from "./queue.ts";
import { createReport, REPORT_INTERVAL_MS } from "./report.ts";
import type { SpoolFsync } from "./spool.ts";
import { openSpoolDirectory } from "./spool-directory.ts";
import { lockSpool } from "./spool-lock.ts";
import { SpoolQueue, type SpoolStats } from "./spool-queue.ts";
import { type RecoveredSpool, scanSpool } from "./spool-recovery.ts";
import { createSpoolStorage, errorCode, type SpoolStorage } from "./spool-storage.ts";

/** Default of `bytesMax`: 1 GiB, about 300 full requests. */
export const SPOOL_BYTES_MAX = 1024 * 1024 * 1024;

/** Default of `filesMax`: more than a day of one request a second. */
export const SPOOL_FILES_MAX = 100_000;

/** Default of `memoryBytesMax`: what the memory queue has. */
export const SPOOL_MEMORY_BYTES_MAX = 32 * 1024 * 1024;

/** Default of `fsync`. */
export const SPOOL_FSYNC: SpoolFsync = "interval";

/** Default of `fsyncIntervalMs`. */
export const SPOOL_FSYNC_INTERVAL_MS = 1000;

/** Default of `damagedFilesMax`. */
export const DAMAGED_FILES_MAX = 100;

/** Default of `lastWordsBytes`: some hundred loss records. */
export const LAST_WORDS_BYTES = 64 * 1024;

/** Default of `retryMs`. */
export const SPOOL_RETRY_MS = 1000;

/** What is chosen about a spool, on the command line and by programs; what it promises is in docs/delivery.md. */
export interface SpoolOptions {
  /** Made where it is missing; for this process's user alone, and for one exporter at a time. */
  readonly directory: string;
  /** All requests that are not acknowledged, on disk. Default 1 GiB. */
  readonly bytesMax?: number | undefined;
  /** Files, beside their bytes; a file system has few small ones to give. Default 100,000. */
  readonly filesMax?: number | undefined;
  /** When what was written is forced to disk. Default "interval". */
  readonly fsync?: SpoolFsync | undefined;
  /** Default 1 s. */
  readonly fsyncIntervalMs?: number | undefined;
}

export interface DiskQueueOptions extends QueueOptions, SpoolOptions {
  /** Bodies kept in memory beside their files. Those being sent, N in flight, come on top where they were read back. */
  readonly memoryBytesMax?: number | undefined;
  /** Files kept in `damaged/`; the oldest go, which is said. */
  readonly damagedFilesMax?: number | undefined;
  /** Room on disk for the last words of each stream, beside `bytesMax`; longer ones need room when they are said. */
  readonly lastWordsBytes?: number | undefined;
  /** After how long a write or read that failed is tried again; a write also as soon as there is room. */
  readonly retryMs?: number | undefined;
  /** Gets one line about each kind of trouble, at intervals. */
  readonly onTrouble?: ((line: string) => void) | undefined;
}

/**
 * A queue whose requests survive the process. Its requests come back as equal ones, not as the same objects. After
 * `close` what is not acknowledged stays for the next run.
 */
export interface DiskQueue extends DeliveryQueue {
  /** What an earlier run left; it is taken first. Found damaged, it was told to `onDropped` as `damaged`. */
  readonly recovered: RecoveredSpool;
  spoolStats(): SpoolStats;
  /** Notes that a stream begins: should it never end, the next run finds it in `recovered.unendedStreams`. */
  beginStream(streamId: string): Promise<void>;
  /** Forgets a stream, of this run or an earlier one. */
  endStream(streamId: string): Promise<void>;
  /** Closes, and waits until each offer has become a file or is refused. */
  settle(): Promise<void>;
  /**
   * Leaves a request for the next run, though the disk be full or the spool at its limit: in the room that was kept
   * since `beginStream`. It ends the stream; once for each. False where even that fails, and the stream has not ended.
   */
  keepLastWords(streamId: string, request: SealedRequest): Promise<boolean>;
  /** Closes, waits for what is being written, forces to disk what is to be there, and lets go of the directory. */
  end(): Promise<void>;
}

/**
 * Opens the spool of a directory, which is made where it is missing. Corrupt files are set aside, half-written ones
 * removed.
 * @throws RuntimeEvidenceError `limit` where another process uses it, `not-permitted` where it is not ours alone,
 *   `usage` for options that make no sense, `io` for what the file system refuses
 */
export async function openDiskQueue(options: DiskQueueOptions): Promise<DiskQueue> {
  const { directory } = options;
  const handle = await openSpoolDirectory(directory, options.fsync !== "never");
  try {
    const lock = await lockSpool(directory, handle);
    try {
      return await openSpoolQueue(options, createSpoolStorage(directory, handle), async () => {
        await lock.release();
        await handle.close();
      });
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * A queue over any storage, for tests of power cuts and broken disks.
 * @param letGo called at the end, when nothing is written any more
 */
export async function openSpoolQueue(
  options: DiskQueueOptions,
  storage: SpoolStorage,
  letGo: () => Promise<void>,
): Promise<DiskQueue> {
  const settings = {
    directory: options.directory,
    bytesMax: checkLimit("byte limit", options.bytesMax ?? SPOOL_BYTES_MAX),
    filesMax: checkLimit("file limit", options.filesMax ?? SPOOL_FILES_MAX),
    memoryBytesMax: options.memoryBytesMax ?? SPOOL_MEMORY_BYTES_MAX,
    whenFull: options.whenFull ?? WHEN_FULL,
    fsync: options.fsync ?? SPOOL_FSYNC,
    fsyncIntervalMs: checkLimit("fsync interval", options.fsyncIntervalMs ?? SPOOL_FSYNC_INTERVAL_MS),
    damagedFilesMax: checkLimit("limit of damaged files", options.damagedFilesMax ?? DAMAGED_FILES_MAX),
    lastWordsBytes: options.lastWordsBytes ?? LAST_WORDS_BYTES,
    retryMs: options.retryMs ?? SPOOL_RETRY_MS,
    onDropped: options.onDropped ?? (() => {}),
    report: createReport(options.onTrouble ?? (() => {}), REPORT_INTERVAL_MS, () => performance.now()),
  };
  const scan = await scanSpool(storage).catch((error) => {
    const message = `cannot read the spool ${options.directory}: ${errorCode(error)}`;
    throw new RuntimeEvidenceError("io", message, { cause: error });
  });
  const queue = new SpoolQueue(settings, { storage, letGo, scan });
  await queue.tidyUp(scan);
  return queue;
}
