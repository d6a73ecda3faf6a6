import { needsKernel } from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import { surviveKillsOfCapture, surviveKillsOfExport } from "./collector-killed.ts";

describe("the real Collector, killed ten times at full speed", function () {
  this.timeout(15 * 60_000);
  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
  });

  it("has every record of an export of 5,000,000", async () => {
    await surviveKillsOfExport(5_000_000, 10);
  });

  it("has every event of a live capture that was read, and is told of the others", async function () {
    needsKernel(this);
    await surviveKillsOfCapture(5_000_000, 10);
  });
});
