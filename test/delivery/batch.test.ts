import assert from "node:assert/strict";
import { createBatch, type Schedule, type SealReason } from "../../src/delivery/batch.ts";

/** A clock of one timer, moved by hand. */
function handClock() {
  let pending: { action: () => void; delayMs: number } | undefined;
  const schedule: Schedule = (action, delayMs) => {
    assert.equal(pending, undefined, "a batch needs one timer only");
    pending = { action, delayMs };
    return () => {
      pending = undefined;
    };
  };
  return {
    schedule,
    delayMs: () => pending?.delayMs,
    fire: () => {
      const due = pending;
      pending = undefined;
      due?.action();
    },
  };
}

function batchUnderTest(limits: { bytesMax?: number; ageMaxMs?: number; marginBytes?: number } = {}) {
  const seals: SealReason[] = [];
  const clock = handClock();
  const batch = createBatch({ ...limits, schedule: clock.schedule, seal: (reason) => seals.push(reason) });
  return { batch, seals, clock };
}

describe("a batch", () => {
  it("is sealed by bytes while another append still fits below the limit", () => {
    const { batch, seals, clock } = batchUnderTest({ bytesMax: 1000, marginBytes: 100 });
    batch.grown(899);
    assert.deepEqual(seals, []);
    batch.grown(900);
    assert.deepEqual(seals, ["bytes"]);
    assert.equal(clock.delayMs(), undefined, "its timer ends with it");
  });

  it("is sealed by age, counted from its first record", () => {
    const { batch, seals, clock } = batchUnderTest({ ageMaxMs: 250 });
    batch.grown(10);
    batch.grown(20);
    assert.equal(clock.delayMs(), 250);
    clock.fire();
    assert.deepEqual(seals, ["age"]);
    batch.grown(10);
    assert.equal(clock.delayMs(), 250, "the next batch has its own age");
  });

  it("holds the defaults of 3.5 MiB and 1 s", () => {
    const { batch, seals, clock } = batchUnderTest();
    batch.grown(3.4 * 1024 * 1024);
    assert.deepEqual(seals, []);
    assert.equal(clock.delayMs(), 1000);
    batch.grown(3.5 * 1024 * 1024);
    assert.deepEqual(seals, ["bytes"]);
  });

  it("is sealed after every growth when its age is 0", () => {
    const { batch, seals } = batchUnderTest({ ageMaxMs: 0 });
    batch.grown(10);
    batch.grown(10);
    assert.deepEqual(seals, ["age", "age"]);
  });

  it("flushes what is there and nothing else", () => {
    const { batch, seals } = batchUnderTest();
    batch.flush();
    assert.deepEqual(seals, []);
    batch.grown(1);
    batch.flush();
    batch.flush();
    assert.deepEqual(seals, ["flush"]);
  });

  it("says what fits: anything into an empty one, only up to the limit beside others", () => {
    const { batch } = batchUnderTest({ bytesMax: 1000, marginBytes: 0 });
    assert.equal(batch.fits(0, 5000), true);
    batch.grown(600);
    assert.equal(batch.fits(600, 400), true);
    assert.equal(batch.fits(600, 401), false);
  });

  it("is sealed by a real timer when none is given", async () => {
    const reason = await new Promise<SealReason>((resolve) => {
      createBatch({ ageMaxMs: 5, seal: resolve }).grown(1);
    });
    assert.equal(reason, "age");
  });
});
