import assert from "node:assert/strict";
import fc from "fast-check";
import { EPOCH_FROM_NS, readRecordTime } from "../../src/otlp/record-clock.ts";

const BOOT = 1_737_800_000_000_000_000n;

describe("the clock of a record", () => {
  it("is the epoch's from 1e18 up, and else since boot, when nobody says", () => {
    assert.deepEqual(readRecordTime(1_737_890_000_123_456_789n, "auto", BOOT), {
      clock: "realtime",
      timeUnixNano: 1_737_890_000_123_456_789n,
    });
    assert.deepEqual(readRecordTime(81_234_567_890_123, "auto", BOOT), {
      clock: "boot",
      timeUnixNano: BOOT + 81_234_567_890_123n,
    });
    assert.equal(readRecordTime(EPOCH_FROM_NS - 1n, "auto", BOOT).clock, "boot");
    assert.equal(readRecordTime(EPOCH_FROM_NS, "auto", BOOT).clock, "realtime");
  });

  it("is what somebody says, whatever the value", () => {
    assert.deepEqual(readRecordTime(5, "realtime", BOOT), { clock: "realtime", timeUnixNano: 5n });
    assert.deepEqual(readRecordTime(EPOCH_FROM_NS, "boot", BOOT), {
      clock: "boot",
      timeUnixNano: BOOT + EPOCH_FROM_NS,
    });
  });

  it("gives a time that every backend can hold, or none", () => {
    const ts = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 70n }),
      fc.constantFrom(2n ** 63n - 1n, 2n ** 63n, 10n ** 30n),
    );
    fc.assert(
      fc.property(
        ts,
        fc.constantFrom("auto", "boot", "realtime"),
        fc.bigInt({ min: 0n, max: 2n ** 64n }),
        (tsNs, clock, boot) => {
          const { timeUnixNano } = readRecordTime(tsNs, clock, boot);
          const exact = readRecordTime(tsNs, clock, boot).clock === "boot" ? tsNs + boot : tsNs;
          assert.equal(timeUnixNano, exact < 2n ** 63n ? exact : 0n);
        },
      ),
    );
  });
});
