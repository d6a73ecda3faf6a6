import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { until } from "../process.ts";
import { type BackgroundCapture, needsKernel, startCapture, trigger } from "./live.ts";

const run = promisify(execFile);
/** No other test opens these. */
const FLOODED = `/nonexistent-${process.pid}`;
const FLOOD = ["--events", "file_open", "--path", FLOODED];

async function opens(path: string, count: number): Promise<void> {
  await run(trigger("open-loop"), [`${FLOODED}/${path}`, String(count)]);
}

/** The program is itself loaded by opens. */
function flooded(records: readonly EvidenceRecord[]): number {
  return records.filter(({ event }) => "path" in event && event.path.startsWith(FLOODED)).length;
}

async function killPump(capture: BackgroundCapture): Promise<void> {
  process.kill(Number(await capture.pump()), "SIGKILL");
}

describe("a probe that is killed or stopped", function () {
  this.timeout(60_000);
  before(function () {
    needsKernel(this);
  });

  it("in a flood: what it had taken is counted, and the capture goes on", async () => {
    // Room for the whole flood: on a busy machine the opens afterwards would not fit behind it.
    const capture = await startCapture([...FLOOD, "--ring-bytes", "64MiB"]);
    const flood = opens("flood", 150_000);
    await sleep(100);
    await killPump(capture);
    await flood;
    await opens("afterwards", 1000);
    const { code, books, records, stderr } = await capture.stop();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the pump was killed by signal 9; a new one goes on where it was/);
    const [book] = books;
    assert.ok(book !== undefined && BigInt(book.seen) >= 151_000n, JSON.stringify(books));
    assert.equal(records.length, Number(book.exported));
    const afterwards = records.filter(({ event }) => "path" in event && event.path.endsWith("/afterwards"));
    assert.equal(afterwards.length, 1000);
    for (const reason of Object.keys(book.lost)) assert.match(reason, /^(not_received|ring_full)$/);
  });

  it("while nothing happens: nothing is lost, and a recording stays whole", async () => {
    const capture = await startCapture(FLOOD);
    await opens("before", 100);
    await until(
      () => capture.written() === 100,
      () => capture.said(),
    );
    await killPump(capture);
    await opens("between", 100);
    await opens("after", 100);
    const { books, records } = await capture.stop();
    assert.equal(flooded(records), 300);
    assert.deepEqual(books[0]?.lost, {});
  });

  it("for good after three new starts, with the books of what came before", async () => {
    const capture = await startCapture(FLOOD);
    await opens("before", 100);
    for (let kills = 1; kills <= 4; kills++) {
      await killPump(capture);
      await until(
        () => (capture.said().match(/^probe: the pump was killed by signal 9/gm)?.length ?? 0) === kills,
        () => `kill ${kills}: ${capture.said()}`,
      );
    }
    await capture.exited;
    const { code, books, records, stderr } = await capture.stop();
    assert.equal(code, 6, stderr);
    assert.match(stderr, /error: the probe ended with exit code 1: the pump was killed by signal 9/);
    assert.equal(records.length, Number(books[0]?.exported));
  });

  it("its keeper alone: the capture goes on, and says what it lacks", async () => {
    const capture = await startCapture(FLOOD);
    process.kill(Number(capture.keeper), "SIGKILL");
    await until(
      () => capture.said().includes("keeper was killed by SIGKILL"),
      () => capture.said(),
    );
    await opens("orphaned", 1000);
    const { code, books, records, stderr } = await capture.stop();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /keeper was killed by SIGKILL/);
    assert.equal(flooded(records), 1000);
    assert.deepEqual(books[0]?.lost, {});
  });

  it("stopped for seconds: the ring fills, what does not fit is counted, and it goes on", async () => {
    const capture = await startCapture([...FLOOD, "--ring-bytes", "1MiB"]);
    const pump = Number(await capture.pump());
    process.kill(pump, "SIGSTOP");
    await opens("stopped", 100_000);
    process.kill(pump, "SIGCONT");
    await sleep(500);
    await opens("continued", 1000);
    const { code, books, records, stderr } = await capture.stop();
    assert.equal(code, 0, stderr);
    const lost = Number(books[0]?.lost.ring_full);
    assert.ok(lost > 50_000 && lost < 100_000, JSON.stringify(books));
    assert.equal(flooded(records) + lost, 101_000);
  });
});
