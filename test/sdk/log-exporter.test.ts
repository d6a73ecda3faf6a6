import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ExportResultCode } from "@opentelemetry/core";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import { createEvidenceLogExporter, RuntimeEvidenceError } from "../../src/index.ts";
import { ACCEPTED } from "../delivery/sealed.ts";
import { until } from "../process.ts";
import { assertBooks, bodies, DOWN, log, logs, numbers, start } from "./exporter-under-test.ts";

describe("the evidence log exporter", () => {
  it("puts what is exported one after another into one request, and counts it", async () => {
    const { exporter, sender, give } = start(async () => ACCEPTED);
    for (let index = 0; index < 10; index++) {
      assert.equal((await give(logs(3, index * 3))).code, ExportResultCode.SUCCESS);
    }
    await exporter.forceFlush();
    assert.equal(sender.sent.length, 1);
    assert.deepEqual(bodies(sender.sent), numbers(30));
    assert.equal(sender.sent[0]?.recordCount, 30);
    assert.equal(exporter.counters().recordsAccepted, 30);
    assert.equal(exporter.counters().bytesAccepted, sender.sent[0]?.body.byteLength);
    assertBooks(exporter);
    await exporter.shutdown();
    assert.equal(sender.closed, true);
  });

  it("sends a batch when it is old enough, without a flush", async () => {
    const { exporter, sender, give } = start(async () => ACCEPTED, { batchAgeMaxMs: 20 });
    await give(logs(2));
    assert.equal(sender.sent.length, 0);
    await until(
      () => sender.sent.length > 0,
      () => "a batch",
    );
    assert.deepEqual(bodies(sender.sent), numbers(2));
    await exporter.shutdown();
  });

  it("splits by bytes, and lets a single larger record go alone", async () => {
    const { exporter, sender, give } = start(async () => ACCEPTED, {
      batchBytesMax: 5000,
      requestsInFlight: 1,
    });
    await give([...logs(40, 0, 300), ...logs(1, 40, 20_000), ...logs(5, 41, 300)]);
    await exporter.forceFlush();
    assert.deepEqual(bodies(sender.sent), numbers(46));
    const sizes = sender.sent.map(({ body }) => body.byteLength);
    assert.equal(sizes.filter((size) => size > 5000).length, 1);
    assert.ok(sizes.length >= 4 && sizes.length <= 12, `${sizes}`);
    assert.deepEqual(
      sender.sent.filter(({ body }) => body.byteLength > 5000).map((request) => request.recordCount),
      [1],
    );
    await exporter.shutdown();
  });

  it("delivers through an outage, with SUCCESS long before it ends", async () => {
    let down = true;
    const { exporter, sender, give, losses } = start(async () => (down ? DOWN : ACCEPTED), {
      flushTimeoutMs: 5000,
    });
    assert.equal((await give(logs(5))).code, ExportResultCode.SUCCESS);
    const flushed = exporter.forceFlush().then(() => "flushed");
    assert.equal(await Promise.race([flushed, sleep(50, "waiting")]), "waiting");
    assert.equal(exporter.counters().recordsPending, 5);
    assertBooks(exporter);
    down = false;
    assert.equal(await flushed, "flushed");
    assert.equal(exporter.counters().recordsAccepted, 5);
    assert.ok(exporter.counters().retries > 0);
    assert.equal(new Set(sender.sent).size, 1);
    assert.deepEqual(losses, []);
    await exporter.shutdown();
  });

  it("forceFlush waits for the acknowledgement of everything exported before, and not for what comes later", async () => {
    let release = (_: SendOutcome) => {};
    const gate = new Promise<SendOutcome>((resolve) => {
      release = resolve;
    });
    const { exporter, give } = start((request) => (request.recordCount === 2 ? gate : sleep(1, ACCEPTED)), {
      flushTimeoutMs: 5000,
    });
    await give(logs(3));
    await exporter.forceFlush();
    assert.equal(exporter.counters().recordsAccepted, 3);
    await give(logs(2));
    const flushed = exporter.forceFlush().then(() => "flushed");
    assert.equal(await Promise.race([flushed, sleep(30, "waiting")]), "waiting");
    release(ACCEPTED);
    assert.equal(await flushed, "flushed");
    assert.equal(exporter.counters().recordsPending, 0);
    await exporter.shutdown();
  });

  it("forceFlush gives up after its timeout, says so, and the records stay on their way", async () => {
    let down = true;
    const { exporter, give, lines } = start(async () => (down ? DOWN : ACCEPTED), { flushTimeoutMs: 30 });
    await give(logs(4));
    await exporter.forceFlush();
    assert.equal(exporter.counters().recordsPending, 4);
    assert.ok(
      lines.some((line) => /^4 log records are not delivered after 30 ms of flushing$/.test(line)),
      `${lines}`,
    );
    down = false;
    await exporter.shutdown();
    assert.equal(exporter.counters().recordsAccepted, 4);
  });

  it("calls back with success only when the collector has the records, if asked to", async () => {
    const outcomes: SendOutcome[] = [
      ACCEPTED,
      { kind: "permanent", reason: "http 400" },
      { kind: "accepted", rejectedRecords: 1, message: "" },
    ];
    const { exporter, give, losses } = start(async () => sleep(20, outcomes.shift() ?? ACCEPTED), {
      successWhen: "acknowledged",
      batchAgeMaxMs: 60_000,
    });
    const startedMs = performance.now();
    assert.equal((await give(logs(2))).code, ExportResultCode.SUCCESS);
    assert.ok(performance.now() - startedMs >= 19);
    for (const _ of [1, 2]) {
      const { code, error } = await give(logs(2));
      assert.equal(code, ExportResultCode.FAILED);
      assert.ok(error instanceof RuntimeEvidenceError && error.code === "delivery-failed");
    }
    assert.deepEqual(
      losses.map(({ reason, records }) => [reason, records]),
      [
        ["refused", 2],
        ["rejected", 1],
      ],
    );
    assert.equal(exporter.counters().recordsAccepted, 3);
    assertBooks(exporter);
    await exporter.shutdown();
  });

  it("tells each loss once, with its reason, and keeps the others", async () => {
    const { exporter, give, losses, lines } = start(
      async (request) =>
        request.recordCount === 1 ? { kind: "too-large", reason: "http 413", message: "too big" } : ACCEPTED,
      { batchBytesMax: 1000 },
    );
    await give([...logs(3), ...logs(1, 3, 3000)]);
    await exporter.forceFlush();
    assert.deepEqual(losses, [{ reason: "too_large", records: 1, message: "http 413: too big" }]);
    assert.equal(exporter.counters().recordsAccepted, 3);
    assert.deepEqual([...exporter.counters().recordsLost], [["too_large", 1]]);
    assert.equal(lines.filter((line) => /^lost 1 records?: .*http 413/.test(line)).length, 1, `${lines}`);
    assertBooks(exporter);
    await exporter.shutdown();
  });

  it("counts a record that cannot be serialized as lost, and delivers its neighbours", async () => {
    const { exporter, sender, give, losses } = start(async () => ACCEPTED);
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const poison = log("poison", { cyclic } as unknown as ReadableLogRecord["attributes"]);
    assert.equal((await give([...logs(5), poison, ...logs(5, 5)])).code, ExportResultCode.FAILED);
    await exporter.forceFlush();
    assert.deepEqual(bodies(sender.sent), numbers(10));
    assert.deepEqual(
      losses.map(({ reason, records }) => [reason, records]),
      [["not_serializable", 1]],
    );
    assertBooks(exporter);
    await exporter.shutdown();
  });

  it("goes on when whoever listens to losses throws", async () => {
    const { exporter, give } = start(
      async (_, attempt) => (attempt > 0 ? { kind: "permanent", reason: "http 400" } : ACCEPTED),
      {
        onLoss: () => {
          throw new Error("a bug of the listener");
        },
      },
    );
    await give(logs(1));
    await exporter.forceFlush();
    await give(logs(1));
    await exporter.forceFlush();
    assert.deepEqual([...exporter.counters().recordsLost], [["refused", 2]]);
    await exporter.shutdown();
  });
});

describe("createEvidenceLogExporter()", () => {
  it("refuses options that make no sense, without showing secrets", () => {
    for (const options of [
      { queueBytesMax: 0 },
      { flushTimeoutMs: Number.NaN },
      { endpoint: "ftp://host" },
      { timeoutMs: -1 },
      { batchAgeMaxMs: 0.5 },
      { headers: { "bad name": "secret" } },
    ]) {
      assert.throws(
        () => createEvidenceLogExporter({ environment: {}, ...options }),
        (thrown) => {
          assert.ok(thrown instanceof RuntimeEvidenceError);
          assert.equal(thrown.code, "usage");
          assert.doesNotMatch(thrown.message, /secret/);
          return true;
        },
      );
    }
  });

  it("says what it ignores of the environment", async () => {
    const lines: string[] = [];
    const environment = { OTEL_EXPORTER_OTLP_TIMEOUT: "soon" };
    const exporter = createEvidenceLogExporter({ environment, report: (line) => lines.push(line) });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^OTEL_EXPORTER_OTLP_TIMEOUT is ignored/);
    await exporter.shutdown();
  });
});
