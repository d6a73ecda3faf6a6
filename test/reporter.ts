/**
 * Mocha's spec reporter, which also says why each skipped test was skipped and leaves the outcome in a file.
 */
import { writeFileSync } from "node:fs";
import Mocha from "mocha";
import { type FailedTest, type Outcome, oneLine } from "./run/outcome.ts";
import { skipReason } from "./skip.ts";

export default class OutcomeReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: string[] = [];
    const failed: FailedTest[] = [];
    const passedLater: FailedTest[] = [];
    /** By title: each try is another test object. */
    const firstErrors = new Map<string, string>();
    runner.on("pending", (test) => {
      const reason = skipReason(test) ?? "no reason given";
      skipped.push(`${test.fullTitle()}: ${reason}`);
    });
    runner.on("retry", (test: Mocha.Test, error: unknown) => {
      // Nothing else says it where the next try passes.
      const stack = error instanceof Error ? error.stack : undefined;
      console.log(`  failed, has another try: ${test.fullTitle()}: ${stack ?? messageOf(error)}`);
      if (!firstErrors.has(test.fullTitle())) firstErrors.set(test.fullTitle(), messageOf(error));
    });
    runner.on("pass", (test) => {
      const error = firstErrors.get(test.fullTitle());
      if (error !== undefined) passedLater.push({ title: test.fullTitle(), error });
      firstErrors.delete(test.fullTitle());
    });
    runner.on("fail", (test, error) => {
      failed.push({ title: test.fullTitle(), error: messageOf(error) });
    });
    runner.once("end", () => {
      for (const line of skipped) console.log(`  skipped: ${line}`);
      const result = (options.reporterOptions as { result?: string } | undefined)?.result;
      if (result === undefined) return;
      const { passes, pending } = runner.stats ?? { passes: 0, pending: 0 };
      const outcome: Outcome = { passed: passes, skipped: pending, failed, passedLater };
      writeFileSync(result, JSON.stringify(outcome));
    });
  }
}

function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message || error.name : String(error));
}
