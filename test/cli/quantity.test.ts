import assert from "node:assert/strict";
import { parseCount, parseDurationMs, parseRingBytes, parseSizeBytes } from "../../src/cli/quantity.ts";

describe("quantities", () => {
  it("durations", () => {
    for (const [text, ms] of [
      ["500ms", 500],
      ["10s", 10_000],
      ["10", 10_000],
      ["1.5m", 90_000],
      ["2h", 7_200_000],
    ] as const) {
      assert.equal(parseDurationMs(text), ms);
    }
    for (const text of ["", "ten", "10 s", "-1s", "1d"])
      assert.throws(() => parseDurationMs(text), /write it as/);
  });

  it("no longer than a timer can wait, and ring sizes that the kernel takes", () => {
    assert.throws(() => parseDurationMs("700h"), /at most 24 days/);
    assert.equal(parseRingBytes("8MiB"), 8 * 2 ** 20);
    for (const text of ["3MiB", "1KiB", "2GiB", "0"])
      assert.throws(() => parseRingBytes(text), /power of two/);
  });

  it("sizes", () => {
    for (const [text, bytes] of [
      ["4096", 4096],
      ["64KiB", 65536],
      ["16MiB", 16 * 2 ** 20],
      ["3.5m", 3.5 * 2 ** 20],
      ["1GiB", 2 ** 30],
    ] as const) {
      assert.equal(parseSizeBytes(text), bytes);
    }
    for (const text of ["", "big", "-1", "1TiB", "1 2"])
      assert.throws(() => parseSizeBytes(text), /write it as/);
  });

  it("counts", () => {
    assert.equal(parseCount(1)("7"), 7);
    for (const text of ["0", "1.5", "x", "9007199254740993"])
      assert.throws(() => parseCount(1)(text), /whole number/);
  });
});
