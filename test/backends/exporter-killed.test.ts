import { needsKernel } from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import { surviveKills } from "./exporter-killed.ts";

describe("an exporter with its queue on disk, killed at random moments", function () {
  this.timeout(90_000);
  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    needsKernel(this);
  });

  it("loses only the last moments, which were not sealed, and the next run says that its stream has no end", async () => {
    await surviveKills(5);
  });
});
