/** Spools on a disk that fails as it is told to. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type DiskQueue, type DiskQueueOptions, openSpoolQueue } from "../../src/delivery/disk-queue.ts";
import type { DeliveryQueue, Lease } from "../../src/delivery/queue.ts";
import { type DiskOperation, SimulatedDisk } from "./simulated-disk.ts";

const never = new AbortController().signal;

/** The oldest request, which must be there. */
export async function taken(queue: DeliveryQueue): Promise<Lease> {
  const lease = await queue.take(never);
  assert.ok(lease);
  return lease;
}

/** Whether a promise settles within some turns. */
export async function settles(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, sleep(30).then(() => false)]);
}

/** Waits until it holds, some seconds at most. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 3_000, "took too long");
    await sleep(1);
  }
}

/** A queue on a simulated disk, and what it said; opened again, it is the next run. */
export class BrokenSpool {
  readonly disk = new SimulatedDisk();
  readonly lines: string[] = [];
  readonly dropped: string[] = [];
  queue!: DiskQueue;

  async open(options: Partial<DiskQueueOptions> = {}): Promise<this> {
    this.queue = await openSpoolQueue(
      {
        directory: "/spool",
        fsync: "always",
        retryMs: 5,
        onTrouble: (line) => this.lines.push(line),
        onDropped: ({ recordCount }, reason) => this.dropped.push(`${recordCount} ${reason}`),
        ...options,
      },
      this.disk.mount(),
      async () => {},
    );
    return this;
  }

  fail(operation: DiskOperation, code: string): void {
    this.disk.fault = (asked) => (asked === operation ? code : undefined);
  }

  repair(): void {
    this.disk.fault = () => undefined;
  }
}
