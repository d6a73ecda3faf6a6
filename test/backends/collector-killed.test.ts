import { needsKernel } from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import { surviveKillsOfCapture, surviveKillsOfExport } from "./collector-killed.ts";

describe("the real Collector, killed at full speed and started again", function () {
  this.timeout(90_000);
  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
  });

  it("has every record of an export after 3 kills", async () => {
    await surviveKillsOfExport(200_000, 3);
  });

  it("has every event of a live capture that was read, and is told of the others, after 2 kills", async function () {
    needsKernel(this);
    await surviveKillsOfCapture(150_000, 2);
  });
});
