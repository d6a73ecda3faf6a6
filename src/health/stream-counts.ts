/**
 * The final counts of a stream, from the books.
 */
import type { StreamCounts } from "../otlp/stream-record.ts";
import type { ProbeBalance } from "./ledger.ts";
import { isNumberedLoss } from "./loss.ts";

/**
 * What became of each probe's events up to their sequence numbers. Exact once the books are closed: what was
 * neither left out nor lost before has got a number, whether it is delivered yet or not.
 */
export function streamCountsOf(balances: readonly ProbeBalance[]): StreamCounts[] {
  return balances.map(({ probe, seen, filtered, lost: lostInAll }) => {
    const lost = new Map([...lostInAll].filter(([reason]) => !isNumberedLoss(reason)));
    const recorded = [...lost.values()].reduce((rest, count) => rest - count, seen - filtered);
    return { probe, seen, recorded: recorded < 0n ? 0n : recorded, filtered, lost };
  });
}
