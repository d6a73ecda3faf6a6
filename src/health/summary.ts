/**
 * The books of a capture as text for people and as JSON for programs.
 */
import type { ProbeBalance } from "./ledger.ts";

/** Reasons are shown with what to do about them where a person can do something. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ["ring_full", "raise --ring-bytes, or narrow the capture with a filter"],
  ["undelivered", "raise --shutdown-timeout, or check the collector"],
  ["damaged", "the files are in damaged/ of --spool-dir"],
  ["too_large", "keep such records with --dead-letter"],
  ["queue_full", "raise the limit of the queue, or use --spool-dir"],
  ["refused", "see the collector's log"],
  ["rejected", "see the collector's log"],
]);

/** A line per probe: `seen = exported + filtered + lost`, and a line per reason of loss. */
export function summaryText(balances: readonly ProbeBalance[], sink: string): string {
  const lines = balances.map(
    ({ probe, seen, exported, spooled, filtered, lostTotal, pending }) =>
      `${probe.padEnd(13)} ${seen} seen = ${exported} ${sink} + ${filtered} filtered + ${lostTotal} lost` +
      (spooled === 0n ? "" : ` + ${spooled} in the spool`) +
      (pending === 0n ? "" : ` + ${pending} unaccounted for`),
  );
  for (const { probe, lost } of balances) {
    for (const [reason, count] of lost) {
      const advice = ADVICE.get(reason);
      lines.push(`  lost: ${probe} ${reason} ${count}${advice === undefined ? "" : ` (${advice})`}`);
    }
  }
  return lines.join("\n");
}

/** The same as one JSON value; counts are decimal strings because they are 64 bits wide. */
export function summaryJson(balances: readonly ProbeBalance[]): object {
  return {
    probes: balances.map(({ probe, seen, exported, spooled, filtered, lost, pending }) => ({
      probe,
      seen: String(seen),
      exported: String(exported),
      spooled: String(spooled),
      filtered: String(filtered),
      lost: Object.fromEntries([...lost].map(([reason, count]) => [reason, String(count)])),
      unaccounted: String(pending),
    })),
  };
}
