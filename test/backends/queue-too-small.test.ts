import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { assertBooksBalance, booksOf, needsKernel, trigger } from "../kernel/live.ts";
import { until } from "../process.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import {
  assertReported,
  type ExportSummary,
  exportSummary,
  madeRecords,
  onlyStream,
  openDirectory,
  startExporter,
  startOpensCapture,
  type Verified,
  verifyStored,
} from "./exporter-run.ts";
import { RestartedCollector } from "./restarted-collector.ts";

const RECORDS = 30_000;
/** Some 7 MB of records for this. */
const SMALL = ["--queue-bytes", "1MiB", "--batch-bytes", "128KiB"];

/** Everything is read while nobody answers; then there is a Collector. */
async function exportThroughOutage(
  args: readonly string[],
): Promise<{ summary: ExportSummary; verified: Verified; code: number | null }> {
  const collector = await RestartedCollector.create();
  try {
    const exporter = await startExporter(
      ["--otlp-endpoint", collector.grpcEndpoint, "--status", "100ms", ...args],
      madeRecords(RECORDS),
    );
    try {
      const { output } = exporter;
      await until(
        () => output().stderr.includes(`"input":{"read":${RECORDS},`),
        () => output().stderr.slice(-2000),
      );
      await collector.start();
      const { code } = await exporter.exited;
      await collector.stop();
      const verified = await verifyStored(collector.stored());
      return { summary: exportSummary(exporter), verified, code };
    } finally {
      await exporter.stop();
    }
  } finally {
    await collector.remove();
  }
}

describe("a queue that is too small for an outage", function () {
  this.timeout(60_000);
  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
  });

  for (const policy of ["drop-oldest", "drop-newest"]) {
    it(`in memory, told to ${policy}: missing is what the counters and the loss records say, to the record`, async () => {
      const { summary, verified, code } = await exportThroughOutage([...SMALL, "--when-full", policy]);
      assert.equal(code, 5);
      const dropped = summary.lost.queue_full ?? 0;
      assert.ok(dropped > RECORDS / 2, JSON.stringify(summary));
      assert.deepEqual(summary.lost, { queue_full: dropped });
      assert.equal(summary.exported, RECORDS - dropped);

      assert.deepEqual([verified.verdict, verified.code], ["accounted", 9], verified.summary);
      const stream = onlyStream(verified);
      assert.equal(stream.records, RECORDS - dropped);
      assert.equal(stream.unexplained, 0);
      assert.deepEqual(stream.explained, { queue_full: stream.missing });
      // Records of the stream about itself are dropped like any other, and are no evidence.
      const ownRecords = stream.lastSequence - RECORDS;
      assert.equal(stream.missing, dropped + ownRecords - stream.control);
    });
  }

  it("on disk: nothing is lost", async () => {
    const directory = openDirectory();
    try {
      const spool = ["--queue", "disk", "--spool-dir", join(directory, "spool")];
      const { summary, verified, code } = await exportThroughOutage([...SMALL, ...spool]);
      assert.equal(code, 0);
      assert.deepEqual([summary.exported, summary.lost], [RECORDS, {}]);
      assert.deepEqual([verified.verdict, onlyStream(verified).records], ["complete", RECORDS]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("in memory, told to block: only the kernel loses, and loss records say how much", async function () {
    needsKernel(this);
    const collector = await RestartedCollector.create();
    try {
      const loop = ["--", trigger("open-loop"), "/nonexistent/x", "100000"];
      const capture = await startOpensCapture(collector.grpcEndpoint, [
        ...[...SMALL, "--ring-bytes", "1MiB", "--shutdown-timeout", "40s", "--status", "100ms"],
        ...loop,
      ]);
      try {
        const { output } = capture;
        // The loop prints its time when it has ended.
        await until(
          () => /^\d+$/m.test(output().stdout),
          () => output().stderr.slice(-2000),
        );
        await collector.start();
        const { code } = await capture.exited;
        assert.equal(code, 0, output().stderr);
        await collector.stop();
        const books = booksOf({ code: 0, ...output() });
        assertBooksBalance(books);
        assert.deepEqual(Object.keys(books[0]?.lost ?? {}), ["ring_full"]);
        assertReported(await verifyStored(collector.stored()), books);
      } finally {
        await capture.stop();
      }
    } finally {
      await collector.remove();
    }
  });
});
