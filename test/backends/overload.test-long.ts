import { needsKernel } from "../kernel/live.ts";
import { surviveOverload } from "./overload.ts";

describe("ten times more events than a collector takes, for 60 seconds", function () {
  this.timeout(300_000);
  before(function () {
    needsKernel(this);
  });

  it("are all counted, in bounded memory, and cost the program that causes them no more", async () => {
    await surviveOverload(60);
  });
});
