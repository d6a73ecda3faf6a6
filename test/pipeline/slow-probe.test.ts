/** A probe at the end of a capture whose time to shut down is over. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { FrameSource } from "../../src/capture/source.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { startReplay } from "../../src/pipeline/capture.ts";

const demo = readFileSync(new URL("../../examples/demo.frames", import.meta.url));

/** Gives its bytes in pieces, one after each wait; `killed` says whether it was ended before. */
class SlowSource implements FrameSource {
  readonly name = "test";
  readonly chunks: AsyncIterable<Buffer>;
  readonly #end = Promise.withResolvers<void>();
  killed = false;

  constructor(pieces: readonly Buffer[], waitMs: number) {
    this.chunks = this.#give(pieces, waitMs);
    this.#end.promise.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#end.promise;
  }

  stop(): void {}

  kill(): void {
    this.killed = true;
    this.#end.reject(new RuntimeEvidenceError("probe-failed", "the probe ended by SIGKILL"));
  }

  async *#give(pieces: readonly Buffer[], waitMs: number): AsyncGenerator<Buffer> {
    for (const piece of pieces) {
      yield piece;
      await Promise.race([sleep(waitMs), this.#end.promise.catch(() => {})]);
      if (this.killed) return;
    }
    this.#end.resolve();
  }
}

function inPieces(count: number): Buffer[] {
  const size = Math.ceil(demo.length / count);
  return Array.from({ length: count }, (_, index) => demo.subarray(index * size, (index + 1) * size));
}

async function replayed(source: SlowSource) {
  const sinks = {
    clock: "boot" as const,
    otlp: "discard" as const,
    withExtensions: false,
    delivery: { queue: {} },
    report: () => {},
  };
  const running = await startReplay(source, { sinks, shutdownTimeoutMs: 10 }, () => {});
  running.stop();
  const startedMs = performance.now();
  const { damage } = await running.result;
  return { damage, tookMs: performance.now() - startedMs };
}

describe("a probe at the end", () => {
  it("is waited for as long as it gives something, and its last counts come", async () => {
    const source = new SlowSource(inPieces(8), 400);
    const { damage, tookMs } = await replayed(source);
    assert.ok(tookMs > 2500, `${tookMs} ms: longer than it may be silent`);
    assert.deepEqual([source.killed, damage.finalCounters, damage.failure], [false, true, undefined]);
  });

  it("is ended when it gives nothing any more", async () => {
    const source = new SlowSource(
      [demo.subarray(0, demo.length / 2), demo.subarray(demo.length / 2)],
      60_000,
    );
    const { damage, tookMs } = await replayed(source);
    assert.ok(tookMs > 1500 && tookMs < 5000, `${tookMs} ms`);
    assert.deepEqual([source.killed, damage.finalCounters], [true, false]);
    assert.match(damage.failure?.message ?? "", /SIGKILL/);
  });
});
