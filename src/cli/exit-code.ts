/**
 * What each exit code means. `runtime-evidence --help` prints this table.
 */
import type { ErrorCode } from "../evidence/error.ts";

export const EXIT_OK = 0;
/** Some input was not what it claims to be; the valid rest was processed. */
export const EXIT_BAD_INPUT = 3;
/** Some records were not delivered. */
export const EXIT_DELIVERY_FAILED = 5;
/** `verify`: evidence is missing that nothing explains. */
export const EXIT_INCOMPLETE = 7;
/** `verify`: a stream has no end. */
export const EXIT_UNENDED = 8;
/** `verify`: evidence was lost, and all of the loss is reported. */
export const EXIT_ACCOUNTED = 9;
const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  "output-closed": EXIT_OK,
  io: 1,
  usage: 2,
  "bad-input": EXIT_BAD_INPUT,
  "protocol-mismatch": EXIT_BAD_INPUT,
  limit: EXIT_BAD_INPUT,
  "not-permitted": 4,
  "not-found": 4,
  "delivery-failed": EXIT_DELIVERY_FAILED,
  "probe-failed": 6,
};

/** The exit code of a failure. */
export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[code];
}

export const EXIT_CODE_HELP = `
Exit codes:
  0  done
  1  reading or writing failed
  2  options or arguments make no sense
  3  some input was not valid; the valid rest was processed
  4  not permitted here, or something needed is missing (see "runtime-evidence doctor")
  5  some records were not delivered, or "export" was stopped before it had read all
  6  the probe failed
  7  verify: evidence is missing that no loss record explains
  8  verify: nothing is missing so far as is known, but a stream has no end
  9  verify: evidence was lost, and loss records explain all of it
  capture -- CMD: the exit code of CMD, 128 + signal if one ended it, 125 if it was not started`;
