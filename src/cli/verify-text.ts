/**
 * What `verify` found, as text for people and as JSON for programs.
 */
import type { JsonValue } from "../evidence/record.ts";
import { grouped } from "../health/status-line.ts";
import type { StreamReport } from "../pipeline/stream-tally.ts";
import { streamVerdict } from "../pipeline/verdict.ts";
import type { VerifyResult } from "../pipeline/verify.ts";

/** Streams that are described as text; JSON has all of them. */
const STREAMS_SHOWN_MAX = 100;

/** The streams, those with trouble first, then what else was read, and last the verdict in one line. */
export function verifyText(result: VerifyResult): string {
  const { streams } = result;
  const sound = streams.filter((stream) => streamVerdict(stream) === "complete");
  const troubled = streams.filter((stream) => streamVerdict(stream) !== "complete");
  const shown = [...troubled, ...sound].slice(0, STREAMS_SHOWN_MAX);
  const lines = shown.flatMap(streamLines);
  if (streams.length > shown.length) lines.push(`and ${grouped(streams.length - shown.length)} more streams`);
  const add = (count: number, what: string) => count > 0 && lines.push(`${grouped(count)} ${what}`);
  add(result.foreign, "log records of others passed over");
  add(result.unnumbered, "records without a place in a stream: nothing can be said of them");
  add(result.damaged, "records damaged on the way");
  add(result.badMessages, `message${result.badMessages === 1 ? "" : "s"} not readable`);
  lines.push(verdictLine(result));
  return lines.join("\n");
}

function streamLines(stream: StreamReport): string[] {
  const parts = [counted(stream.records, "record")];
  if (stream.duplicates > 0) parts.push(counted(stream.duplicates, "duplicate"));
  parts.push(stream.gapCount === 0 ? "no gaps" : gapsText(stream));
  parts.push(stateText(stream));
  const lines = [`stream ${stream.streamId}: ${parts.join(", ")}`];
  for (const { first, last, explained } of stream.gaps) {
    const size = last - first + 1;
    const range = first === last ? `${first}` : `${first}-${last}`;
    lines.push(
      `  gap: ${range} (${grouped(size)}), ${explained === size ? "" : `${grouped(explained)} `}explained`,
    );
  }
  const unnamed = stream.gapCount - stream.gaps.length;
  if (unnamed > 0) lines.push(`  and ${counted(unnamed, "more gap")}`);
  for (const { reason, probe, count } of stream.unnumbered) {
    lines.push(`  lost before it had a number: ${grouped(count)} ${probe} (${reason})`);
  }
  if (stream.probeDownTimes > 0) lines.push(`  ${probeDownText(stream)}`);
  if (stream.lostButReceived > 0) {
    lines.push(`  reported lost, and received after all: ${grouped(stream.lostButReceived)}`);
  }
  return [...lines, ...stream.disagreements.map((line) => `  counts disagree: ${line}`)];
}

function probeDownText({ probeDownTimes, probeDownNs }: StreamReport): string {
  const seconds = (Number(probeDownNs / 1_000_000n) / 1000).toFixed(1);
  return `no probe was running ${counted(probeDownTimes, "time")}, together ${seconds} s: what it would have seen is not known`;
}

function stateText({ state, reportedUnended }: StreamReport): string {
  if (state === "ended") return "ended";
  return reportedUnended ? "never ended, says the run after it" : "not ended";
}

/** `3 gaps (120 records), 2 explained (100 queue_full), 20 unexplained`. */
function gapsText(stream: StreamReport): string {
  const reasons = [...stream.explained].map(([reason, count]) => `${grouped(count)} ${reason}`);
  const parts = [`${counted(stream.gapCount, "gap")} (${counted(stream.missing, "record")})`];
  if (reasons.length > 0) parts.push(`${grouped(stream.gapsExplained)} explained (${reasons.join(", ")})`);
  if (stream.unexplained > 0) parts.push(`${grouped(stream.unexplained)} unexplained`);
  return parts.join(", ");
}

function verdictLine({ verdict, streams, read }: VerifyResult): string {
  const total = (count: (stream: StreamReport) => number) =>
    streams.reduce((sum, stream) => sum + count(stream), 0);
  const duplicates = total((stream) => stream.duplicates);
  const all =
    `${counted(
      total((stream) => stream.records),
      "record",
    )} in ${counted(streams.length, "stream")}` +
    (duplicates > 0 ? `, ${counted(duplicates, "duplicate")}` : "");
  const worst = streams.filter((stream) => streamVerdict(stream) === verdict);
  const more = worst.length > 1 ? `; ${counted(worst.length - 1, "more stream")} like it` : "";
  const [first] = worst;
  if (verdict === "none" || first === undefined) {
    return `nothing to verify: none of ${counted(read, "log record")} belongs to a stream`;
  }
  if (verdict === "complete") return `complete: ${all}`;
  if (verdict === "accounted") return `accounted for: ${all}, ${lossText(streams)}, all of it reported`;
  if (verdict === "unended") return `unended: ${all}, stream ${first.streamId} has no end${more}`;
  const reason = first.unexplained > 0 ? gapsText(first) : "its counts disagree with what was received";
  return `incomplete: stream ${first.streamId}: ${reason}${more}`;
}

function lossText(streams: readonly StreamReport[]): string {
  const byReason = new Map<string, bigint>();
  const add = (reason: string, count: bigint) => byReason.set(reason, (byReason.get(reason) ?? 0n) + count);
  for (const { explained, unnumbered } of streams) {
    for (const [reason, count] of explained) add(reason, BigInt(count));
    for (const { reason, count } of unnumbered) add(reason, count);
  }
  const lost = [...byReason.values()].reduce((sum, count) => sum + count, 0n);
  const parts = [...byReason].map(([reason, count]) => `${grouped(count)} ${reason}`);
  if (streams.some(({ probeDownTimes }) => probeDownTimes > 0)) parts.push("and times without a probe");
  return `${grouped(lost)} lost (${parts.join(", ")})`;
}

function counted(count: number, what: string): string {
  return `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
}

/** The same as one JSON value; integers are exact, however large. */
export function verifyJson(result: VerifyResult): JsonValue {
  const { verdict, read, foreign, unnumbered, damaged, badMessages, partialTails } = result;
  return {
    verdict,
    summary: verdictLine(result),
    read,
    foreign,
    unnumbered,
    damaged,
    badMessages,
    partialTails,
    streams: result.streams.map(streamJson),
  };
}

function streamJson(stream: StreamReport): JsonValue {
  const { explained, recordsByType, gaps, unnumbered, ...members } = stream;
  return {
    ...members,
    verdict: streamVerdict(stream),
    explained: Object.fromEntries(explained),
    recordsByType: Object.fromEntries(recordsByType),
    gaps: gaps.map((gap) => ({ ...gap })),
    unnumbered: unnumbered.map((loss) => ({ ...loss })),
  };
}
