/** Every record of a leased request ends in exactly one book, however the request is cut on its way. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { DeadLetter } from "../../src/delivery/dead-letter.ts";
import { type DeliveryOptions, startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import type { SealedRequest, SendOutcome } from "../../src/delivery/outcome.ts";
import type { Settlement } from "../../src/delivery/settlement.ts";
import { ACCEPTED, ScriptedSender, sealed, sealedRecords, sequencesIn } from "./sealed.ts";

const FAST = { initialMs: 1, maxMs: 2, jitter: 0 };
const TOO_LARGE: SendOutcome = { kind: "too-large", reason: "http 413" };

/** Delivers until the queue is empty, or is stopped. */
async function deliver(
  requests: readonly SealedRequest[],
  answer: ConstructorParameters<typeof ScriptedSender>[0],
  more: Partial<DeliveryOptions> = {},
  drainTimeoutMs = 5000,
) {
  const queue = createMemoryQueue();
  for (const request of requests) await queue.offer(request);
  const sender = new ScriptedSender(answer);
  const settled: Settlement[] = [];
  const lines: string[] = [];
  const delivery = startDelivery({
    ...{ queue, sender, retry: FAST, requestsInFlight: 1 },
    ...{ onSettled: (settlement) => settled.push(settlement), report: (line) => lines.push(line) },
    ...more,
  });
  const result = await delivery.drain(drainTimeoutMs);
  return { sender, settled, lines, result, counters: delivery.counters() };
}

class RememberingDeadLetter implements DeadLetter {
  readonly kept: { sequences: number[]; reason: string }[] = [];
  closed = false;

  async append({ body }: SealedRequest, reason: string): Promise<boolean> {
    this.kept.push({ sequences: sequencesIn(body), reason });
    return true;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

describe("what became of a request", () => {
  it("is told once, with the request that was leased", async () => {
    const request = sealedRecords(10);
    const { settled } = await deliver([request], async () => ACCEPTED);
    assert.equal(settled.length, 1);
    assert.equal(settled[0]?.request, request);
    assert.deepEqual(
      { ...settled[0], request: undefined },
      {
        ...{ request: undefined, acceptedRecords: 10, rejectedRecords: 0, lost: new Map() },
        ...{ lostSequences: [], keptRecords: 0, message: "" },
      },
    );
  });

  it("names the lost records when the request is lost as a whole", async () => {
    const refuse = async (): Promise<SendOutcome> => ({
      kind: "permanent",
      reason: "http 400",
      message: "no",
    });
    const { settled } = await deliver([sealedRecords(10, { first: 91 })], refuse);
    assert.deepEqual(settled[0]?.lost, new Map([["refused", 10]]));
    assert.deepEqual(settled[0]?.lostSequences, [{ first: 91, last: 100 }]);
    assert.equal(settled[0]?.message, "http 400: no");
  });

  it("sends each record once to a collector that takes little at a time, and cuts the next ones before", async () => {
    const requests = [sealedRecords(64), sealedRecords(64, { first: 65 })];
    const limit = 3000;
    const { sender, settled, counters } = await deliver(requests, async ({ body }) =>
      body.length > limit ? TOO_LARGE : ACCEPTED,
    );
    const arrived = sender.sent
      .filter(({ body }) => body.length <= limit)
      .flatMap(({ body }) => sequencesIn(body));
    assert.deepEqual(
      arrived,
      Array.from({ length: 128 }, (_, index) => index + 1),
    );
    assert.deepEqual(
      settled.map(({ acceptedRecords }) => acceptedRecords),
      [64, 64],
    );
    const secondRequest = sender.sent.slice(sender.sent.findIndex(({ body }) => sequencesIn(body)[0] === 65));
    assert.ok(
      secondRequest.every(({ body }) => body.length <= limit),
      "the limit is known by now",
    );
    assert.equal(counters.recordsAccepted, 128);
    assert.ok(counters.requestsSplit > 0 && counters.requestsLost === 0);
  });

  it("finds the one record that never fits, names it, and puts it into the dead letter", async () => {
    const request = sealedRecords(40, {
      pathBytes: (index) => (index === 17 ? 5000 : 20),
      twoResources: true,
    });
    const deadLetter = new RememberingDeadLetter();
    const { settled, lines } = await deliver(
      [request],
      async ({ body }) => (body.length > 4000 ? TOO_LARGE : ACCEPTED),
      { deadLetter },
    );
    assert.equal(settled[0]?.acceptedRecords, 39);
    assert.deepEqual(settled[0]?.lost, new Map([["too_large", 1]]));
    assert.deepEqual(settled[0]?.lostSequences, [{ first: 18, last: 18 }]);
    assert.deepEqual(deadLetter.kept, [{ sequences: [18], reason: "too_large: http 413" }]);
    assert.equal(deadLetter.closed, true);
    assert.ok(
      lines.includes("lost 1 records: too_large: http 413; kept in the dead letter"),
      lines.join("\n"),
    );
  });

  it("counts what the dead letter could not keep as lost all the same", async () => {
    const deadLetter: DeadLetter = { append: async () => false, close: async () => {} };
    const refuse = async (): Promise<SendOutcome> => ({ kind: "permanent", reason: "http 400" });
    const { counters, lines } = await deliver([sealedRecords(5)], refuse, { deadLetter });
    assert.deepEqual([counters.recordsDeadLettered, counters.recordsLost.get("refused")], [0, 5]);
    assert.deepEqual(lines, ["lost 5 records: refused: http 400"]);
  });

  it("loses a request whole that cannot be cut, because its records cannot be told apart", async () => {
    const { settled } = await deliver([sealed(100, 7)], async () => TOO_LARGE);
    assert.deepEqual(settled[0]?.lost, new Map([["too_large", 7]]));
  });

  it("tells how far it came when it is stopped in the middle, and leaves the request in the queue", async () => {
    const request = sealedRecords(8);
    let accepted = 0;
    const { settled, result } = await deliver(
      [request],
      async ({ body, recordCount }, _attempt, signal) => {
        if (recordCount > 4) return TOO_LARGE;
        if (accepted++ === 0) return ACCEPTED;
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        return { kind: "retryable", reason: `aborted ${body.length}` };
      },
      {},
      100,
    );
    assert.deepEqual([settled[0]?.acceptedRecords, settled[0]?.keptRecords], [4, 4]);
    assert.deepEqual(result, { delivered: false, recordsLeft: 8 });
  });

  it("adds up for every collector that there can be", async () => {
    const outcome = fc.oneof(
      { weight: 4, arbitrary: fc.constant<SendOutcome>(ACCEPTED) },
      fc.constant<SendOutcome>({ kind: "permanent", reason: "http 400" }),
      fc.constant<SendOutcome>(TOO_LARGE),
      fc.constant<SendOutcome>({ kind: "retryable", reason: "timeout", timedOut: true }),
      fc.constant<SendOutcome>({ kind: "retryable", reason: "http 503" }),
      fc.nat(20).map((rejectedRecords): SendOutcome => ({ kind: "accepted", rejectedRecords, message: "" })),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
        fc.array(outcome, { maxLength: 40 }),
        async (counts, outcomes) => {
          let first = 1;
          const requests = counts.map((count) => {
            const request = sealedRecords(count, { first, pathBytes: () => 2000, twoResources: true });
            first += count;
            return request;
          });
          const arrived: number[] = [];
          const refused: number[] = [];
          const { settled, counters } = await deliver(requests, async ({ body }) => {
            const answer = outcomes.shift() ?? ACCEPTED;
            if (answer.kind === "accepted") arrived.push(...sequencesIn(body));
            if (answer.kind === "permanent") refused.push(...sequencesIn(body));
            return answer;
          });
          assert.equal(settled.length, requests.length);
          for (const {
            request,
            acceptedRecords,
            rejectedRecords,
            lost,
            lostSequences,
            keptRecords,
          } of settled) {
            const lostRecords = [...lost.values()].reduce((sum, count) => sum + count, 0);
            assert.equal(acceptedRecords + rejectedRecords + lostRecords, request.recordCount);
            assert.equal(keptRecords, 0);
            const named = lostSequences.reduce((sum, range) => sum + range.last - range.first + 1, 0);
            assert.equal(named, lostRecords);
          }
          const sum = (pick: (settlement: Settlement) => number) =>
            settled.reduce((total, settlement) => total + pick(settlement), 0);
          assert.equal(
            counters.recordsAccepted,
            sum(({ acceptedRecords }) => acceptedRecords),
          );
          assert.equal(
            counters.recordsRejected,
            sum(({ rejectedRecords }) => rejectedRecords),
          );
          assert.equal(new Set(arrived).size, arrived.length, "no record arrives twice");
          assert.equal(arrived.length, counters.recordsAccepted + counters.recordsRejected);
          assert.equal(counters.recordsLost.get("refused") ?? 0, refused.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
