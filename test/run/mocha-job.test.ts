import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runMocha } from "./mocha-job.ts";
import type { Outcome } from "./outcome.ts";

/** One suite of each kind; a flaky test fails only at its first try. */
const SUITE = `
let tries = 0;
describe("suite", () => {
  it("passes", () => {});
  it("fails each time", () => { throw new Error("always\\nthe same"); });
  it("is flaky", () => { if (tries++ === 0) throw new Error("too slow"); });
  it("is skipped", function () { this.skip(); });
  describe("without a server", () => {
    before(() => { throw new Error("no port"); });
    it("never runs", () => {});
  });
});
`;

describe("a mocha job", function () {
  this.timeout(60_000);
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mocha-job-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  function run(suite: string, args: readonly string[] = [], timeoutMs = 30_000): Promise<Outcome> {
    const path = join(directory, "suite.mjs");
    writeFileSync(path, suite);
    const resultPath = join(directory, "results", "result.json");
    return runMocha({ resultPath, args: [...args, path], options: { show: "never", timeoutMs } });
  }

  const hook = { title: 'suite without a server "before all" hook for "never runs"', error: "no port" };
  const always = { title: "suite fails each time", error: "always the same" };
  const flaky = { title: "suite is flaky", error: "too slow" };

  it("with a second try: what fails twice fails, what fails once is listed", async () => {
    assert.deepEqual(await run(SUITE, ["--retries", "1"]), {
      passed: 2,
      skipped: 1,
      failed: [always, hook],
      passedLater: [flaky],
    });
  });

  it("without: what fails once fails", async () => {
    assert.deepEqual(await run(SUITE), {
      passed: 1,
      skipped: 1,
      failed: [always, flaky, hook],
      passedLater: [],
    });
  });

  it("that can't load its suites, is killed or does not end has failed and says why", async () => {
    const [broken] = (await run('import "./not-there.mjs";')).failed;
    assert.equal(broken?.title, "mocha ended without a result");
    assert.match(broken?.error ?? "", /not-there\.mjs/);
    const kill = 'it("x", () => process.kill(process.pid, "SIGKILL"));';
    assert.match((await run(kill)).failed[0]?.error ?? "", /killed by SIGKILL/);
    const hang = 'it("ends", () => {}); it("hangs", () => { for (;;); });';
    const [hung] = (await run(hang, [], 5_000)).failed;
    assert.match(hung?.error ?? "", /^mocha was killed after 0 minutes, behind: .*ends/);
  });
});

describe("a second try", () => {
  it("is for the real kernel, real servers and real time only: pure tests have none", () => {
    const test = fileURLToPath(new URL("../", import.meta.url));
    const own = /^(?:kernel|backends|run)\//;
    const withTries = readdirSync(test, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !own.test(path))
      .filter((path) => /\bretries\(/.test(readFileSync(join(test, path), "utf8")));
    assert.deepEqual(withTries.sort(), [
      "cli/outputs-that-fail.test.ts",
      "cli/status.test.ts",
      "delivery/difficult-collectors.test.ts",
      "delivery/real-collector.test.ts",
      "health/prometheus-endpoint.test.ts",
    ]);
  });
});
