import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import {
  assertBooksBalance,
  type Books,
  booksOf,
  childOf,
  needsKernel,
  pumpOf,
  runCli,
  trigger,
} from "../kernel/live.ts";
import { freePorts, isAlive, type StartedProcess, until } from "../process.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import { openDirectory, startOpensCapture, verifyStored } from "./exporter-run.ts";
import { RestartedCollector } from "./restarted-collector.ts";

const OPENS = 20_000;
/** Other tests open files, too. */
const PATH = `/nonexistent/shutdown-${process.pid}/`;
/** After the time to shut down is over: what is sealed still goes to the spool, and processes end. */
const MARGIN_MS = 3000;

describe("a capture that is told to end while no collector answers", function () {
  this.timeout(60_000);
  let directory: string;
  let deadEndpoint: string;
  let running: StartedProcess | undefined;
  const spooling = (): string[] => ["--queue", "disk", "--spool-dir", join(directory, "spool")];

  before(async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    needsKernel(this);
    directory = openDirectory();
    deadEndpoint = `http://127.0.0.1:${(await freePorts(1))[0]}`;
  });
  after(() => rmSync(directory, { recursive: true }));
  afterEach(async () => {
    await running?.stop();
  });

  async function captureOpens(args: readonly string[]): Promise<StartedProcess> {
    running = await startOpensCapture(deadEndpoint, ["--path", PATH, ...args]);
    execFileSync(trigger("open-loop"), [`${PATH}x`, String(OPENS)]);
    return running;
  }

  /** Resolves with how long the end took, from the last signal on. */
  async function end(capture: StartedProcess, ...signals: NodeJS.Signals[]): Promise<number> {
    for (const signal of signals) {
      process.kill(capture.pid, signal);
      // Two at once are one.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const startedMs = performance.now();
    await capture.exited;
    return performance.now() - startedMs;
  }

  function booksAtEnd(capture: StartedProcess): Books {
    const books = booksOf({ code: 0, ...capture.output() });
    assertBooksBalance(books);
    return books[0] as Books;
  }

  /** The next run, of which nothing else is known, delivers what is there. */
  async function deliverRest(): Promise<Awaited<ReturnType<typeof verifyStored>>> {
    const collector = await RestartedCollector.create();
    try {
      await collector.start();
      const args = ["--path", "/nonexistent/none", ...spooling()];
      running = await startOpensCapture(collector.grpcEndpoint, args);
      assert.deepEqual(await running.stop(), { code: 0, signal: null }, running.output().stderr);
      await collector.stop();
      return await verifyStored(collector.stored());
    } finally {
      await collector.remove();
    }
  }

  it("SIGTERM: ends in time, the rest is in the spool, and the next run delivers it", async () => {
    const capture = await captureOpens([...spooling(), "--shutdown-timeout", "1s"]);
    const tookMs = await end(capture, "SIGTERM");
    assert.ok(tookMs < 1000 + MARGIN_MS, `${tookMs} ms`);
    assert.deepEqual(await capture.exited, { code: 0, signal: null });
    const { spooled, exported, lost } = booksAtEnd(capture);
    assert.deepEqual([spooled, exported, lost], [String(OPENS), "0", {}]);

    const { verdict, streams, summary } = await deliverRest();
    assert.equal(verdict, "complete", summary);
    assert.deepEqual(streams.map(({ records }) => records).toSorted(), [0, OPENS]);
  });

  it("SIGTERM with the queue in memory: what can't be delivered is counted, and the exit code says so", async () => {
    const capture = await captureOpens(["--shutdown-timeout", "1s"]);
    const tookMs = await end(capture, "SIGTERM");
    assert.ok(tookMs < 1000 + MARGIN_MS, `${tookMs} ms`);
    assert.deepEqual(await capture.exited, { code: 5, signal: null });
    assert.deepEqual(booksAtEnd(capture).lost, { undelivered: String(OPENS) });
  });

  it("a second signal: ends at once, and the spool is whole", async () => {
    const capture = await captureOpens([...spooling(), "--shutdown-timeout", "1h"]);
    const tookMs = await end(capture, "SIGTERM", "SIGTERM");
    assert.ok(tookMs < 3000, `${tookMs} ms`);
    assert.deepEqual(await capture.exited, { code: 0, signal: null });
    assert.equal(booksAtEnd(capture).spooled, String(OPENS));

    const { verdict, streams, summary } = await deliverRest();
    assert.equal(verdict, "complete", summary);
    assert.deepEqual(streams.map(({ records }) => records).toSorted(), [0, OPENS]);
  });

  it("with a probe that is stopped: it is not waited for beyond the timeout, and the stream says that it is not known what it held", async () => {
    const capture = await captureOpens([...spooling(), "--shutdown-timeout", "1s"]);
    const keeper = Number(childOf(capture.pid));
    const pump = Number(await pumpOf(keeper));
    for (const pid of [pump, keeper]) process.kill(pid, "SIGSTOP");
    const tookMs = await end(capture, "SIGTERM");
    assert.ok(tookMs < 1000 + MARGIN_MS, `${tookMs} ms`);
    assert.deepEqual(await capture.exited, { code: 6, signal: null });
    booksAtEnd(capture);
    // What was stopped is gone, too.
    for (const pid of [pump, keeper]) {
      await until(
        () => !isAlive(pid),
        () => `the end of ${pid}`,
      );
    }
    // What it held in the kernel's ring nobody has counted, and that is known.
    const { verdict, streams, summary } = await deliverRest();
    assert.equal(verdict, "accounted", summary);
    assert.deepEqual(streams.map(({ probeDownTimes }) => probeDownTimes).toSorted(), [0, 1]);
  });

  it("with a full spool on a machine that has no time for it: the probe's last counts are waited for", async () => {
    const full = [...spooling(), "--spool-bytes", "1MiB", "--batch-bytes", "256KiB"];
    const capture = await startOpensCapture(deadEndpoint, [
      "--path",
      PATH,
      ...full,
      "--shutdown-timeout",
      "1s",
    ]);
    running = capture;
    // Less than the others here, who are to have as much as ever.
    setPriority(capture.pid, 10);
    const loops = Array.from({ length: 4 }, () => {
      return spawn("nice", ["-n", "5", process.execPath, "-e", "for (;;);"], { stdio: "ignore" });
    });
    try {
      const opens = 3 * OPENS;
      execFileSync(trigger("open-loop"), [`${PATH}x`, String(opens)]);
      await end(capture, "SIGTERM");
      const { code } = await capture.exited;
      assert.equal(code, 5, capture.output().stderr);
      const { seen, spooled, filtered, lost } = booksAtEnd(capture);
      assert.equal(Number(seen) - Number(filtered), opens);
      assert.ok(Number(spooled) > 0 && Number(lost.undelivered) > 0, JSON.stringify(lost));
    } finally {
      for (const loop of loops) loop.kill("SIGKILL");
    }
    const { verdict, streams, summary } = await deliverRest();
    assert.equal(verdict, "accounted", summary);
    assert.deepEqual(
      streams.map(({ state, probeDownTimes, unexplained }) => [state, probeDownTimes, unexplained]),
      streams.map(() => ["ended", 0, 0]),
    );
  });

  it("a second exporter on its spool is refused with one line", async () => {
    const capture = await captureOpens([...spooling(), "--shutdown-timeout", "1s"]);
    const second = await runCli(["capture", "--otlp-endpoint", deadEndpoint, ...spooling()]);
    assert.match(second.stderr, new RegExp(`^error: [^\\n]*spool[^\\n]*${capture.pid}[^\\n]*\\n$`));
    assert.equal(second.code, 3);
    await end(capture, "SIGTERM");
    assert.equal(booksAtEnd(capture).spooled, String(OPENS));
  });
});
