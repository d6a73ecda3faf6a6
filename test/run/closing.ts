/**
 * The last lines of the test run. Where only the end of a log is kept, they still say what failed and why:
 * the block of failures with the tally is at most about a thousand characters.
 */

import type { FailedTest, Outcome } from "./outcome.ts";

export interface EndedJob {
  readonly name: string;
  readonly durationMs: number;
  readonly outcome: Outcome;
}

const TESTS_SHOWN_MAX = 10;
const LINE_CHARACTERS_MAX = 200;
/** Shared by the lines of a block; each has room for a title and the beginning of an error. */
const BLOCK_CHARACTERS_MAX = 900;
/** Of the title there is always so much to be found by, and of the error to be told by. */
const TITLE_SHARE = 0.6;

/** Lines without line feeds: durations, tests that passed only later, failures, and the tally, which is last. */
export function closingLines(jobs: readonly EndedJob[]): string[] {
  const total = (count: (outcome: Outcome) => number) =>
    jobs.reduce((sum, { outcome }) => sum + count(outcome), 0);
  const passed = total((outcome) => outcome.passed);
  const failed = total((outcome) => outcome.failed.length);
  const skipped = total((outcome) => outcome.skipped);
  return [
    `Jobs: ${jobs.map(({ name, durationMs }) => `${name} ${Math.round(durationMs / 1000)} s`).join(", ")}`,
    ...block("Passed at the second try", jobs, ({ passedLater }) => passedLater),
    ...block("Failed", jobs, (outcome) => outcome.failed),
    `${passed} passed, ${failed} failed, ${skipped} skipped`,
  ];
}

/** Something failed, or nothing ran. */
export function exitCode(jobs: readonly EndedJob[]): 0 | 1 {
  const isGood = jobs.every(({ outcome }) => outcome.failed.length === 0);
  return isGood && jobs.some(({ outcome }) => outcome.passed > 0) ? 0 : 1;
}

function block(
  heading: string,
  jobs: readonly EndedJob[],
  choose: (outcome: Outcome) => readonly FailedTest[],
): string[] {
  const tests = jobs.flatMap(({ name, outcome }) => choose(outcome).map((test) => ({ job: name, test })));
  if (tests.length === 0) return [];
  const shown = tests.slice(0, TESTS_SHOWN_MAX);
  const charactersMax = Math.min(LINE_CHARACTERS_MAX, Math.floor(BLOCK_CHARACTERS_MAX / shown.length) - 1);
  const more = tests.length > shown.length ? ` (${tests.length}, the first ${shown.length})` : "";
  return [`${heading}${more}:`, ...shown.map(({ job, test }) => line(job, test, charactersMax))];
}

function line(job: string, { title, error }: FailedTest, charactersMax: number): string {
  const room = charactersMax - job.length - "  : : ".length;
  const titleMax = Math.max(Math.floor(room * TITLE_SHARE), room - error.length);
  const shortTitle = cutMiddle(title, titleMax);
  return `  ${job}: ${shortTitle}: ${cutEnd(error, room - shortTitle.length)}`;
}

/** A title begins with its suite and ends with its test: both tell it. */
function cutMiddle(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const head = Math.floor(charactersMax / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (charactersMax - head - 1))}`;
}

function cutEnd(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}
