/** Losses are found to the event: in the books between two looks, and in requests that did not arrive. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type ExportLossReason, Ledger, type ProbeBalance } from "../../src/health/ledger.ts";
import { isNumberedLoss, lossDelta, requestLosses } from "../../src/health/loss.ts";
import { streamCountsOf } from "../../src/health/stream-counts.ts";

const WINDOW = { firstTimeUnixNano: 1n, lastTimeUnixNano: 2n };

const kernel = (counts: { seen: bigint; emitted: bigint; ring_full: bigint }) => ({
  seen: counts.seen,
  emitted: counts.emitted,
  filtered: 0n,
  lost: new Map([["ring_full", counts.ring_full]]),
});

const total = (losses: readonly { count: number | bigint }[]) =>
  losses.reduce((sum, { count }) => sum + BigInt(count), 0n);

describe("losses between two looks at the books", () => {
  it("are what was lost before it had a number, exactly, counters beyond 2^53 included", () => {
    const ledger = new Ledger(["file_open", "tcp_state"]);
    ledger.kernel("file_open", kernel({ seen: 2n ** 63n, emitted: 5n, ring_full: 2n ** 63n - 5n }));
    const before = ledger.balances();
    ledger.kernel("file_open", kernel({ seen: 2n ** 63n + 9n, emitted: 7n, ring_full: 2n ** 63n + 2n }));
    ledger.kernel("tcp_state", kernel({ seen: 1n, emitted: 0n, ring_full: 1n }));
    ledger.received("file_open");
    ledger.lost("file_open", "malformed", 1);
    ledger.lost("file_open", "queue_full", 4);
    assert.deepEqual(lossDelta(before, ledger.balances(), WINDOW), [
      { reason: "ring_full", probe: "file_open", count: 7n, ...WINDOW },
      { reason: "malformed", probe: "file_open", count: 1n, ...WINDOW },
      { reason: "ring_full", probe: "tcp_state", count: 1n, ...WINDOW },
    ]);
    assert.deepEqual(lossDelta(ledger.balances(), ledger.balances(), WINDOW), []);
  });

  it("add up to the books, whenever one looks", () => {
    const life = fc.array(
      fc.record({
        emitted: fc.nat(20),
        ringFull: fc.nat(20),
        read: fc.nat(20),
        look: fc.boolean(),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(life, (steps) => {
        const ledger = new Ledger(["file_open"]);
        let before: ProbeBalance[] = [];
        let reported = 0n;
        const look = () => {
          const after = ledger.balances();
          reported += total(lossDelta(before, after, WINDOW));
          before = after;
        };
        const probe = { emitted: 0n, ring_full: 0n, unread: 0 };
        let read = 0;
        for (const step of steps) {
          probe.emitted += BigInt(step.emitted);
          probe.ring_full += BigInt(step.ringFull);
          probe.unread += step.emitted;
          ledger.kernel("file_open", kernel({ seen: probe.emitted + probe.ring_full, ...probe }));
          for (let count = Math.min(step.read, probe.unread); count > 0; count--) {
            ledger.received("file_open");
            ledger.exported("file_open", 1);
            probe.unread--;
            read++;
          }
          if (step.look) look();
        }
        ledger.close(true);
        look();
        const [balance] = ledger.balances();
        assert.equal(balance?.pending, 0n);
        assert.equal(balance?.exported, BigInt(read));
        assert.equal(reported, balance?.lostTotal);
      }),
    );
  });
});

describe("losses of a request", () => {
  const request = {
    recordCount: 10,
    streamId: "s",
    firstSequence: 101,
    lastSequence: 110,
    recordsByProbe: new Map([
      ["file_open", 6],
      ["control", 1],
      ["tcp_state", 3],
    ]),
  };
  const summary = (losses: ReturnType<typeof requestLosses>) =>
    losses.map(({ reason, probe, count, sequences }) => [
      `${reason} ${probe} ${count}`,
      ...(sequences ?? []).map(({ first, last, count: lost }) => `${first}-${last}:${lost}`),
    ]);

  it("that is lost as a whole name its range once per probe", () => {
    assert.deepEqual(
      summary(requestLosses(request, { lost: new Map([["queue_full", 10]]), window: WINDOW })),
      [
        ["queue_full file_open 6", "101-110:6"],
        ["queue_full control 1", "101-110:1"],
        ["queue_full tcp_state 3", "101-110:3"],
      ],
    );
  });

  it("that is lost in part name the numbers that are lost, and of rejected ones the request", () => {
    const lost = new Map<ExportLossReason, number>([
      ["too_large", 2],
      ["refused", 5],
      ["rejected", 1],
    ]);
    const lostSequences = [
      { first: 102, last: 104 },
      { first: 106, last: 109 },
    ];
    assert.deepEqual(summary(requestLosses(request, { lost, lostSequences, window: WINDOW })), [
      ["too_large file_open 2", "102-103:2"],
      ["refused file_open 4", "104-104:1", "106-108:3"],
      ["refused control 1", "109-109:1"],
      ["rejected tcp_state 1", "101-110:1"],
    ]);
  });

  it("without a stream are counted all the same", () => {
    assert.deepEqual(requestLosses({ recordCount: 3 }, { lost: new Map([["refused", 3]]), window: WINDOW }), [
      { reason: "refused", probe: "unknown", count: 3, ...WINDOW },
    ]);
  });

  it("are as many as were lost, and each number is named once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(4), { maxLength: 3 }),
        (perProbe, shares) => {
          const recordCount = perProbe.reduce((sum, count) => sum + count, 0);
          const lost = new Map<ExportLossReason, number>();
          let left = recordCount;
          for (const [index, reason] of (["refused", "too_large", "given_up"] as const).entries()) {
            const count = Math.min(left, shares[index] ?? 0);
            if (count > 0) lost.set(reason, count);
            left -= count;
          }
          const lostCount = recordCount - left;
          const losses = requestLosses(
            {
              recordCount,
              streamId: "s",
              firstSequence: 1,
              lastSequence: recordCount,
              recordsByProbe: new Map(perProbe.map((count, index) => [`p${index}`, count])),
            },
            {
              lost,
              lostSequences: Array.from({ length: lostCount }, (_, index) => ({
                first: index + 1,
                last: index + 1,
              })),
              window: WINDOW,
            },
          );
          assert.equal(total(losses), BigInt(lostCount));
          for (const { reason, count, sequences } of losses) {
            assert.ok(isNumberedLoss(reason));
            assert.equal(total(sequences ?? []), BigInt(count));
          }
        },
      ),
    );
  });
});

describe("the final counts of a stream", () => {
  it("say how many events got a sequence number, whatever became of them then", () => {
    const ledger = new Ledger(["file_open"]);
    ledger.kernel("file_open", kernel({ seen: 2n ** 60n, emitted: 8n, ring_full: 2n ** 60n - 8n }));
    for (let count = 0; count < 7; count++) ledger.received("file_open");
    ledger.lost("file_open", "malformed", 1);
    ledger.lost("file_open", "queue_full", 2);
    ledger.exported("file_open", 3);
    ledger.close(true);
    const lost = new Map([
      ["ring_full", 2n ** 60n - 8n],
      ["malformed", 1n],
      ["not_received", 1n],
    ]);
    assert.deepEqual(streamCountsOf(ledger.balances()), [
      { probe: "file_open", seen: 2n ** 60n, recorded: 6n, filtered: 0n, lost },
    ]);
  });
});
