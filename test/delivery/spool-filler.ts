/**
 * A process for tests to kill: fills a spool, delivers some of it, and says on standard output what it was promised.
 *
 *     node spool-filler.ts DIRECTORY FSYNC FIRST
 *
 * `offered N` is written after the offer of request N has resolved, `delivered N` before N is acknowledged.
 */
import { writeSync } from "node:fs";
import { openDiskQueue } from "../../src/delivery/disk-queue.ts";
import type { SpoolFsync } from "../../src/delivery/spool.ts";
import { spooledRequest } from "./spooled-request.ts";

const STDOUT = 1;

const [directory = "", fsync = "", first = ""] = process.argv.slice(2);
const queue = await openDiskQueue({
  directory,
  fsync: fsync as SpoolFsync,
  fsyncIntervalMs: 5,
  memoryBytesMax: 200_000,
});
writeSync(STDOUT, "open\n");

async function deliver(): Promise<void> {
  for (;;) {
    const lease = await queue.take(new AbortController().signal);
    if (lease === undefined) return;
    const number = lease.request.recordCount;
    if (number % 4 !== 0) {
      writeSync(STDOUT, `delivered ${number}\n`);
      lease.acknowledge();
    } else {
      // Keeps its place in the spool; what is left must not fill the disk of whoever runs this.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
void deliver();

for (let number = Number(first); ; number++) {
  await queue.offer(spooledRequest(number));
  writeSync(STDOUT, `offered ${number}\n`);
}
