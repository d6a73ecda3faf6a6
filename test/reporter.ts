/**
 * Mocha's spec reporter, which also says why each skipped test was skipped and leaves the tally in a file.
 */
import { writeFileSync } from "node:fs";
import Mocha from "mocha";
import { skipReason } from "./skip.ts";

export default class TallyReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: string[] = [];
    runner.on("pending", (test) => {
      const reason = skipReason(test) ?? "no reason given";
      skipped.push(`${test.fullTitle()}: ${reason}`);
    });
    runner.once("end", () => {
      for (const line of skipped) console.log(`  skipped: ${line}`);
      const { passes, failures, pending } = runner.stats ?? { passes: 0, failures: 1, pending: 0 };
      const result = (options.reporterOptions as { result?: string } | undefined)?.result;
      if (result !== undefined) {
        writeFileSync(result, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
      }
    });
  }
}
