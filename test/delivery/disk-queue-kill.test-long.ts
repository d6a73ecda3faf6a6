import { surviveKills } from "./spool-killed.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const scratch = new SpoolScratch();
after(() => scratch.remove());

describe("a spool whose process is killed over and over", function () {
  this.timeout(300_000);

  for (const fsync of ["never", "interval", "always"] as const) {
    it(`has everything that was promised, with --fsync ${fsync}, 50 times`, async () => {
      await surviveKills(scratch, fsync, 50);
    });
  }
});
