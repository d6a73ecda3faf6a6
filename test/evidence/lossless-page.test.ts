import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";

const page = readFileSync(new URL("../../docs/lossless.md", import.meta.url), "utf8");

describe("docs/lossless.md", () => {
  it("names tests that are there for each hazard", () => {
    const rows = [...page.matchAll(/^\|[^|]*\|[^|]*\|([^|]*)\|$/gm)].map(([, tests = ""]) => tests).slice(2);
    assert.ok(rows.length > 10, `${rows.length} rows`);
    for (const row of rows) {
      const tests = [...row.matchAll(/`([a-z-]+\/[a-z-]+)`/g)].map(([, name]) => name);
      assert.ok(tests.length > 0, `no test in ${row}`);
      for (const name of tests) {
        assert.ok(existsSync(new URL(`../${name}.test.ts`, import.meta.url)), `${name} is no test`);
      }
    }
  });
});
