import assert from "node:assert/strict";
import { parsePeriodNs, parsePointInTimeNs } from "../../src/cli/point-in-time.ts";

describe("points in time", () => {
  it("are read to the nanosecond, however they are written", () => {
    for (const [text, ns] of [
      ["2025-01-26T11:13:20.123456789Z", 1_737_890_000_123_456_789n],
      ["2025-01-26t12:13:20.5+01:00", 1_737_890_000_500_000_000n],
      ["2025-01-26 11:13Z", 1_737_889_980_000_000_000n],
      ["2025-01-26", 1_737_849_600_000_000_000n],
      ["1737890000", 1_737_890_000_000_000_000n],
      ["1737890000.000000001", 1_737_890_000_000_000_001n],
      ["1737890000123456789", 1_737_890_000_123_456_789n],
      ["0", 0n],
    ] as const) {
      assert.equal(parsePointInTimeNs(text), ns, text);
    }
  });

  it("that are none, or of no time zone, are refused", () => {
    const wrong = [
      "",
      "now",
      "2025-13-01",
      "2025-01-26T11:13:20",
      "1969-01-01",
      "-1",
      "1e9",
      "123456789012345",
    ];
    for (const text of [...wrong, "99999999999999999999"]) {
      assert.throws(() => parsePointInTimeNs(text), /write it as 2026-01-02/, text);
    }
  });

  it("periods have a unit", () => {
    assert.equal(parsePeriodNs("90s"), 90_000_000_000n);
    assert.equal(parsePeriodNs("7d"), 604_800_000_000_000n);
    for (const text of ["", "7", "7w", "-1h", "1.5h"])
      assert.throws(() => parsePeriodNs(text), /write it as/);
  });
});
