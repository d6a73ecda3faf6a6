/** What came of a job of the test run. */

/** A test and the error that it ended with, or ended its first try with. */
export interface FailedTest {
  /** As the test runner names it, its suites included. */
  readonly title: string;
  /** On one line. */
  readonly error: string;
}

export interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  /** Each failed test; a job that broke down without a result is one, too. */
  readonly failed: readonly FailedTest[];
  /** Tests that failed at first and passed then, which is part of `passed`. */
  readonly passedLater: readonly FailedTest[];
}

/** Of a job that ended without saying which tests failed. */
export function brokenDown(title: string, error: string): Outcome {
  return { passed: 0, skipped: 0, failed: [{ title, error: oneLine(error) }], passedLater: [] };
}

/** White space of any kind becomes a space: an error is a line of a list. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
