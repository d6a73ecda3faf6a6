/**
 * What `capture` and `replay` say to people while they run and at their end.
 */
import { NUMBERED_LOSS_REASONS } from "../health/ledger.ts";
import { grouped, type StatusLine, startStatusLine } from "../health/status-line.ts";
import { summaryJson, summaryText } from "../health/summary.ts";
import type { CaptureResult, RunningCapture } from "../pipeline/capture.ts";
import { damageLines } from "../pipeline/frame-loop.ts";
import { EXIT_BAD_INPUT, EXIT_DELIVERY_FAILED, EXIT_OK, exitCodeOf } from "./exit-code.ts";

/** Standard error, with a status line on a terminal. */
export interface RunConsole {
  print(line: string): void;
  /** Shows events/s, exported, queued and lost from now on, where nothing else is on the terminal. */
  watch(running: RunningCapture): void;
  end(): void;
}

/** A line on standard error. */
export function printLine(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function createConsole(output: string | undefined): RunConsole {
  const recordsOnTerminal = output === "-" && process.stdout.isTTY === true;
  let status: StatusLine | undefined;
  return {
    print: (line) => (status === undefined ? printLine(line) : status.print(line)),
    watch: (running) => {
      // The terminal belongs to the command while one runs.
      if (running.command === undefined && !recordsOnTerminal)
        status = startStatusLine(process.stderr, statusOf(running));
    },
    end: () => {
      status?.end();
      status = undefined;
    },
  };
}

function statusOf({ ledger, sinks }: RunningCapture): () => string {
  let seenBefore = 0n;
  let beforeMs = performance.now();
  return () => {
    const balances = ledger.balances();
    const sum = (count: (balance: (typeof balances)[number]) => bigint) =>
      balances.reduce((total, balance) => total + count(balance), 0n);
    const seen = sum((balance) => balance.seen - balance.filtered);
    const nowMs = performance.now();
    const perSecond = (Number(seen - seenBefore) * 1000) / Math.max(1, nowMs - beforeMs);
    seenBefore = seen;
    beforeMs = nowMs;
    const queued = sinks.otlp === undefined ? "" : ` · ${grouped(sinks.otlp.outlet.queuedRecords)} queued`;
    const exported = grouped(sum((balance) => balance.exported));
    const lost = grouped(sum((balance) => balance.lostTotal));
    return `${grouped(Math.round(perSecond))} events/s · ${exported} exported${queued} · ${lost} lost`;
  };
}

/** The books at the end, and what was wrong with the frames. */
export function printResult(
  { balances, damage }: CaptureResult,
  form: "text" | "json" | "none",
  sink: string,
  print: (line: string) => void,
): void {
  for (const line of damageLines("frames", damage)) print(line);
  if (form === "text") print(summaryText(balances, sink));
  if (form === "json") print(JSON.stringify(summaryJson(balances)));
  if (damage.failure !== undefined) print(`error: ${damage.failure.message}`);
}

/** Loss in the kernel is reported, but no failure of the run; damage and undelivered records are. */
export function exitCodeOfCapture({ balances, damage }: CaptureResult): number {
  if (damage.failure !== undefined) return exitCodeOf(damage.failure.code);
  const undelivered = balances.some(({ lost }) => NUMBERED_LOSS_REASONS.some((reason) => lost.has(reason)));
  if (undelivered) return EXIT_DELIVERY_FAILED;
  const damaged = damage.malformedFrames + damage.unknownFrames + damage.skippedBytes + damage.tornTailBytes;
  return damaged > 0 ? EXIT_BAD_INPUT : EXIT_OK;
}
