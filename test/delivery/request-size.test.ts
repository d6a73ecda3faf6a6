/** What is learnt about how much a collector takes at a time. */
import assert from "node:assert/strict";
import { PACED_BYTES_MIN, PaceLimit } from "../../src/delivery/pace-limit.ts";
import { SizeLimit } from "../../src/delivery/size-limit.ts";

describe("the size limit that is learnt from refusals", () => {
  it("is none at first, then a little more than half of what was refused last", () => {
    const limit = new SizeLimit(1000, () => 0);
    assert.equal(limit.bytesMax(), Number.POSITIVE_INFINITY);
    limit.refused(1_000_000);
    limit.refused(500_000);
    assert.equal(limit.bytesMax(), 300_000);
  });

  it("learns nothing from requests that were sent against it, such as a single large record", () => {
    const limit = new SizeLimit(1000, () => 0);
    limit.refused(1000);
    limit.refused(900_000);
    assert.equal(limit.bytesMax(), 600);
  });

  it("is tried at its double after a while, until it is none again", () => {
    let nowMs = 0;
    const limit = new SizeLimit(1000, () => nowMs);
    limit.refused(40_000_000);
    nowMs = 999;
    assert.equal(limit.bytesMax(), 24_000_000);
    nowMs = 1000;
    assert.equal(limit.bytesMax(), 48_000_000);
    nowMs = 1999;
    assert.equal(limit.bytesMax(), 48_000_000);
    nowMs = 2000;
    assert.equal(limit.bytesMax(), Number.POSITIVE_INFINITY);
  });
});

describe("the size limit that is learnt from timeouts", () => {
  it("shrinks once for all requests that timed out together, and never to nothing", () => {
    const limit = new PaceLimit();
    for (let count = 0; count < 4; count++) limit.timedOut(3_000_000, 10_000);
    assert.equal(limit.bytesMax, 1_800_000);
    for (let count = 0; count < 40; count++) limit.timedOut(limit.bytesMax, 10_000);
    assert.equal(limit.bytesMax, PACED_BYTES_MIN);
  });

  it("grows only while answers come in a quarter of the timeout, so that it does not swing", () => {
    const limit = new PaceLimit();
    limit.timedOut(3_000_000, 10_000);
    limit.accepted(2_501);
    assert.equal(limit.bytesMax, 1_800_000);
    limit.accepted(2_499);
    assert.equal(limit.bytesMax, 3_600_000);
    for (let count = 0; count < 20; count++) limit.accepted(1);
    assert.equal(limit.bytesMax, Number.POSITIVE_INFINITY);
  });
});
