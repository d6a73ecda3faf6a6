/**
 * The queue that was asked for: in memory, or on disk.
 */
import { type DiskQueue, type DiskQueueOptions, openDiskQueue } from "../delivery/disk-queue.ts";
import { createMemoryQueue } from "../delivery/memory-queue.ts";
import type { DeliveryQueue, QueueOptions, WhenFull } from "../delivery/queue.ts";

/** Options of the disk queue beside its directory; each has its default in `disk-queue.ts`. */
export type SpoolOptions = Pick<
  DiskQueueOptions,
  "directory" | "bytesMax" | "filesMax" | "fsync" | "fsyncIntervalMs"
>;

export interface DeliveryQueueOptions {
  /** Limit of what is kept in memory: all that is not acknowledged, or with a spool the part that is not read back. */
  readonly memoryBytesMax?: number | undefined;
  readonly whenFull?: WhenFull | undefined;
  /** Where there is one, the queue is on disk. */
  readonly spool?: SpoolOptions | undefined;
}

/** A queue, and what more there is of one on disk. */
export interface OpenedQueue {
  readonly queue: DeliveryQueue;
  readonly disk: DiskQueue | undefined;
}

/** Opens the queue. Throws what `openDiskQueue` does. */
export async function openQueue(
  options: DeliveryQueueOptions,
  onDropped: NonNullable<QueueOptions["onDropped"]>,
  report: (line: string) => void,
): Promise<OpenedQueue> {
  const { memoryBytesMax, whenFull, spool } = options;
  if (spool === undefined) {
    return { queue: createMemoryQueue({ bytesMax: memoryBytesMax, whenFull, onDropped }), disk: undefined };
  }
  const disk = await openDiskQueue({ ...spool, memoryBytesMax, whenFull, onDropped, onTrouble: report });
  return { queue: disk, disk };
}
