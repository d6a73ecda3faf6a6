import assert from "node:assert/strict";
import { closingLines, type EndedJob, exitCode } from "./closing.ts";
import type { FailedTest } from "./outcome.ts";

/** What is kept of a long log. */
const TAIL_CHARACTERS = 1000;

function job(
  name: string,
  failed: readonly FailedTest[] = [],
  passedLater: readonly FailedTest[] = [],
): EndedJob {
  return { name, durationMs: 61_400, outcome: { passed: 10, skipped: 1, failed, passedLater } };
}

const failures = (count: number): FailedTest[] =>
  Array.from({ length: count }, (_, index) => ({
    title: `suite ${"of a long name ".repeat(20)}test ${index}`,
    error: `error ${index} ${"that says a lot ".repeat(50)}`,
  }));

describe("the closing lines of a test run", () => {
  it("are the durations and the tally where all is well", () => {
    const jobs = [job("kernel"), job("rest")];
    assert.deepEqual(closingLines(jobs), ["Jobs: kernel 61 s, rest 61 s", "20 passed, 0 failed, 2 skipped"]);
    assert.equal(exitCode(jobs), 0);
  });

  it("say of each failed test the job, the title and the error", () => {
    const failed = [{ title: "a probe is stopped", error: "Expected 1, got 2" }];
    const jobs = [job("kernel", failed), job("cargo")];
    assert.deepEqual(closingLines(jobs).slice(1), [
      "Failed:",
      "  kernel: a probe is stopped: Expected 1, got 2",
      "20 passed, 1 failed, 2 skipped",
    ]);
    assert.equal(exitCode(jobs), 1);
  });

  it("list what passed at the second try, before the failures", () => {
    const later = [{ title: "a slow one", error: "Timeout" }];
    const jobs = [job("backends-1", failures(1), later)];
    const lines = closingLines(jobs);
    assert.deepEqual(lines.slice(1, 3), ["Passed at the second try:", "  backends-1: a slow one: Timeout"]);
    assert.equal(lines[3], "Failed:");
    assert.equal(exitCode([job("kernel", [], later)]), 0);
  });

  for (const count of [1, 4, 10, 30]) {
    it(`fit the failures and the tally into the end of a log, ${count} of them`, () => {
      const lines = closingLines([job("backends-1", failures(count))]);
      const block = lines.slice(1);
      assert.ok(`${block.join("\n")}\n`.length <= TAIL_CHARACTERS);
      assert.ok(block.every((line) => line.length <= 200));
      const shown = Math.min(count, 10);
      assert.equal(block.length, shown + 2);
      assert.equal(block[0], count > 10 ? `Failed (${count}, the first 10):` : "Failed:");
      for (let index = 0; index < shown; index++) {
        assert.match(
          block[index + 1] ?? "",
          new RegExp(`^ {2}backends-1: suite .*test ${index}: error ${index}`),
        );
      }
      assert.match(block.at(-1) ?? "", new RegExp(`^10 passed, ${count} failed, 1 skipped$`));
    });
  }

  it("do not call a run good in which nothing ran", () => {
    assert.equal(exitCode([]), 1);
    const outcome = { passed: 0, skipped: 5, failed: [], passedLater: [] };
    assert.equal(exitCode([{ name: "kernel", durationMs: 1, outcome }]), 1);
  });
});
