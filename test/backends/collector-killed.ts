/** The real Collector, killed again and again while evidence flows to it at full speed. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertBooksBalance, booksOf, CLI, trigger } from "../kernel/live.ts";
import { type StartedProcess, startProcess } from "../process.ts";
import {
  assertReported,
  exportSummary,
  madeRecords,
  onlyStream,
  startExporter,
  type Verified,
  verifyStored,
} from "./exporter-run.ts";
import { RestartedCollector } from "./restarted-collector.ts";

/** `--in-flight` by default. */
const IN_FLIGHT = 4;
/** A record takes some 250 bytes of a request of 3.5 MiB; this is more than any request holds. */
const REQUEST_RECORDS_MAX = 25_000;
/** What a Collector has stored before it is killed: it is in the midst of it. */
const FLOWING_BYTES = 8 * 1024 * 1024;

/** Everything came, and no more came twice than was in flight at a kill. */
function assertComplete(verified: Verified, records: number, kills: number): void {
  const stream = onlyStream(verified);
  const { state, missing, unexplained } = stream;
  assert.deepEqual(
    { verdict: verified.verdict, state, missing, unexplained, records: stream.records },
    { verdict: "complete", state: "ended", missing: 0, unexplained: 0, records },
  );
  assertFewDuplicates(verified, kills);
}

function assertFewDuplicates(verified: Verified, kills: number): void {
  const { duplicates } = onlyStream(verified);
  assert.ok(duplicates <= kills * IN_FLIGHT * REQUEST_RECORDS_MAX, `${duplicates} duplicates`);
}

/** `export` of made records; the kills come evenly spread over them. */
export async function surviveKillsOfExport(records: number, kills: number): Promise<void> {
  const collector = await RestartedCollector.create();
  try {
    await collector.start();
    let read = 0;
    const input = madeRecords(records, (count) => {
      read = count;
    });
    const exporter = await startExporter(["--otlp-endpoint", collector.grpcEndpoint], input);
    try {
      for (let kill = 1; kill <= kills; kill++) {
        while (read < (records * kill) / (kills + 1)) await sleep(5);
        await collector.kill();
        await collector.start();
      }
      const { code } = await exporter.exited;
      assert.equal(code, 0, exporter.output().stderr);
    } finally {
      await exporter.stop();
    }
    await collector.stop();
    const { exported, lost } = exportSummary(exporter);
    assert.deepEqual({ exported, lost }, { exported: records, lost: {} });
    assertComplete(await verifyStored(collector.stored(".jsonl")), records, kills);
    assertComplete(await verifyStored(collector.stored(".binpb")), records, kills);
  } finally {
    await collector.remove();
  }
}

/** A live capture of a loop of opens. What the kernel could not keep meanwhile is counted, and reported to the event. */
export async function surviveKillsOfCapture(opens: number, kills: number): Promise<void> {
  const collector = await RestartedCollector.create();
  try {
    await collector.start();
    const capture = await startLoop(collector.grpcEndpoint, opens);
    let ended = false;
    void capture.exited.then(() => {
      ended = true;
    });
    try {
      for (let kill = 1; kill <= kills; kill++) {
        while (!ended && collector.storedBytes() < FLOWING_BYTES) await sleep(5);
        assert.ok(!ended, `ended before kill ${kill}: it takes more opens`);
        await collector.kill();
        await collector.start();
      }
      const { code } = await capture.exited;
      assert.equal(code, 0, capture.output().stderr);
    } finally {
      await capture.stop();
    }
    await collector.stop();
    const books = booksOf({ code: 0, ...capture.output() });
    assertBooksBalance(books);
    const verified = await verifyStored(collector.stored());
    assertReported(verified, books);
    assertFewDuplicates(verified, kills);
  } finally {
    await collector.remove();
  }
}

function startLoop(endpoint: string, opens: number): Promise<StartedProcess> {
  const sink = ["--otlp-protocol", "grpc", "--otlp-endpoint", endpoint, "--summary", "json"];
  const loop = [trigger("open-loop"), "/nonexistent/x", String(opens)];
  return startProcess({
    command: process.execPath,
    args: [CLI, "capture", "--events", "file_open", ...sink, "--", ...loop],
    stopTimeoutMs: 60_000,
  });
}
