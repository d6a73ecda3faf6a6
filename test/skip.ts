/**
 * Skipping with a reason: no test is ever skipped in silence.
 */
import type Mocha from "mocha";

const reasons = new WeakMap<object, string>();

/** Skips the suite or test that `context` belongs to; the reporter prints `reason`. Never returns. */
export function skip(context: Mocha.Context, reason: string): never {
  const runnable = context.currentTest ?? context.test;
  const suite = runnable?.parent;
  // A skipped `before` hook leaves all tests of its suite out.
  if ((context.test as { type?: string } | undefined)?.type === "hook")
    suite?.eachTest((test) => void reasons.set(test, reason));
  if (runnable !== undefined) reasons.set(runnable, reason);
  context.skip();
  throw new Error("unreachable: mocha's skip throws");
}

/** Why a test was skipped. */
export function skipReason(test: Mocha.Test): string | undefined {
  return reasons.get(test);
}
