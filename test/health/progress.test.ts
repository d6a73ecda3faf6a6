import assert from "node:assert/strict";
import { durationText, progressText, sizeText } from "../../src/health/progress.ts";

describe("progress", () => {
  it("shows a bar, bytes, records, rate and time left where the size is known", () => {
    const state = { bytesRead: 10 * 2 ** 20, bytesTotal: 40 * 2 ** 20, records: 1_000_000 };
    assert.equal(
      progressText(state, 5000),
      "[===       ] 25 % of 40.0 MiB · 1,000,000 records · 200,000/s · 15 s left",
    );
  });

  it("shows what is known where it is not", () => {
    const state = { bytesRead: 1536, bytesTotal: undefined, records: 3 };
    assert.equal(progressText(state, 1000), "1.5 KiB · 3 records · 3/s");
    assert.equal(progressText({ ...state, bytesRead: 0, bytesTotal: 0 }, 0), "0 bytes · 3 records · 3,000/s");
  });

  it("promises nothing at the start, and ends at 100 % though the file grew", () => {
    const start = progressText({ bytesRead: 0, bytesTotal: 100, records: 0 }, 500);
    assert.equal(start, "[          ] 0 % of 100 bytes · 0 records · 0/s");
    const grown = progressText({ bytesRead: 120, bytesTotal: 100, records: 1 }, 1000);
    assert.equal(grown, "[==========] 100 % of 100 bytes · 1 records · 1/s · 0 s left");
  });

  it("writes sizes and durations as people do", () => {
    assert.deepEqual([1023, 1024, 5 * 2 ** 30, 2 ** 52].map(sizeText), [
      "1023 bytes",
      "1.0 KiB",
      "5.0 GiB",
      "4096.0 TiB",
    ]);
    assert.deepEqual([1, 59_500, 200_000, 7_500_000].map(durationText), [
      "1 s",
      "1 min 0 s",
      "3 min 20 s",
      "2 h 5 min",
    ]);
  });
});
