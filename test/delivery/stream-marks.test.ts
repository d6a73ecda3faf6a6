/** The end of a stream is kept where there is no room left for it. */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { LAST_WORDS_BYTES, openSpoolQueue } from "../../src/delivery/disk-queue.ts";
import type { SealedRequest } from "../../src/delivery/outcome.ts";
import { sealed } from "./sealed.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const STREAM = "00000000000000aa";
const never = new AbortController().signal;
const words = (bytes: number): SealedRequest => ({
  ...sealed(bytes),
  streamId: STREAM,
  firstSequence: 9,
  lastSequence: 9,
});

describe("the last words of a stream", () => {
  const scratch = new SpoolScratch();
  afterEach(() => scratch.remove());

  const open = (disk: SimulatedDisk, fsync: "always" | "never" = "always") =>
    openSpoolQueue(
      { directory: "simulated", fsync, retryMs: 1, lastWordsBytes: 4096 },
      disk.mount(),
      async () => {},
    );

  it("take no more room than their mark had, and are sent by the next run, last", async () => {
    const disk = new SimulatedDisk();
    const queue = await open(disk);
    await queue.beginStream(STREAM);
    await queue.offer(sealed(1000, 7));
    disk.bytesMax = disk.usedBytes;
    const waiting = queue.offer(sealed(1000)).catch((error: unknown) => error);
    await sleep(5);
    await queue.settle();
    assert.match(String(await waiting), /closed/, "it is known what is lost before the last words are said");
    assert.equal(await queue.keepLastWords(STREAM, words(3000)), true);
    await queue.end();
    assert.ok(disk.usedBytes <= disk.bytesMax);
    const next = await open(disk);
    assert.deepEqual(next.recovered.unendedStreams, []);
    assert.deepEqual(next.recovered.streams.get(STREAM), { requests: 1, records: 1, lastSequence: 9 });
    const taken = [await next.take(never), await next.take(never)].map((lease) => lease?.request.recordCount);
    assert.deepEqual(taken, [7, 1]);
    await next.end();
  });

  it("that do not fit leave the mark, and are told", async () => {
    const disk = new SimulatedDisk();
    const queue = await open(disk);
    await queue.beginStream(STREAM);
    disk.bytesMax = disk.usedBytes;
    assert.equal(await queue.keepLastWords(STREAM, words(5000)), false);
    assert.equal(queue.spoolStats().failures.get("write ENOSPC"), 1);
    await queue.end();
    const next = await open(disk);
    assert.deepEqual([next.recovered.unendedStreams, next.recovered.requests], [[STREAM], 0]);
    assert.equal(next.recovered.damagedFiles, 0);
    await next.end();
  });

  it("of a stream that began on a full disk are kept where there is room by then", async () => {
    const disk = new SimulatedDisk();
    const queue = await open(disk);
    disk.fault = (operation) => (operation === "write" ? "ENOSPC" : undefined);
    await queue.beginStream(STREAM);
    assert.equal(disk.names.size, 0);
    assert.equal(await queue.keepLastWords(STREAM, words(500)), false);
    disk.fault = () => undefined;
    assert.equal(await queue.keepLastWords(STREAM, words(500)), true);
    await queue.end();
    const next = await open(disk);
    assert.deepEqual([next.recovered.unendedStreams, next.recovered.requests], [[], 1]);
    await next.end();
  });

  it("are there whole, or the stream is known as unended, whenever power is cut", async () => {
    const cut = fc.asyncProperty(
      fc.nat(20),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (steps, choices) => {
        const disk = new SimulatedDisk();
        const queue = await open(disk);
        await queue.beginStream(STREAM);
        const { steps: before } = disk;
        const kept = queue.keepLastWords(STREAM, words(3000));
        let isKept = false;
        void kept.then((done) => {
          isKept = done;
        });
        for (let turns = 0; turns < 100 && !isKept && disk.steps < before + steps; turns++) await sleep(0);
        const wasKept = isKept;
        disk.cutPower(() => choices.next().value);
        const next = await open(disk);
        const { unendedStreams, requests, damagedFiles } = next.recovered;
        assert.equal(damagedFiles, 0);
        if (wasKept) assert.deepEqual([requests, unendedStreams], [1, []]);
        else assert.ok(requests === 1 || unendedStreams.length === 1, "the stream is forgotten");
        await next.end();
      },
    );
    await fc.assert(cut, { numRuns: 60 });
  });

  it("have their room from the beginning, on a real file system, and give it back", async () => {
    const directory = scratch.directory();
    const queue = await scratch.open({ directory });
    await queue.beginStream(STREAM);
    const mark = statSync(join(directory, `${STREAM}.stream`));
    assert.equal(mark.size, LAST_WORDS_BYTES);
    assert.ok(mark.blocks * 512 >= LAST_WORDS_BYTES, "a hole is no room");
    assert.equal(await queue.keepLastWords(STREAM, words(500)), true);
    await scratch.end();
    const [name = "", ...others] = readdirSync(directory);
    assert.deepEqual(others, []);
    assert.match(name, /^\d{16}\.request$/);
    assert.ok(statSync(join(directory, name)).size < 1000);
    const next = await scratch.open({ directory });
    assert.deepEqual((await next.take(never))?.request.body, words(500).body);
  });
});
