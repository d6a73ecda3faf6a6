/** What every delivery queue must do. Each implementation runs this suite on a queue of `bytesMax` bytes. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import type {
  DeliveryQueue,
  DropReason,
  Lease,
  QueueOptions,
  RequestFacts,
} from "../../src/delivery/queue.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { numbered, numberOf, sealed } from "./sealed.ts";

const never = new AbortController().signal;

async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  for (let turns = 0; turns < 3; turns++) await turn();
  return done;
}

async function taken(queue: DeliveryQueue): Promise<Lease> {
  const lease = await queue.take(never);
  assert.ok(lease, "a request should be there to take");
  return lease;
}

/** What a queue said that it dropped: the number of records, which tells the requests apart, and why. */
class Dropped {
  readonly said: string[] = [];
  readonly add = ({ recordCount }: RequestFacts, reason: DropReason) => {
    this.said.push(`${recordCount} ${reason}`);
  };
}

const closedError = (error: unknown) => error instanceof RuntimeEvidenceError && error.code === "limit";

/** Makes an empty queue that holds requests up to `bytesMax` bytes. */
export type CreateQueue = (
  bytesMax: number,
  options?: QueueOptions,
) => DeliveryQueue | Promise<DeliveryQueue>;

/** @param modelRuns how many random orders of events are tried */
export function queueContract(name: string, create: CreateQueue, modelRuns = 200): void {
  describe(`${name} keeps the queue contract`, () => {
    it("gives requests in the order of offers", async () => {
      const queue = await create(100_000);
      for (const number of [1, 2, 3]) await queue.offer(numbered(number));
      for (const number of [1, 2, 3]) assert.equal(numberOf((await taken(queue)).request), number);
    });

    it("counts what is leased until it is acknowledged", async () => {
      const queue = await create(100_000);
      await queue.offer(sealed(1000, 7));
      const before = queue.stats();
      assert.equal(before.requests, 1);
      assert.equal(before.records, 7);
      assert.ok(before.bytes >= 1000);
      const lease = await taken(queue);
      assert.deepEqual(queue.stats(), before);
      lease.acknowledge();
      assert.deepEqual(queue.stats(), { requests: 0, bytes: 0, records: 0 });
    });

    it("gives a released request again, before what was offered later", async () => {
      const queue = await create(100_000);
      for (const number of [1, 2, 3]) await queue.offer(numbered(number));
      const first = await taken(queue);
      const second = await taken(queue);
      second.release();
      first.release();
      for (const number of [1, 2, 3]) assert.equal(numberOf((await taken(queue)).request), number);
    });

    it("hears only the first of acknowledge and release", async () => {
      const queue = await create(100_000);
      await queue.offer(numbered(1));
      const lease = await taken(queue);
      lease.release();
      lease.acknowledge();
      assert.equal(queue.stats().requests, 1);
      const again = await taken(queue);
      again.acknowledge();
      again.acknowledge();
      again.release();
      assert.equal(queue.stats().requests, 0);
    });

    it("makes an offer wait while it is full, and lets it in when there is room", async () => {
      const queue = await create(4_000);
      await queue.offer(sealed(3_000));
      const waiting = queue.offer(sealed(3_000));
      assert.equal(await settled(waiting), false);
      const lease = await taken(queue);
      assert.equal(await settled(waiting), false, "taking is not owning");
      lease.acknowledge();
      await waiting;
      assert.equal(queue.stats().requests, 1);
    });

    it("lets no small offer overtake a large one that waits", async () => {
      const queue = await create(4_000);
      await queue.offer(sealed(2_000));
      const large = queue.offer(sealed(3_000));
      const small = queue.offer(numbered(9));
      assert.equal(await settled(small), false);
      (await taken(queue)).acknowledge();
      await Promise.all([large, small]);
      assert.equal((await taken(queue)).request.body.length, 3_000);
    });

    it("accepts one request larger than its limit, alone", async () => {
      const queue = await create(1_000);
      await queue.offer(numbered(1));
      const large = queue.offer(sealed(50_000));
      assert.equal(await settled(large), false);
      (await taken(queue)).acknowledge();
      await large;
      assert.equal(await settled(queue.offer(numbered(2))), false);
    });

    it("lets a take wait for the next offer, and ends it when aborted", async () => {
      const queue = await create(1_000);
      const abort = new AbortController();
      const aborted = queue.take(abort.signal);
      const served = queue.take(never);
      abort.abort();
      assert.equal(await aborted, undefined);
      await queue.offer(numbered(5));
      assert.equal(numberOf((await served)?.request), 5);
    });

    it("forgets an offer that is aborted while it waits, and serves the one behind it", async () => {
      const queue = await create(4_000);
      await queue.offer(sealed(2_000));
      const abort = new AbortController();
      const aborted = queue.offer(sealed(3_000), abort.signal);
      const behind = queue.offer(numbered(4));
      abort.abort(new Error("enough"));
      await assert.rejects(aborted, /enough/);
      await behind;
      assert.equal(queue.stats().requests, 2);
    });

    it("refuses offers after close, waiting ones included, and still gives what it has", async () => {
      const queue = await create(4_000);
      await queue.offer(sealed(3_000));
      const refused = assert.rejects(queue.offer(sealed(3_000)), closedError);
      queue.close();
      await refused;
      await assert.rejects(queue.offer(numbered(1)), closedError);
      const lease = await taken(queue);
      const next = queue.take(never);
      assert.equal(await settled(next), false, "what is leased can still come back");
      lease.release();
      const again = await next;
      assert.equal(again?.request.body.length, 3_000);
      const last = queue.take(never);
      again?.acknowledge();
      assert.equal(await last, undefined);
    });

    it("drops the oldest that is not leased, when told to, and says which", async () => {
      const dropped = new Dropped();
      const queue = await create(4_000, { whenFull: "drop-oldest", onDropped: dropped.add });
      await queue.offer(sealed(1_000, 1));
      const lease = await taken(queue);
      await queue.offer(sealed(1_000, 2));
      await queue.offer(sealed(1_000, 3));
      await queue.offer(sealed(2_400, 4));
      assert.deepEqual(dropped.said, ["2 queue_full", "3 queue_full"]);
      assert.equal(queue.stats().records, 5);
      await queue.offer(sealed(3_500, 5));
      assert.deepEqual(dropped.said.slice(2), ["5 queue_full"], "what is leased leaves no room for it");
      lease.release();
      assert.equal((await taken(queue)).request.recordCount, 1);
      assert.equal((await taken(queue)).request.recordCount, 4);
    });

    it("drops the newest, when told to, and says which", async () => {
      const dropped = new Dropped();
      const queue = await create(4_000, { whenFull: "drop-newest", onDropped: dropped.add });
      for (const records of [1, 2, 3]) await queue.offer(sealed(1_500, records));
      assert.deepEqual(dropped.said, ["3 queue_full"]);
      (await taken(queue)).acknowledge();
      await queue.offer(sealed(1_500, 4));
      assert.deepEqual(dropped.said, ["3 queue_full"]);
      assert.equal((await taken(queue)).request.recordCount, 2);
      assert.equal((await taken(queue)).request.recordCount, 4);
    });

    it("says of a dropped request what was known of it", async () => {
      let said: RequestFacts | undefined;
      const onDropped = (request: RequestFacts) => {
        said = request;
      };
      const queue = await create(4_000, { whenFull: "drop-oldest", onDropped });
      const facts = {
        recordCount: 12,
        sealedAtUnixMs: 1_700_000_000_000.25,
        streamId: "0123456789abcdef",
        firstSequence: 2 ** 32 - 6,
        lastSequence: 2 ** 32 + 5,
        recordsByProbe: new Map([
          ["file_open", 10],
          ["process_exec", 2],
        ]),
      };
      await queue.offer({ ...facts, body: sealed(3_000).body });
      await queue.offer(sealed(3_000));
      assert.ok(said);
      const { recordCount, sealedAtUnixMs, streamId, firstSequence, lastSequence, recordsByProbe } = said;
      assert.deepEqual(
        { recordCount, sealedAtUnixMs, streamId, firstSequence, lastSequence, recordsByProbe },
        facts,
      );
    });

    it("loses, repeats and reorders nothing under any order of takes, acknowledgements and releases", async () => {
      const step = fc.oneof(
        fc.constant({ do: "offer" as const }),
        fc.constant({ do: "take" as const }),
        fc.record({ do: fc.constantFrom("acknowledge" as const, "release" as const), lease: fc.nat(8) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => runModel(create, steps)),
        {
          numRuns: modelRuns,
        },
      );
    });
  });
}

type Step = { do: "offer" } | { do: "take" } | { do: "acknowledge" | "release"; lease: number };

/** The model: a sorted list of what is ready; the queue must always give its first. */
async function runModel(create: CreateQueue, steps: readonly Step[]): Promise<void> {
  const queue = await create(1_000_000);
  let ready: number[] = [];
  let offered = 0;
  const leases: Lease[] = [];
  for (const step of steps) {
    if (step.do === "offer") {
      await queue.offer(numbered(offered));
      ready.push(offered++);
    } else if (step.do === "take") {
      if (ready.length === 0) continue;
      const lease = await taken(queue);
      assert.equal(numberOf(lease.request), ready.shift());
      leases.push(lease);
    } else {
      const [lease] = leases.splice(step.lease % Math.max(1, leases.length), 1);
      if (lease === undefined) continue;
      if (step.do === "acknowledge") lease.acknowledge();
      else {
        lease.release();
        ready = [...ready, numberOf(lease.request) ?? -1].sort((a, b) => a - b);
      }
    }
    assert.equal(queue.stats().requests, ready.length + leases.length);
  }
}
