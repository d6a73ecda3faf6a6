/**
 * The queue that was asked for: in memory, or on disk.
 */
import {
  type DiskQueue,
  openDiskQueue,
  SPOOL_BYTES_MAX,
  SPOOL_MEMORY_BYTES_MAX,
  type SpoolOptions,
} from "../delivery/disk-queue.ts";
import { createMemoryQueue, MEMORY_QUEUE_BYTES_MAX } from "../delivery/memory-queue.ts";
import type { DeliveryQueue, QueueOptions, WhenFull } from "../delivery/queue.ts";
import type { QueueStatus } from "../health/exporter-status.ts";

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
  /** What is taken, and how much there is to take. */
  room(): QueueStatus["room"];
}

/** Opens the queue. Throws what `openDiskQueue` does. */
export async function openQueue(
  options: DeliveryQueueOptions,
  onDropped: NonNullable<QueueOptions["onDropped"]>,
  report: (line: string) => void,
): Promise<OpenedQueue> {
  const { memoryBytesMax, whenFull, spool } = options;
  if (spool === undefined) {
    const queue = createMemoryQueue({ bytesMax: memoryBytesMax, whenFull, onDropped });
    const bytesMax = memoryBytesMax ?? MEMORY_QUEUE_BYTES_MAX;
    return { queue, disk: undefined, room: () => [{ type: "memory", bytes: queue.stats().bytes, bytesMax }] };
  }
  const disk = await openDiskQueue({ ...spool, memoryBytesMax, whenFull, onDropped, onTrouble: report });
  const room = (): QueueStatus["room"] => {
    const { bytes, memoryBytes } = disk.spoolStats();
    return [
      { type: "disk", bytes, bytesMax: spool.bytesMax ?? SPOOL_BYTES_MAX },
      { type: "memory", bytes: memoryBytes, bytesMax: memoryBytesMax ?? SPOOL_MEMORY_BYTES_MAX },
    ];
  };
  return { queue: disk, disk, room };
}
