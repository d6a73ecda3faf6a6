/**
 * Whether all evidence is there: what the reports of all streams come to.
 */
import type { StreamReport } from "./stream-tally.ts";

/**
 * From best to worst. `complete`: nothing is missing and nothing was lost. `accounted`: something was lost, and
 * loss records say what. `unended`: a stream has no end record, so that more may have followed. `incomplete`:
 * something is missing that nothing explains. `none`: there is no stream to say anything of.
 */
export type Verdict = "complete" | "accounted" | "unended" | "incomplete" | "none";

/** The verdict on one stream. */
export function streamVerdict(stream: StreamReport): Exclude<Verdict, "none"> {
  if (stream.unexplained > 0 || stream.disagreements.length > 0) return "incomplete";
  if (stream.state === "unended") return "unended";
  const hasLoss = stream.missing > 0 || stream.unnumbered.length > 0 || stream.probeDownTimes > 0;
  return hasLoss ? "accounted" : "complete";
}

/** The verdict on all: that on the worst. */
export function verdictOf(streams: readonly StreamReport[]): Verdict {
  const verdicts = new Set(streams.map(streamVerdict));
  const worstFirst = ["incomplete", "unended", "accounted", "complete"] as const;
  return worstFirst.find((verdict) => verdicts.has(verdict)) ?? "none";
}
