import { needsKernel } from "../kernel/live.ts";
import { skip } from "../skip.ts";
import { collectorMissing } from "./collector.ts";
import { surviveKills } from "./exporter-killed.ts";

describe("an exporter with its queue on disk, killed at 50 random moments", function () {
  this.timeout(10 * 60_000);
  before(function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    needsKernel(this);
  });

  it("loses only the last moments each time, which were not sealed, and nothing that was", async () => {
    await surviveKills(50);
  });
});
