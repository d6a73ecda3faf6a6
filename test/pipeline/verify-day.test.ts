/**
 * A day of overload in simulated time: clocks step by hours, the machine is suspended, numbers pass 2^32, reports are
 * lost and the probe dies. At the end the books, the loss records and verify agree to the event.
 */
import assert from "node:assert/strict";
import { CaptureClock } from "../../src/frames/clock.ts";
import { Ledger, type ProbeBalance } from "../../src/health/ledger.ts";
import { lossDelta, requestLosses } from "../../src/health/loss.ts";
import { LossRegistry, PROBE_DOWN } from "../../src/health/loss-registry.ts";
import { streamCountsOf } from "../../src/health/stream-counts.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { encodeLossRecord, type LossRecord } from "../../src/otlp/loss-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { encodeStreamRecord } from "../../src/otlp/stream-record.ts";
import { identify, StreamVerifier } from "../../src/pipeline/stream-verifier.ts";
import { verdictOf } from "../../src/pipeline/verdict.ts";

const STEP_MS = 20_000;
const STEPS = (24 * 3_600_000) / STEP_MS;
/** Events of a step that get a number, 5.2 · 10^9 in a day: all but a few are dropped from the full queue. */
const NUMBERED_PER_STEP = 1_200_000;
const DELIVERED_PER_STEP = 3;
const RING_FULL_PER_STEP = 1_400_000n;
const HOUR_NS = 3_600_000_000_000n;
const NS_PER_MS = 1_000_000n;

/** Small, even, and the same in every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

class SimulatedDay {
  readonly ledger = new Ledger(["file_open"]);
  readonly verifier = new StreamVerifier();
  readonly registry = new LossRegistry({ streamId: "day", intervalMs: STEP_MS, rangesMax: 4 });
  probeDownNs = 0n;
  sequence = 0;
  readonly #random = createRandom(20_261_123);
  readonly #resources = createResourceSource({ "service.name": "day" });
  readonly #builder = new RequestBuilder();
  readonly #clock = new CaptureClock("boot");
  #balances: ProbeBalance[] = [];
  #kernel = { seen: 0n, emitted: 0n, filtered: 0n, lost: new Map([["ring_full", 0n]]) };
  #monotonicMs = 0;
  #suspendedNs = 0n;
  #wallOffsetNs = 1_760_000_000_000_000_000n;
  #lastLookNs = this.#wallNs();

  run(): void {
    this.#stream("start");
    for (let step = 0; step < STEPS; step++) this.#step(step);
    this.ledger.close(true);
    this.#look();
    this.#report(this.registry.takeAll(), true);
    this.#stream("end");
    this.#send();
  }

  /** What a wall clock shows; steps of it and suspends are in the offset. */
  #wallNs(): bigint {
    return BigInt(this.#monotonicMs) * NS_PER_MS + this.#suspendedNs + this.#wallOffsetNs;
  }

  #step(step: number): void {
    this.#monotonicMs += STEP_MS;
    // Somebody sets the clock, by up to twelve hours in either direction.
    if (this.#random() < 0.01) this.#wallOffsetNs += BigInt(Math.floor(24 * this.#random()) - 12) * HOUR_NS;
    // A suspend: boot time and wall clock go on, the monotonic clock stands still; the probe measures anew.
    if (this.#random() < 0.01) this.#suspendedNs += HOUR_NS;
    this.#clock.set(this.#wallOffsetNs);
    if (step % 1000 === 999) this.#killProbe();
    this.#capture();
    this.#look();
    this.#report(this.registry.take(this.#monotonicMs), false);
    this.#send();
  }

  /** Events of one step: some in the ring's way, most dropped from the queue, few delivered. */
  #capture(): void {
    const kernel = this.#kernel;
    const numbered = BigInt(NUMBERED_PER_STEP);
    const ringFull = (kernel.lost.get("ring_full") as bigint) + RING_FULL_PER_STEP;
    this.#kernel = {
      seen: kernel.seen + numbered + RING_FULL_PER_STEP,
      emitted: kernel.emitted + numbered,
      filtered: 0n,
      lost: new Map([["ring_full", ringFull]]),
    };
    this.ledger.kernel("file_open", this.#kernel);
    this.ledger.received("file_open", NUMBERED_PER_STEP);
    const dropped = NUMBERED_PER_STEP - DELIVERED_PER_STEP;
    const window = { firstTimeUnixNano: this.#lastLookNs, lastTimeUnixNano: this.#wallNs() };
    const request = {
      recordCount: dropped,
      streamId: "day",
      firstSequence: this.sequence + 1,
      lastSequence: this.sequence + dropped,
      recordsByProbe: new Map([["file_open", dropped]]),
    };
    this.sequence += dropped;
    for (const loss of requestLosses(request, { lost: new Map([["queue_full", dropped]]), window })) {
      this.registry.add(loss);
    }
    this.ledger.lost("file_open", "queue_full", dropped);
    for (let count = 0; count < DELIVERED_PER_STEP; count++) this.#event();
    this.ledger.exported("file_open", DELIVERED_PER_STEP);
  }

  #event(): void {
    const bootNs = BigInt(this.#monotonicMs) * NS_PER_MS + this.#suspendedNs;
    encodeRecord(
      this.#builder,
      { ts_ns: bootNs, src: "x", pid: 1, comm: "c", event: { type: "file_open", path: "/a" } },
      {
        resources: this.#resources,
        timeUnixNano: this.#clock.wall(bootNs),
        observedTimeUnixNano: this.#wallNs(),
        streamId: "day",
        sequence: ++this.sequence,
      },
    );
  }

  #killProbe(): void {
    // 17 events were in the pipe.
    this.#kernel = {
      ...this.#kernel,
      seen: this.#kernel.seen + 17n,
      emitted: this.#kernel.emitted + 17n,
    };
    this.ledger.kernel("file_open", this.#kernel);
    const firstTimeUnixNano = this.#wallNs();
    this.#monotonicMs += 2000;
    const lastTimeUnixNano = this.#wallNs();
    this.probeDownNs += lastTimeUnixNano - firstTimeUnixNano;
    this.registry.add({
      reason: PROBE_DOWN,
      probe: "file_open",
      count: 0,
      firstTimeUnixNano,
      lastTimeUnixNano,
    });
  }

  #look(): void {
    const balances = this.ledger.balances();
    const window = { firstTimeUnixNano: this.#lastLookNs, lastTimeUnixNano: this.#wallNs() };
    for (const loss of lossDelta(this.#balances, balances, window)) this.registry.add(loss);
    this.#balances = balances;
    this.#lastLookNs = window.lastTimeUnixNano;
  }

  #report(losses: readonly LossRecord[], isEnd: boolean): void {
    for (const loss of losses) {
      assert.ok(loss.firstTimeUnixNano <= loss.lastTimeUnixNano);
      encodeLossRecord(this.#builder, loss, this.#context());
      // Now and then nobody knows whether it arrived: it did, and is reported once more.
      if (!isEnd && this.#random() < 0.05) this.registry.undelivered(loss);
      else this.registry.delivered(loss);
    }
  }

  #stream(state: "start" | "end"): void {
    const context = this.#context();
    const counts = state === "end" ? streamCountsOf(this.ledger.balances()) : [];
    encodeStreamRecord(
      this.#builder,
      { streamId: "day", state, lastSequence: context.sequence, counts, timeUnixNano: this.#wallNs() },
      context,
    );
  }

  #context() {
    return {
      resource: this.#resources.resourceFor(undefined, undefined),
      observedTimeUnixNano: this.#wallNs(),
      streamId: "day",
      sequence: ++this.sequence,
    };
  }

  #send(): void {
    const { body } = this.#builder.seal();
    for (const record of decodeRequest(body)) {
      if (record.attributes.has("file.path")) assert.equal(record.timeUnixNano, record.observedTimeUnixNano);
      this.verifier.take(identify(record));
    }
  }
}

describe("a day of overload", () => {
  it("is accounted for to the event, whatever the clocks did", function () {
    this.timeout(60_000);
    const day = new SimulatedDay();
    day.run();
    const [report] = day.verifier.reports(5);
    assert.ok(report);
    const steps = BigInt(STEPS);
    assert.ok(day.sequence > 2 ** 32 && steps * RING_FULL_PER_STEP > 2n ** 32n, "past 2^32");
    assert.equal(verdictOf([report]), "accounted");
    assert.equal(report.records, STEPS * DELIVERED_PER_STEP);
    assert.equal(report.lastSequence, day.sequence);
    assert.equal(report.missing, STEPS * (NUMBERED_PER_STEP - DELIVERED_PER_STEP));
    assert.deepEqual(report.explained, new Map([["queue_full", report.missing]]));
    assert.equal(report.unexplained, 0);
    assert.equal(report.lostButReceived, 0);
    const unnumbered = new Map(report.unnumbered.map(({ reason, count }) => [reason, count]));
    assert.deepEqual(
      unnumbered,
      new Map([
        ["ring_full", steps * RING_FULL_PER_STEP],
        ["not_received", 4n * 17n],
      ]),
    );
    assert.deepEqual([report.probeDownTimes, report.probeDownNs], [4, day.probeDownNs]);
    const [balance] = day.ledger.balances();
    assert.equal(balance?.pending, 0n);
    assert.equal(balance?.exported, BigInt(report.records));
    assert.equal(balance?.lostTotal, BigInt(report.missing) + steps * RING_FULL_PER_STEP + 4n * 17n);
  });
});
