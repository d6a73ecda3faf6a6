/** A job of the test run: the probe's own tests. */

import { type Ended, type RunOptions, runCommand } from "./command.ts";
import { brokenDown, type FailedTest, type Outcome, oneLine } from "./outcome.ts";

/** What `cargo test` printed, over all its test programs. */
interface LibtestOutput {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: readonly FailedTest[];
}

/**
 * Runs the tests of a crate; each that failed has a second try, by its name. They start real processes on a real
 * kernel, so that one may fail because the machine was busy.
 */
export async function runCargo(manifestPath: string, options?: RunOptions): Promise<Outcome> {
  const test = [
    "test",
    "--release",
    "--locked",
    "--quiet",
    "--no-fail-fast",
    "--manifest-path",
    manifestPath,
  ];
  const first = await runCommand("cargo", [...test, "--", "--nocapture"], options);
  const tests = readLibtest(first);
  const breakdown = breakdownOf(first, tests);
  if (breakdown !== undefined) {
    // A test program that crashed has not said which of its tests did.
    const { failed } = brokenDown("cargo test", breakdown);
    return { ...tests, failed: [...tests.failed, ...failed], passedLater: [] };
  }
  if (tests.failed.length === 0) return { ...tests, passedLater: [] };
  const names = new Set(tests.failed.map(({ title }) => title));
  const second = await runCommand("cargo", [...test, "--", "--nocapture", "--exact", ...names], options);
  return afterSecondTry(tests, readLibtest(second));
}

/** Why there is no word about some tests: a compiler's error, or a test program that crashed. */
function breakdownOf({ code, stderr }: Ended, { failed }: LibtestOutput): string | undefined {
  const crash = /process didn't exit successfully: .*/.exec(stderr)?.[0];
  if (crash !== undefined || code === 0 || failed.length > 0) return crash;
  return /^error.*/m.exec(stderr)?.[0] ?? `exit code ${code}`;
}

/** A test counts as passed at its second try if that ran and did not fail. */
function afterSecondTry(first: LibtestOutput, second: LibtestOutput): Outcome {
  const failedAgain = new Map(second.failed.map((test) => [test.title, test]));
  // Names that the second run does not account for would all be called passed.
  const isComplete = second.passed + second.failed.length >= first.failed.length;
  const failed = first.failed.filter(({ title }) => !isComplete || failedAgain.has(title));
  const passedLater = first.failed.filter((test) => !failed.includes(test));
  return {
    passed: first.passed + passedLater.length,
    skipped: first.skipped,
    failed: failed.map((test) => failedAgain.get(test.title) ?? test),
    passedLater,
  };
}

/** Reads libtest's output, uncaptured: the tally of each test program, and its list of failures. */
function readLibtest({ stdout, stderr }: Ended): LibtestOutput {
  const sum = { passed: 0, skipped: 0 };
  for (const [, passed, ignored] of stdout.matchAll(/(\d+) passed; \d+ failed; (\d+) ignored/g)) {
    sum.passed += Number(passed);
    sum.skipped += Number(ignored);
  }
  // libtest can't skip at run time: a test that could not run says so in a line, and passes.
  const skipped = [...stderr.matchAll(/^skipped \S+: /gm)].length;
  return { passed: sum.passed - skipped, skipped: sum.skipped + skipped, failed: failures(stdout, stderr) };
}

function failures(stdout: string, stderr: string): FailedTest[] {
  const panics = new Map<string, string>();
  // The thread of a test has its name. Backtraces, a note about them or cargo's own words follow the message.
  for (const [, name = "", place, message = ""] of stderr.matchAll(
    /thread '([^']+)'(?: \(\d+\))? panicked at ([^\n]+):\n((?:(?!note: |stack backtrace:|error: |\n|thread ').*\n?){1,4})/gm,
  )) {
    if (!panics.has(name)) panics.set(name, oneLine(`${place}: ${message}`));
  }
  const lists = [...stdout.matchAll(/^failures:\n((?: {4}\S.*\n)+)/gm)].map(([, list = ""]) => list);
  return lists
    .flatMap((list) => list.trim().split(/\n\s*/))
    .map((title) => ({ title, error: panics.get(title) ?? "it said nothing" }));
}
