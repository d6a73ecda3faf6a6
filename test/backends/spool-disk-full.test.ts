import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../process.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import {
  exportSummary,
  madeRecords,
  onlyStream,
  openDirectory,
  startExporter,
  verifyStored,
} from "./exporter-run.ts";
import { RestartedCollector } from "./restarted-collector.ts";

const DISK_BYTES = 6 * 1024 * 1024;
/** Some 14 MB: more than twice the disk. */
const RECORDS = 40_000;
const FULL = /spool \S+: [^\n]*ENOSPC[^\n]*/;

describe("a disk that is full while a spool is written", function () {
  this.timeout(60_000);
  let directory: string;
  let disk: string;
  let collector: RestartedCollector;

  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    directory = openDirectory();
    disk = join(directory, "disk");
    mkdirSync(disk);
    try {
      const options = ["-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=755`, "tmpfs", disk];
      execFileSync("mount", options, { stdio: "ignore" });
    } catch {
      skip(this, "no tmpfs can be mounted here");
    }
  });
  after(() => {
    if (disk !== undefined) execFileSync("umount", [disk]);
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });
  beforeEach(async () => {
    collector = await RestartedCollector.create();
  });
  afterEach(() => collector.remove());

  const args = (policy: string): string[] => [
    ...["--otlp-endpoint", collector.grpcEndpoint, "--batch-bytes", "256KiB", "--status", "100ms"],
    ...["--queue", "disk", "--spool-dir", join(disk, policy), "--when-full", policy],
  ];

  it("block: says so in one line, waits, and loses nothing once there is a collector", async () => {
    const exporter = await startExporter(args("block"), madeRecords(RECORDS));
    try {
      const { output } = exporter;
      await until(
        () => FULL.test(output().stderr),
        () => output().stderr.slice(-2000),
      );
      await collector.start();
      const { code } = await exporter.exited;
      assert.equal(code, 0, output().stderr);
      assert.equal(output().stderr.match(new RegExp(FULL, "g"))?.length, 1, output().stderr);
      assert.match(output().stderr, /written again/);
    } finally {
      await exporter.stop();
    }
    await collector.stop();
    const { verdict, summary, streams } = await verifyStored(collector.stored());
    assert.deepEqual([verdict, streams[0]?.records], ["complete", RECORDS], summary);
  });

  it("drop-oldest: what goes is counted and reported, and nothing goes when there is room again", async () => {
    // Somebody else takes half of the disk, and gives it back.
    const other = join(disk, "other");
    writeFileSync(other, Buffer.alloc(DISK_BYTES / 2));
    let read = 0;
    const input = madeRecords(RECORDS, (count) => {
      read = count;
      if (count === RECORDS / 2) rmSync(other);
    });
    const exporter = await startExporter(args("drop-oldest"), input);
    try {
      const { output } = exporter;
      await until(
        () => read === RECORDS && output().stderr.includes(`"input":{"read":${RECORDS},`),
        () => output().stderr.slice(-2000),
      );
      assert.match(output().stderr, FULL);
      const { bavail, bsize } = statfsSync(disk);
      assert.ok(bavail * bsize < DISK_BYTES / 2, "what was given back was not used");
      await collector.start();
      const { code } = await exporter.exited;
      assert.equal(code, 5, output().stderr);
    } finally {
      await exporter.stop();
    }
    await collector.stop();
    const { exported, lost } = exportSummary(exporter);
    const dropped = lost.queue_full ?? 0;
    assert.deepEqual([lost, exported], [{ queue_full: dropped }, RECORDS - dropped]);
    const verified = await verifyStored(collector.stored());
    const stream = onlyStream(verified);
    assert.deepEqual([verified.verdict, stream.records], ["accounted", exported], verified.summary);
    assert.deepEqual(stream.explained, { queue_full: stream.missing });
  });

  it("at the end: what could not be kept is told by the next run, and the stream has its end", async () => {
    const exporter = await startExporter(
      [...args("block"), "--shutdown-timeout", "500ms"],
      madeRecords(RECORDS),
    );
    try {
      const { output } = exporter;
      await until(
        () => FULL.test(output().stderr),
        () => output().stderr.slice(-2000),
      );
      // To the last byte, so that not even the end finds room.
      assert.throws(() => writeFileSync(join(disk, "other"), Buffer.alloc(DISK_BYTES)), { code: "ENOSPC" });
    } finally {
      await exporter.stop();
    }
    const { code } = await exporter.exited;
    assert.equal(code, 5, exporter.output().stderr);
    const { lost, spooled } = exportSummary(exporter);
    const undelivered = lost.undelivered ?? 0;
    assert.ok(undelivered > 0 && spooled > 0, JSON.stringify({ lost, spooled }));

    rmSync(join(disk, "other"));
    await collector.start();
    const next = await startExporter(args("block"), madeRecords(1));
    assert.equal((await next.exited).code, 0, next.output().stderr);
    await collector.stop();
    const verified = await verifyStored(collector.stored());
    const stream = verified.streams.find(({ records }) => records === spooled);
    assert.deepEqual([verified.verdict, stream?.state], ["accounted", "ended"], verified.summary);
    assert.equal(stream?.reportedUnended, false);
    assert.equal(stream?.unexplained, 0);
    // The end, too, is among what had no room the first time.
    assert.ok((stream?.explained.undelivered ?? 0) >= undelivered);
  });
});
