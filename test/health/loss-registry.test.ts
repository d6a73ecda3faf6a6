/** Every loss is reported once, at most one record per stream, reason and probe and interval, and none is forgotten. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Loss, LossRegistry, OTHER_STREAMS, PROBE_DOWN } from "../../src/health/loss-registry.ts";
import type { LossRecord } from "../../src/otlp/loss-record.ts";

const HOUR_NS = 3_600_000_000_000n;
const START_NS = 1_760_000_000_000_000_000n;

const keyOf = ({ streamId = "own", reason, probe }: { streamId?: string; reason: string; probe: string }) =>
  `${streamId} ${reason} ${probe}`;

const loss = (count: number | bigint, more: Partial<Loss> = {}): Loss => ({
  reason: "ring_full",
  probe: "file_open",
  count,
  firstTimeUnixNano: START_NS,
  lastTimeUnixNano: START_NS + 1n,
  ...more,
});

/** Sums of count by key. */
function sums(
  losses: Iterable<{ streamId?: string; reason: string; probe: string; count: number | bigint }>,
) {
  const byKey = new Map<string, bigint>();
  for (const one of losses) byKey.set(keyOf(one), (byKey.get(keyOf(one)) ?? 0n) + BigInt(one.count));
  return byKey;
}

type Step =
  | { kind: "add"; loss: Loss }
  | { kind: "take"; afterMs: number }
  | { kind: "settle"; pick: number; delivered: boolean };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("add" as const),
      loss: fc
        .record({
          reason: fc.constantFrom("ring_full", "queue_full"),
          probe: fc.constantFrom("file_open", "tcp_state"),
          count: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.bigInt({ min: 1n, max: 2n ** 60n })),
          // The clock steps by hours, in both directions.
          at: fc.bigInt({ min: -9n, max: 9n }),
          streamId: fc.constantFrom("own", "earlier"),
        })
        .map(({ at, ...rest }) => ({
          ...rest,
          firstTimeUnixNano: START_NS + at * HOUR_NS,
          lastTimeUnixNano: START_NS - at * HOUR_NS,
        })),
    }),
    fc.record({ kind: fc.constant("take" as const), afterMs: fc.integer({ min: 0, max: 150 }) }),
    fc.record({ kind: fc.constant("settle" as const), pick: fc.nat(), delivered: fc.boolean() }),
  ),
  { maxLength: 120 },
);

describe("the loss registry", () => {
  it("reports every loss exactly once in the end, whatever becomes of the reports", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 5 }), (plan, reportsMax) => {
        const registry = new LossRegistry({ streamId: "own", intervalMs: 100, reportsMax });
        const added: Loss[] = [];
        const underWay: LossRecord[] = [];
        const delivered: LossRecord[] = [];
        const takenAtMs = new Map<string, number>();
        let nowMs = 0;
        for (const step of plan) {
          if (step.kind === "add") {
            registry.add(step.loss);
            added.push(step.loss);
          } else if (step.kind === "take") {
            nowMs += step.afterMs;
            const taken = registry.take(nowMs);
            for (const report of taken) {
              const before = takenAtMs.get(keyOf(report));
              assert.ok(before === undefined || nowMs - before >= 100, "one per interval");
              takenAtMs.set(keyOf(report), nowMs);
              assert.ok(report.firstTimeUnixNano <= report.lastTimeUnixNano);
            }
            underWay.push(...taken);
            assert.ok(underWay.length <= reportsMax);
          } else if (underWay.length > 0) {
            const [report] = underWay.splice(step.pick % underWay.length, 1) as [LossRecord];
            if (step.delivered) {
              registry.delivered(report);
              delivered.push(report);
            } else registry.undelivered(report);
          }
        }
        for (const report of underWay) registry.undelivered(report);
        for (let rest = registry.takeAll(); rest.length > 0; rest = registry.takeAll()) {
          for (const report of rest) registry.delivered(report);
          delivered.push(...rest);
        }
        assert.equal(registry.pending, 0);
        assert.deepEqual(sums(delivered), sums(added));
        const ids = delivered.map(({ lossId }) => lossId).sort((a, b) => a - b);
        assert.deepEqual(
          ids,
          ids.map((_, index) => index + 1),
          "each number once, without gaps",
        );
      }),
    );
  });

  it("covers the whole time of what it gathers, and starts anew when it was taken", () => {
    const registry = new LossRegistry({ streamId: "own", intervalMs: 10 });
    registry.add(loss(1, { firstTimeUnixNano: START_NS + 5n, lastTimeUnixNano: START_NS + 9n }));
    registry.add(loss(2, { firstTimeUnixNano: START_NS - HOUR_NS, lastTimeUnixNano: START_NS + 1n }));
    const [first] = registry.take(0);
    assert.deepEqual(
      [first?.count, first?.firstTimeUnixNano, first?.lastTimeUnixNano],
      [3n, START_NS - HOUR_NS, START_NS + 9n],
    );
    registry.add(loss(4, { firstTimeUnixNano: START_NS + 20n, lastTimeUnixNano: START_NS + 20n }));
    assert.deepEqual(registry.take(9), []);
    const [second] = registry.take(10);
    assert.deepEqual([second?.count, second?.firstTimeUnixNano], [4n, START_NS + 20n]);
  });

  it("takes a report that did not arrive again, the same one, before newer losses", () => {
    const registry = new LossRegistry({ streamId: "own", intervalMs: 10 });
    registry.add(loss(1));
    const [report] = registry.take(0);
    registry.add(loss(2));
    registry.undelivered(report as LossRecord);
    registry.undelivered(report as LossRecord);
    assert.equal(registry.pending, 2);
    assert.deepEqual(registry.take(10), [report]);
    registry.delivered(report as LossRecord);
    registry.undelivered(report as LossRecord);
    assert.deepEqual(
      registry.take(20).map(({ count, lossId }) => [count, lossId]),
      [[2n, 2]],
    );
  });

  it("reports a time without a probe although nobody can count it, and nothing for nothing", () => {
    const registry = new LossRegistry({ streamId: "own" });
    registry.add(loss(0));
    assert.equal(registry.pending, 0);
    registry.add(loss(0, { reason: PROBE_DOWN, lastTimeUnixNano: START_NS + HOUR_NS }));
    const [report] = registry.take(0);
    assert.deepEqual([report?.count, report?.lastTimeUnixNano], [0n, START_NS + HOUR_NS]);
    assert.throws(() => registry.add(loss(-1)), RangeError);
  });

  it("keeps few ranges of sequence numbers, and never says that more were lost than there are", () => {
    const registry = new LossRegistry({ streamId: "own", rangesMax: 3 });
    const at = (first: number, last: number) => ({ first, last, count: last - first + 1 });
    for (const first of [2 ** 40, 1, 11, 101, 201]) {
      registry.add(loss(5, { reason: "queue_full", sequences: [at(first, first + 4)] }));
    }
    // Twice the same: more than all of it cannot be lost.
    registry.add(loss(5, { reason: "queue_full", sequences: [at(201, 205)] }));
    const [report] = registry.take(0);
    assert.deepEqual(report?.sequences, [
      { first: 1, last: 105, count: 15 },
      at(201, 205),
      at(2 ** 40, 2 ** 40 + 4),
    ]);
  });

  it("joins ranges that touch, so that an outage is one range", () => {
    const registry = new LossRegistry({ streamId: "own" });
    for (let first = 1; first < 10_000; first += 100) {
      const count = first % 200 === 1 ? 60 : 100;
      registry.add(loss(count, { reason: "queue_full", sequences: [{ first, last: first + 99, count }] }));
    }
    assert.deepEqual(registry.take(0)[0]?.sequences, [{ first: 1, last: 10_000, count: 8000 }]);
  });

  it("counts further streams together when too many have losses", () => {
    const registry = new LossRegistry({ streamId: "own", streamsMax: 2, intervalMs: 10 });
    const sequences = [{ first: 1, last: 1, count: 1 }];
    for (const streamId of ["a", "b", "c", "d", "own"]) {
      registry.add(loss(1, { streamId, reason: "damaged", sequences }));
    }
    const reports = registry.take(0);
    assert.deepEqual(
      reports.map(({ streamId, count, sequences: { length } }) => [streamId, count, length]),
      [
        ["a", 1n, 1],
        ["b", 1n, 1],
        [OTHER_STREAMS, 2n, 0],
        ["own", 1n, 1],
      ],
    );
    for (const report of reports) registry.delivered(report);
    registry.take(20);
    registry.add(loss(1, { streamId: "c", reason: "damaged", sequences }));
    assert.deepEqual(
      registry.take(40).map(({ streamId }) => streamId),
      ["c"],
      "there is room again",
    );
  });
});
