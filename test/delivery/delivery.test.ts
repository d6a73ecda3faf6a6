import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type DeliveryOptions, startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import type { SealedRequest, SendOutcome } from "../../src/delivery/outcome.ts";
import { ACCEPTED, numbered, ScriptedSender, sealed } from "./sealed.ts";

const FAST = { initialMs: 5, maxMs: 20, jitter: 0 };
const DOWN: SendOutcome = { kind: "retryable", reason: "grpc UNAVAILABLE", message: "down" };

/** Starts a delivery with what is in `requests` already queued. */
async function start(
  requests: readonly SealedRequest[],
  answer: ConstructorParameters<typeof ScriptedSender>[0],
  more: Partial<DeliveryOptions> = {},
) {
  const queue = createMemoryQueue();
  for (const request of requests) await queue.offer(request);
  const sender = new ScriptedSender(answer);
  const lines: string[] = [];
  const delivery = startDelivery({ queue, sender, retry: FAST, report: (line) => lines.push(line), ...more });
  return { queue, sender, delivery, lines };
}

/** An answer that comes only when the attempt is aborted. */
const hang = (_request: SealedRequest, _attempt: number, signal: AbortSignal) =>
  new Promise<SendOutcome>((resolve) => {
    signal.addEventListener("abort", () => resolve({ kind: "retryable", reason: "aborted" }), { once: true });
  });

describe("delivery", () => {
  it("delivers everything, in order with one request in flight, and closes what it owns", async () => {
    const requests = [1, 2, 3, 4, 5].map(numbered);
    const { delivery, sender, queue } = await start(requests, async () => ACCEPTED, { requestsInFlight: 1 });
    assert.deepEqual(await delivery.drain(1000), { delivered: true, recordsLeft: 0 });
    assert.deepEqual(sender.sent, requests);
    assert.equal(delivery.counters().recordsAccepted, 5);
    assert.equal(delivery.counters().bytesAccepted, 5);
    assert.equal(sender.closed, true);
    await assert.rejects(queue.offer(numbered(9)), /closed/);
  });

  for (const requestsInFlight of [1, 4, 7]) {
    it(`has at most ${requestsInFlight} requests in flight, and uses them`, async () => {
      const requests = Array.from({ length: 30 }, (_, index) => numbered(index));
      const slow = () => sleep(5, ACCEPTED);
      const { delivery, sender } = await start(requests, slow, { requestsInFlight });
      await delivery.drain(2000);
      assert.equal(sender.inFlightMax, requestsInFlight);
      assert.equal(sender.sent.length, 30);
    });
  }

  it("sends a request again, the same bytes, until it is accepted", async () => {
    const { delivery, sender } = await start([sealed(100, 3)], async (_request, attempt) =>
      attempt < 5 ? DOWN : ACCEPTED,
    );
    await delivery.drain(2000);
    assert.equal(sender.sent.length, 5);
    assert.equal(new Set(sender.sent).size, 1);
    const counters = delivery.counters();
    assert.deepEqual([counters.recordsAccepted, counters.retries, counters.requestsLost], [3, 4, 0]);
  });

  it("waits as long as the collector asks for, with all its requests", async () => {
    const times: number[] = [];
    const { delivery } = await start(
      [numbered(1), numbered(2)],
      async () => {
        times.push(performance.now());
        return times.length === 1 ? { ...DOWN, delayMs: 150 } : ACCEPTED;
      },
      { requestsInFlight: 1 },
    );
    await delivery.drain(2000);
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 149, `${times}`);
    assert.equal(times.length, 3);
  });

  it("counts partial success as rejected, never more than was sent, and says it", async () => {
    const { delivery, lines } = await start([sealed(10, 8), sealed(11, 2)], async (request) => ({
      kind: "accepted",
      rejectedRecords: request.recordCount === 8 ? 3 : 1_000_000,
      message: "too old",
    }));
    await delivery.drain(1000);
    const { recordsAccepted, recordsRejected } = delivery.counters();
    assert.deepEqual([recordsAccepted, recordsRejected], [5, 5]);
    assert.equal(lines[0], "collector rejected 3 of 8 records: too old");
  });

  it("counts what will never be accepted as lost by reason, and goes on", async () => {
    const outcomes: SendOutcome[] = [
      { kind: "permanent", reason: "http 400", message: "no" },
      { kind: "too-large", reason: "http 413" },
      { kind: "permanent", reason: "http 400", message: "no" },
      ACCEPTED,
    ];
    const requests = [sealed(10, 1), sealed(11, 2), sealed(12, 4), sealed(13, 8)];
    const { delivery, lines } = await start(requests, async () => outcomes.shift() ?? ACCEPTED, {
      requestsInFlight: 1,
    });
    assert.deepEqual(await delivery.drain(1000), { delivered: true, recordsLeft: 0 });
    const counters = delivery.counters();
    assert.deepEqual(
      [...counters.recordsLost],
      [
        ["refused", 5],
        ["too_large", 2],
      ],
    );
    assert.equal(counters.recordsAccepted, 8);
    assert.equal(counters.requestsLost, 3);
    assert.deepEqual(lines, ["lost 1 records: refused: http 400: no", "lost 2 records: too_large: http 413"]);
  });

  it("gives a request up once it is older than maxAgeMs, and only then", async () => {
    // Before it is sealed: its age is counted from there.
    const startedMs = performance.now();
    const { delivery } = await start([sealed(10, 6)], async () => DOWN, { retry: { ...FAST, maxAgeMs: 60 } });
    await delivery.drain(5000);
    assert.ok(performance.now() - startedMs >= 59);
    assert.deepEqual([...delivery.counters().recordsLost], [["given_up", 6]]);
  });

  it("counts the age from an earlier run's seal, but always tries once", async () => {
    const hourAgo = (request: SealedRequest) => ({
      ...request,
      sealedAtUnixMs: request.sealedAtUnixMs - 3_600_000,
    });
    const { delivery, sender } = await start(
      [hourAgo(sealed(10, 6)), hourAgo(sealed(11, 3))],
      async (request) => (request.recordCount === 6 ? DOWN : ACCEPTED),
      { retry: { ...FAST, maxAgeMs: 60_000 } },
    );
    await delivery.drain(5000);
    assert.equal(sender.sent.length, 2);
    assert.deepEqual([...delivery.counters().recordsLost], [["given_up", 6]]);
    assert.equal(delivery.counters().recordsAccepted, 3);
  });

  it("lets a request from the future, after the clock was set back, age from its first try", async () => {
    const tomorrow = { ...sealed(10, 6), sealedAtUnixMs: sealed(1).sealedAtUnixMs + 86_400_000 };
    const { delivery } = await start([tomorrow], async () => DOWN, { retry: { ...FAST, maxAgeMs: 60 } });
    assert.deepEqual(await delivery.drain(5000), { delivered: true, recordsLeft: 0 });
    assert.deepEqual([...delivery.counters().recordsLost], [["given_up", 6]]);
  });

  it("never gives up by default, and keeps what is left when a drain runs out of time", async () => {
    const { delivery, queue, sender } = await start([sealed(10, 6), sealed(11, 4)], async () => DOWN);
    assert.deepEqual(await delivery.drain(120), { delivered: false, recordsLeft: 10 });
    assert.ok(sender.sent.length > 4);
    assert.equal(queue.stats().requests, 2);
    assert.equal(delivery.counters().requestsLost, 0);
  });

  it("tries waiting requests at once when it drains", async () => {
    const slowRetry = { initialMs: 60_000, maxMs: 60_000, jitter: 0 };
    const { delivery, sender } = await start(
      [sealed(10, 6)],
      async (_request, attempt) => (attempt === 1 ? DOWN : ACCEPTED),
      { retry: slowRetry },
    );
    while (sender.sent.length === 0) await sleep(1);
    await sleep(10);
    const startedMs = performance.now();
    assert.deepEqual(await delivery.drain(15_000), { delivered: true, recordsLeft: 0 });
    assert.ok(performance.now() - startedMs < 10_000, "it waited for the minute that was to be waited");
  });

  it("stops at once when aborted: attempts are cancelled, requests stay queued", async () => {
    const { delivery, sender, queue } = await start([1, 2, 3, 4, 5, 6].map(numbered), hang);
    while (sender.inFlight < 4) await sleep(1);
    assert.deepEqual(await delivery.abort(), { delivered: false, recordsLeft: 6 });
    assert.equal(sender.inFlight, 0);
    assert.equal(queue.stats().requests, 6);
    assert.equal(sender.closed, true);
  });

  it("stops at once in the middle of a wait the collector asked for", async () => {
    const { delivery, sender } = await start([numbered(1)], async () => ({ ...DOWN, delayMs: 60_000 }));
    while (sender.sent.length === 0) await sleep(1);
    const startedMs = performance.now();
    assert.deepEqual(await delivery.abort(), { delivered: false, recordsLeft: 1 });
    assert.ok(performance.now() - startedMs < 10_000, "it waited for the minute that was asked for");
  });

  it("pushes back on whoever offers while nothing is delivered, and lets go afterwards", async () => {
    let up = false;
    const queue = createMemoryQueue({ bytesMax: 10_000 });
    const sender = new ScriptedSender(async () => (up ? ACCEPTED : DOWN));
    const delivery = startDelivery({ queue, sender, retry: FAST });
    let offered = 0;
    const source = (async () => {
      for (; offered < 100; offered++) await queue.offer(sealed(1000));
    })();
    await sleep(60);
    assert.ok(offered < 10, `${offered} requests of 1 kB were let into 10 kB`);
    assert.ok(queue.stats().bytes <= 10_000);
    up = true;
    await source;
    assert.deepEqual(await delivery.drain(2000), { delivered: true, recordsLeft: 0 });
    assert.equal(delivery.counters().recordsAccepted, 100);
  });

  it("says an outage once per interval, not once per try", async () => {
    const { delivery, lines } = await start([sealed(10, 6)], async () => DOWN, { reportIntervalMs: 60_000 });
    await delivery.drain(100);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? "",
      /^collector: grpc UNAVAILABLE: down; 6 records stay queued, next try in 0\.0 s$/,
    );
  });

  it("shows every attempt to its observer", async () => {
    const seen: [number, string][] = [];
    const { delivery } = await start(
      [sealed(10, 6)],
      async (_request, attempt) => (attempt < 3 ? DOWN : ACCEPTED),
      {
        onAttempt: ({ attempt, outcome, durationMs }) =>
          durationMs >= 0 && seen.push([attempt, outcome.kind]),
      },
    );
    await delivery.drain(1000);
    assert.deepEqual(seen, [
      [1, "retryable"],
      [2, "retryable"],
      [3, "accepted"],
    ]);
  });
});
