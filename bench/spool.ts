/**
 * What a queue costs per record of about 600 bytes, in full requests of 3.5 MiB: first while a collector takes
 * everything at once, then through an outage, in which all is written, and read back from disk afterwards.
 *
 *     node bench/spool.ts [--records 1000000] [--rounds 3] [--json]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDiskQueue } from "../src/delivery/disk-queue.ts";
import { createMemoryQueue } from "../src/delivery/memory-queue.ts";
import type { DeliveryQueue } from "../src/delivery/queue.ts";
import type { SpoolFsync } from "../src/delivery/spool.ts";
import { steadyUnixMs } from "../src/delivery/steady-clock.ts";
import { runCases } from "./case-runner.ts";

const requestBytes = 3.5 * 1024 * 1024;
const requestRecords = Math.round(requestBytes / 600);
const spoolBytesMax = 8 * 1024 ** 3;

const never = new AbortController().signal;

async function offerAll(queue: DeliveryQueue, records: number): Promise<number> {
  let bytes = 0;
  for (let left = records; left > 0; left -= requestRecords) {
    const recordCount = Math.min(left, requestRecords);
    // Encoding is not what is measured, but every request has memory of its own, as in a capture.
    const body = Buffer.allocUnsafeSlow(Math.round((recordCount / requestRecords) * requestBytes)).fill(7);
    bytes += body.length;
    await queue.offer({ body, recordCount, sealedAtUnixMs: steadyUnixMs(), streamId: "ab" });
  }
  queue.close();
  return bytes;
}

async function takeAll(queue: DeliveryQueue): Promise<void> {
  for (let lease = await queue.take(never); lease !== undefined; lease = await queue.take(never)) {
    lease.acknowledge();
  }
}

async function together(queue: DeliveryQueue, records: number): Promise<number> {
  const [bytes] = await Promise.all([offerAll(queue, records), takeAll(queue)]);
  return bytes;
}

async function onDisk(
  fsync: SpoolFsync,
  memoryBytesMax: number | undefined,
  work: (queue: DeliveryQueue) => Promise<number>,
): Promise<number> {
  const parent = mkdtempSync(join(tmpdir(), "runtime-evidence-bench-"));
  try {
    const directory = join(parent, "spool");
    const queue = await openDiskQueue({ directory, fsync, memoryBytesMax, bytesMax: spoolBytesMax });
    const bytes = await work(queue);
    await queue.end();
    return bytes;
  } finally {
    rmSync(parent, { recursive: true });
  }
}

const keepsUp = (fsync: SpoolFsync) => (records: number) =>
  onDisk(fsync, undefined, (queue) => together(queue, records));

const outage = (fsync: SpoolFsync) => (records: number) =>
  onDisk(fsync, 0, async (queue) => {
    const bytes = await offerAll(queue, records);
    await takeAll(queue);
    return bytes;
  });

await runCases(fileURLToPath(import.meta.url), {
  "memory queue": (records) => together(createMemoryQueue(), records),
  "disk, fsync never": keepsUp("never"),
  "disk, fsync interval": keepsUp("interval"),
  "disk, fsync always": keepsUp("always"),
  "disk, fsync never, through an outage": outage("never"),
  "disk, fsync interval, through an outage": outage("interval"),
  "disk, fsync always, through an outage": outage("always"),
});
