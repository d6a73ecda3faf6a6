import assert from "node:assert/strict";
import fc from "fast-check";
import { RETRY_DEFAULTS, retryDelayMs } from "../../src/delivery/retry.ts";
import { retryInfoDelayMs } from "../../src/delivery/retry-info.ts";
import { parseRetryAfterMs } from "../../src/otlp/retry-after.ts";
import { retryInfoStatus, statusResponse } from "../../src/receive/otlp-response.ts";

const middle = () => 0.5;

describe("the wait before a retry", () => {
  it("grows from 1 s by half to 30 s", () => {
    const waits = [1, 2, 3, 9, 10, 1000].map((failures) =>
      retryDelayMs(RETRY_DEFAULTS, failures, undefined, middle),
    );
    assert.deepEqual(waits, [1000, 1500, 2250, 25628.90625, 30_000, 30_000]);
  });

  it("is spread by 50 % both ways", () => {
    assert.equal(
      retryDelayMs(RETRY_DEFAULTS, 1, undefined, () => 0),
      500,
    );
    assert.ok(Math.abs(retryDelayMs(RETRY_DEFAULTS, 1, undefined, () => 0.999999) - 1500) < 1);
  });

  it("never undercuts what the collector asked for, and spreads it upwards only", () => {
    assert.equal(
      retryDelayMs(RETRY_DEFAULTS, 1, 7000, () => 0),
      7000,
    );
    assert.ok(retryDelayMs(RETRY_DEFAULTS, 1, 7000, () => 0.999) <= 7700);
  });

  it("takes a collector's delay of 0 as no wish", () => {
    assert.equal(retryDelayMs(RETRY_DEFAULTS, 1, 0, middle), 1000);
  });

  it("always fits a timer, however long the collector asks for", () => {
    const delays = fc.oneof(fc.double({ min: 0, noNaN: true }), fc.constant(Number.POSITIVE_INFINITY));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        delays,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, d, r) => {
          const wait = retryDelayMs(RETRY_DEFAULTS, n, d, () => r);
          assert.ok(wait >= 0 && wait <= RETRY_DEFAULTS.collectorDelayMaxMs * 1.1, `${wait}`);
        },
      ),
    );
  });
});

describe("Retry-After", () => {
  const nowMs = Date.parse("2026-11-22T12:00:00Z");
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ["", undefined],
    ["0", 0],
    ["120", 120_000],
    [" 3 ", 3000],
    ["1.5", undefined],
    ["-1", undefined],
    ["soon", undefined],
    ["2026-11-22", undefined],
    ["Sun, 22 Nov 2026 12:00:30 GMT", 30_000],
    ["Sunday, 22-Nov-26 12:00:30 GMT", 30_000],
    ["Sun Nov 22 12:00:30 2026", 30_000],
    ["Sun, 22 Nov 2026 11:00:00 GMT", 0],
    ["Sun, 99 Nov 2026 11:00:00 GMT", undefined],
  ];
  for (const [header, expected] of cases) {
    it(`${JSON.stringify(header)} is ${expected === undefined ? "no wish" : `${expected} ms`}`, () => {
      assert.equal(parseRetryAfterMs(header, nowMs), expected);
    });
  }
});

describe("RetryInfo", () => {
  it("is found among the details of a status", () => {
    assert.equal(retryInfoDelayMs(retryInfoStatus(14, "busy", 17)), 17_000);
  });

  it("has parts of a second", () => {
    // Status{details: [Any{type_url, value: RetryInfo{retry_delay: Duration{seconds: 1, nanos: 500000000}}}]}
    const duration = Buffer.from([0x08, 0x01, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]);
    const info = Buffer.concat([Buffer.from([0x0a, duration.length]), duration]);
    const url = Buffer.from("type.googleapis.com/google.rpc.RetryInfo");
    const any = Buffer.concat([Buffer.from([0x0a, url.length]), url, Buffer.from([0x12, info.length]), info]);
    assert.equal(retryInfoDelayMs(Buffer.concat([Buffer.from([0x1a, any.length]), any])), 1500);
  });

  it("is absent from a status without details", () => {
    assert.equal(retryInfoDelayMs(statusResponse("protobuf", 14, "busy")), undefined);
  });

  it("is never read from noise, and noise never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        assert.equal(retryInfoDelayMs(Buffer.from(bytes)), undefined);
      }),
    );
  });

  it("survives being cut anywhere", () => {
    const whole = retryInfoStatus(14, "busy", 17);
    for (let end = 0; end < whole.length; end++) {
      const delay = retryInfoDelayMs(whole.subarray(0, end));
      assert.ok(delay === undefined || delay === 17_000, `cut at ${end}: ${delay}`);
    }
  });
});
