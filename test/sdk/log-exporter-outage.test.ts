import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ExportResultCode } from "@opentelemetry/core";
import { ACCEPTED } from "../delivery/sealed.ts";
import { assertBooks, DOWN, logs, start } from "./exporter-under-test.ts";

describe("the evidence log exporter while the collector is away", () => {
  const small = {
    queueBytesMax: 4000,
    batchBytesMax: 2000,
    handoverBytesMax: 6000,
    retry: { initialMs: 60_000 },
  };

  it("holds the callback back while its queue is full, and lets go when there is room", async () => {
    let down = true;
    const { exporter, give, losses } = start(async () => (down ? DOWN : ACCEPTED), {
      ...small,
      retry: { initialMs: 5, maxMs: 5, jitter: 0 },
      backpressureMaxMs: 60_000,
    });
    assert.equal((await give(logs(10, 0, 300))).code, ExportResultCode.SUCCESS);
    const held = give(logs(8, 10, 300)).then(({ code }) => code);
    assert.equal(await Promise.race([held, sleep(40, "held")]), "held");
    down = false;
    assert.equal(await held, ExportResultCode.SUCCESS);
    await exporter.shutdown();
    assert.equal(exporter.counters().recordsAccepted, 18);
    assert.deepEqual(losses, []);
  });

  it("calls back before the processor's patience is over: the records are taken over already", async () => {
    const { exporter, give } = start(async () => DOWN, { ...small, backpressureMaxMs: 30 });
    await give(logs(10, 0, 300));
    const startedMs = performance.now();
    assert.equal((await give(logs(8, 10, 300))).code, ExportResultCode.SUCCESS);
    const heldMs = performance.now() - startedMs;
    assert.ok(heldMs >= 29 && heldMs < 2000, `${heldMs} ms`);
    await exporter.shutdown();
  });

  it("refuses what it has no room for: FAILED, counted as queue full, and memory stays bounded", async () => {
    const { exporter, give, losses } = start(async () => DOWN, { ...small, backpressureMaxMs: 1 });
    let failed = 0;
    for (let index = 0; index < 50; index++) {
      if ((await give(logs(5, index * 5, 300))).code === ExportResultCode.FAILED) failed += 1;
      assertBooks(exporter);
    }
    const { recordsPending, recordsLost, recordsReceived } = exporter.counters();
    assert.equal(recordsReceived, 250);
    assert.ok(failed > 30, `${failed} exports failed`);
    assert.ok(recordsPending * 300 <= 4000 + 6000 + 2000, `${recordsPending} records are held`);
    assert.deepEqual([...recordsLost.keys()], ["queue_full"]);
    assert.ok(losses.every(({ reason }) => reason === "queue_full"));
    await exporter.shutdown();
    assert.deepEqual([...exporter.counters().recordsLost.keys()], ["queue_full", "undelivered"]);
    assert.equal(exporter.counters().recordsPending, 0);
    assertBooks(exporter);
  });

  it("shuts down within its time, once, and counts what is left as undelivered", async () => {
    const { exporter, give, losses } = start(async () => DOWN, { shutdownTimeoutMs: 50 });
    await give(logs(7));
    const startedMs = performance.now();
    await Promise.all([exporter.shutdown(), exporter.shutdown(), exporter.forceFlush()]);
    assert.ok(performance.now() - startedMs < 1000);
    assert.deepEqual(losses, [{ reason: "undelivered", records: 7 }]);
    assertBooks(exporter);
  });

  it("counts what comes after the shutdown as lost", async () => {
    const { exporter, give, losses } = start(async () => ACCEPTED);
    await exporter.shutdown();
    assert.equal((await give(logs(3))).code, ExportResultCode.FAILED);
    assert.deepEqual(losses, [{ reason: "shut_down", records: 3 }]);
    assertBooks(exporter);
  });
});
