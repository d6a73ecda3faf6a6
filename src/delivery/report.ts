/**
 * Lines for people about delivery, at most one per subject and interval: an outage fails many requests for the
 * same reason, and one line says it.
 */

/** Default interval. */
export const REPORT_INTERVAL_MS = 10_000;

/** Subjects remembered at most; more share one. The reasons of failures are few by design. */
const SUBJECTS_MAX = 64;

/** Reports a line about a subject, or counts it when the subject was reported less than the interval ago. */
export type Report = (subject: string, line: string) => void;

/** @param nowMs a clock that never goes back, in milliseconds */
export function createReport(write: (line: string) => void, intervalMs: number, nowMs: () => number): Report {
  const subjects = new Map<string, { lastMs: number; held: number }>();
  return (subject, line) => {
    const key = subjects.has(subject) || subjects.size < SUBJECTS_MAX ? subject : "other";
    const known = subjects.get(key);
    const now = nowMs();
    if (known !== undefined && now - known.lastMs < intervalMs) {
      known.held += 1;
      return;
    }
    const more =
      known !== undefined && known.held > 0 ? ` (and ${known.held} more since the last such line)` : "";
    subjects.set(key, { lastMs: now, held: 0 });
    write(`${line}${more}`);
  };
}
