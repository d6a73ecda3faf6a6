/**
 * The disk queue against a model of what it promises, under random offers, takes, acknowledgements, releases, kills,
 * power cuts, full disks and failing operations.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { type DiskQueue, openSpoolQueue } from "../../src/delivery/disk-queue.ts";
import type { SealedRequest } from "../../src/delivery/outcome.ts";
import type { Lease, QueueStats, WhenFull } from "../../src/delivery/queue.ts";
import type { SpoolFsync } from "../../src/delivery/spool.ts";
import { decodeSpoolHeader } from "../../src/delivery/spool-file.ts";
import { type DiskOperation, SimulatedDisk } from "./simulated-disk.ts";

const FSYNC_INTERVAL_MS = 2;
const RETRY_MS = 2;
const BODY_BYTES_MAX = 300;

interface Setting {
  readonly fsync: SpoolFsync;
  readonly whenFull: WhenFull;
  readonly bytesMax: number;
  readonly filesMax: number;
  readonly memoryBytesMax: number;
  /** For what a power cut leaves. */
  readonly seed: number;
}

const setting: fc.Arbitrary<Setting> = fc.record({
  fsync: fc.constantFrom("always" as const, "interval" as const, "never" as const),
  whenFull: fc.constantFrom("block" as const, "drop-oldest" as const, "drop-newest" as const),
  bytesMax: fc.constantFrom(500, 2_000, 1_000_000),
  filesMax: fc.constantFrom(3, 1_000),
  memoryBytesMax: fc.constantFrom(0, 400, 1_000_000),
  seed: fc.nat(),
});

const operation = fc.constantFrom<DiskOperation[]>("write", "sync", "rename", "remove", "syncDirectory");
const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "offer" as const }) },
  { weight: 5, arbitrary: fc.constant({ do: "take" as const }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("acknowledge" as const), lease: fc.nat(8) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("release" as const), lease: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.constant({ do: "wait" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const), atOnce: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ do: "cut power" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "end" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fill" as const), roomBytes: fc.nat(600) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("break" as const),
      operation,
      code: fc.constantFrom("EIO", "EACCES", "ENOSPC"),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: "repair" as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The request number `id`: its number of records tells it apart, its body can be foretold. */
function request(id: number): SealedRequest {
  const bytes = (id * 7919) % BODY_BYTES_MAX;
  return {
    body: Buffer.alloc(bytes, id),
    recordCount: id,
    sealedAtUnixMs: id,
    streamId: "ab",
    firstSequence: id,
  };
}

/** Which request a file of the spool holds. */
function recordCountOf(file: Buffer): number {
  const header = decodeSpoolHeader(file, file.length);
  return "damage" in header ? 0 : header.facts.recordCount;
}

/** One run of the real queue beside what is known of each request. */
class Run {
  readonly #setting: Setting;
  readonly #disk = new SimulatedDisk();
  readonly #random: () => number;
  #queue!: DiskQueue;
  #lastId = 0;
  /** In the queue: their offers have resolved, and they are neither acknowledged nor dropped. */
  #alive = new Set<number>();
  /** Offered, and not resolved. */
  #unresolved = new Set<number>();
  #leases: Lease[] = [];
  /** Acknowledged or dropped. */
  #gone = new Set<number>();
  /** Alive and forced to disk. */
  #durable = new Set<number>();
  /** What the queue began with: a power cut can bring back more than there is room for. */
  #found!: QueueStats;
  #broken = false;
  #removeFailed = false;
  /** Another run of the process: what an earlier one says is not heard. */
  #life = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
    let state = setting.seed >>> 0;
    this.#random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
  }

  async start(): Promise<void> {
    const life = ++this.#life;
    this.#queue = await openSpoolQueue(
      {
        ...this.#setting,
        directory: "simulated",
        fsyncIntervalMs: FSYNC_INTERVAL_MS,
        retryMs: RETRY_MS,
        onDropped: ({ recordCount }, reason) => {
          if (life !== this.#life) return;
          if (reason === "damaged") {
            assert.ok(!this.#durable.has(recordCount), `${recordCount} was on disk`);
            return;
          }
          assert.ok(!this.#leases.some((lease) => lease.request.recordCount === recordCount), "leased");
          assert.ok(!this.#gone.has(recordCount), "dropped twice");
          this.#alive.delete(recordCount);
          this.#gone.add(recordCount);
        },
      },
      this.#disk.mount(),
      async () => {},
    );
    this.#found = this.#queue.stats();
  }

  async do(step: Step): Promise<void> {
    if (step.do === "offer") this.#offer();
    else if (step.do === "take") await this.#take();
    else if (step.do === "acknowledge" || step.do === "release") this.#settle(step.do, step.lease);
    else if (step.do === "wait") await this.#wait();
    else if (step.do === "kill") await this.#kill(step.atOnce);
    else if (step.do === "cut power") await this.#cutPower();
    else if (step.do === "end") await this.#end();
    else if (step.do === "fill") this.#disk.bytesMax = this.#disk.usedBytes + step.roomBytes;
    else if (step.do === "break") this.#break(step.operation, step.code);
    else this.#repair();
    await this.#quiet();
    this.#check();
  }

  /** At the end everything that is alive must come out, whole and in order. */
  async finish(): Promise<void> {
    this.#repair();
    for (const lease of this.#leases.splice(0)) lease.release();
    await this.#until(() => this.#unresolved.size === 0 || this.#queue.stats().requests > 0);
    const left: number[] = [];
    while (this.#unresolved.size > 0 || this.#queue.stats().requests > 0) {
      await this.#take();
      const lease = this.#leases.pop();
      assert.ok(lease, "what is in the queue can be taken");
      left.push(lease.request.recordCount);
      this.#acknowledge(lease);
      await this.#quiet();
    }
    assert.deepEqual(
      left,
      left.toSorted((a, b) => a - b),
      "in order",
    );
    assert.equal(this.#alive.size, 0);
    await this.#queue.end();
    if (this.#disk.failures > 0) return;
    const files = [...this.#disk.names.keys()].filter((name) => !name.startsWith("damaged/"));
    assert.deepEqual(files, [], "nothing stays behind");
  }

  #offer(): void {
    const id = ++this.#lastId;
    const life = this.#life;
    this.#unresolved.add(id);
    this.#queue.offer(request(id)).then(
      () => {
        if (life !== this.#life) return;
        this.#unresolved.delete(id);
        if (!this.#gone.has(id)) this.#alive.add(id);
        if (this.#setting.fsync === "always") this.#durable.add(id);
      },
      () => {
        if (life === this.#life) this.#unresolved.delete(id);
      },
    );
  }

  async #take(): Promise<void> {
    const ready = this.#ready();
    const lease = await this.#takeNow();
    if (lease === undefined) {
      assert.deepEqual(ready, [], "there was something to take");
      return;
    }
    const id = lease.request.recordCount;
    // Without a file only where nothing else was there, and then the oldest.
    assert.equal(id, ready[0] ?? Math.min(...this.#unresolved, ...this.#ready()));
    assert.deepEqual({ ...lease.request }, request(id));
    this.#leases.push(lease);
  }

  /** Without waiting for what is not there. */
  async #takeNow(): Promise<Lease | undefined> {
    const abort = new AbortController();
    const taking = this.#queue.take(abort.signal);
    await this.#quiet();
    abort.abort();
    return taking;
  }

  #settle(how: "acknowledge" | "release", index: number): void {
    const [lease] = this.#leases.splice(index % Math.max(1, this.#leases.length), 1);
    if (lease === undefined) return;
    if (how === "release") lease.release();
    else this.#acknowledge(lease);
  }

  #acknowledge(lease: Lease): void {
    lease.acknowledge();
    this.#alive.delete(lease.request.recordCount);
    this.#gone.add(lease.request.recordCount);
  }

  async #kill(atOnce: boolean): Promise<void> {
    if (!atOnce) this.#offer();
    if (!atOnce) for (let turns = Math.floor(this.#random() * 6); turns > 0; turns--) await turn();
    this.#disk.kill();
    await this.#restart(this.#alive, false);
  }

  async #cutPower(): Promise<void> {
    this.#disk.cutPower(this.#random);
    await this.#restart(new Set([...this.#durable].filter((id) => this.#alive.has(id))), true);
  }

  /** What is not acknowledged stays; what waits is refused. */
  async #end(): Promise<void> {
    for (const lease of this.#leases.splice(0)) lease.release();
    await this.#queue.end();
    assert.equal(this.#unresolved.size, 0);
    await this.#restart(this.#alive, false);
  }

  /** @param kept what must be there again */
  async #restart(kept: ReadonlySet<number>, powerCut: boolean): Promise<void> {
    this.#leases = [];
    const before = new Set([...this.#alive, ...this.#unresolved]);
    // The next process finds a disk that can be read and written, or it would not start.
    this.#repair();
    await this.start();
    if (!powerCut) assert.equal(this.#queue.recovered.damagedFiles, 0, "a kill damages nothing");
    const found = new Set(await this.#contents());
    for (const id of kept) assert.ok(found.has(id), `${id} is lost`);
    const mayComeBack = powerCut || this.#removeFailed;
    for (const id of found) assert.ok(before.has(id) || mayComeBack, `${id} came back`);
    this.#alive = new Set(found);
    this.#durable = powerCut ? found : this.#durable;
    this.#unresolved = new Set();
    for (const id of found) this.#gone.delete(id);
    this.#removeFailed = false;
  }

  /** Everything in the queue, in order; afterwards it is there as before. */
  async #contents(): Promise<number[]> {
    const leases: Lease[] = [];
    for (let lease = await this.#takeNow(); lease !== undefined; lease = await this.#takeNow()) {
      assert.deepEqual({ ...lease.request }, request(lease.request.recordCount));
      leases.push(lease);
    }
    assert.equal(leases.length, this.#queue.stats().requests, "what is counted can be taken");
    for (const lease of leases) lease.release();
    const ids = leases.map((lease) => lease.request.recordCount);
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
      "in order",
    );
    return ids;
  }

  /** Until an interval has passed, and everything is on disk where the policy promises it. */
  async #wait(): Promise<void> {
    if (this.#setting.fsync === "never" || this.#broken) return;
    const promised = new Set(this.#alive);
    await this.#until(() => {
      const onDisk = new Set(this.#disk.durableFiles().map(recordCountOf));
      return [...promised].every((id) => onDisk.has(id));
    });
    for (const id of promised) this.#durable.add(id);
  }

  #break(broken: DiskOperation, code: string): void {
    this.#broken = true;
    this.#disk.fault = (operation) => {
      if (operation !== broken) return undefined;
      if (operation === "remove") this.#removeFailed = true;
      return code;
    };
  }

  #repair(): void {
    this.#broken = false;
    this.#disk.fault = () => undefined;
    this.#disk.bytesMax = Number.POSITIVE_INFINITY;
  }

  #ready(): number[] {
    const leased = new Set(this.#leases.map((lease) => lease.request.recordCount));
    return [...this.#alive].filter((id) => !leased.has(id)).sort((a, b) => a - b);
  }

  #check(): void {
    const { requests, bytes, records } = this.#queue.stats();
    const ids = [...this.#alive];
    assert.equal(requests, ids.length, "requests");
    assert.equal(
      records,
      ids.reduce((sum, id) => sum + id, 0),
      "records",
    );
    assert.ok(requests <= 1 || bytes <= Math.max(this.#setting.bytesMax, this.#found.bytes), "bytes");
    assert.ok(requests <= Math.max(this.#setting.filesMax, this.#found.requests), "files");
    assert.ok(this.#queue.spoolStats().memoryBytes <= this.#setting.memoryBytesMax, "memory");
    if (this.#setting.whenFull !== "block") assert.equal(this.#unresolved.size > 1, false, "nobody waits");
  }

  /** Until nothing goes on but timers. */
  async #quiet(): Promise<void> {
    for (let still = 0, turns = 0; still < 6 && turns < 500; turns++) {
      const before = this.#disk.steps;
      await turn();
      still = this.#disk.steps === before ? still + 1 : 0;
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    for (let tries = 0; !condition(); tries++) {
      assert.ok(tries < 500, "took too long");
      await sleep(1);
    }
  }
}

describe("the disk queue and its model", function () {
  this.timeout(60_000);

  it("agree, whatever happens", async () => {
    await fc.assert(
      fc.asyncProperty(setting, fc.array(step, { minLength: 5, maxLength: 50 }), async (setting, steps) => {
        const run = new Run(setting);
        await run.start();
        for (const step of steps) await run.do(step);
        await run.finish();
      }),
      { numRuns: Number(process.env.SPOOL_MODEL_RUNS ?? 200) },
    );
  });
});
