import assert from "node:assert/strict";
import { fuzz } from "./fuzz.ts";

const FILES = 6_000;

describe("damaged files of every format", function () {
  this.timeout(60_000);

  it(`end in errors of ours, ${FILES} of them`, async () => {
    const seed = Date.now() % 2 ** 31;
    const { whole, refused, records } = await fuzz(seed, FILES);
    // Neither all nor nothing is refused, and what is whole in a damaged file comes out.
    assert.ok(
      whole > FILES / 10 && refused > FILES / 20 && records > FILES / 4,
      `seed ${seed}: ${whole} ${refused} ${records}`,
    );
  });
});
