/**
 * What a uprobe event adds to one call, beside bpftrace in the same run: a call of an empty function (its entry
 * is probed) and a libc connect that fails at once (entry and exit). Rounds are paired: each measures the same
 * loop of calls untraced, captured by this project and traced by bpftrace, which prints a line per call, in
 * turning order.
 *
 *     node bench/uprobe-cost.ts [--rounds 3] [--calls 100000] [--json]
 *
 * Needs root, build/triggers/call-loop and bpftrace.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { startProcess } from "../test/process.ts";

const REPOSITORY = new URL("../", import.meta.url).pathname;
const CALL_LOOP = join(REPOSITORY, "build/triggers/call-loop");
const CAPTURE = ["src/cli/main.ts", "capture", "--discard", "--summary", "json"];
/** Time to attach to a file that is new to a tracer. */
const SETTLE_MS = 700;
const BPFTRACE_SETTLE_MS = 3_000;
const LOOP_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** What is called, and how either tracer is told. */
interface Case {
  readonly name: "function" | "connect";
  readonly probe: "function_call" | "net_connect";
  readonly options: readonly string[];
  readonly bpftrace: string;
}

/** The libc of this process, which is that of the loop. */
const LIBC = /\S*\/libc\.so\.6$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? "libc.so.6";
const CASES: readonly Case[] = [
  {
    name: "function",
    probe: "function_call",
    options: ["--events", "function_call", "--function", `${CALL_LOOP}:loop_function`],
    bpftrace: `uprobe:${CALL_LOOP}:loop_function { printf("%d %s\\n", pid, comm); }`,
  },
  {
    name: "connect",
    probe: "net_connect",
    options: ["--events", "net_connect"],
    bpftrace: `uprobe:${LIBC}:connect { @fd[tid] = arg0; } uretprobe:${LIBC}:connect { printf("%d %s %d %d\\n", pid, comm, @fd[tid], retval); }`,
  },
];

type Mode = "untraced" | "ours" | "bpftrace";
const MODES: readonly Mode[] = ["untraced", "ours", "bpftrace"];
type Figures = Readonly<Record<Mode, number>>;

/** Why this can't run here. */
function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(CALL_LOOP)) return "build/triggers/call-loop is not built";
  try {
    execFileSync("bpftrace", ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "bpftrace is not there (Debian: apt-get install bpftrace)";
  }
}

/** Runs the loop with nothing around it; nanoseconds per call. */
async function untraced({ name }: Case, calls: number): Promise<number> {
  const { stdout } = await run(CALL_LOOP, ["0", name, String(calls)], { timeout: LOOP_TIMEOUT_MS });
  return Number(stdout) / calls;
}

/** Runs the loop under our capture, and checks that every call was seen and none was lost. */
async function ours({ name, probe, options }: Case, calls: number): Promise<number> {
  const loop = [CALL_LOOP, String(SETTLE_MS), name, String(calls)];
  const { stdout, stderr } = await run(process.execPath, [...CAPTURE, ...options, "--", ...loop], {
    cwd: REPOSITORY,
    timeout: LOOP_TIMEOUT_MS,
  });
  const summary = stderr.split("\n").findLast((line) => line.startsWith('{"probes"'));
  if (summary === undefined) throw new Error(`the capture printed no summary:\n${stderr}`);
  const probes: { probe: string; exported: string; lost: Record<string, string> }[] =
    JSON.parse(summary).probes;
  const own = probes.find((balance) => balance.probe === probe);
  if (Number(own?.exported) < calls || Object.keys(own?.lost ?? {}).length > 0) {
    throw new Error(`the capture missed some of ${calls} calls: ${JSON.stringify(own)}`);
  }
  return Number(stdout) / calls;
}

/** Runs the loop under bpftrace, which prints to nowhere. */
async function bpftrace(subject: Case, calls: number): Promise<number> {
  const started = await startProcess({
    command: "unshare",
    // bpftrace needs tracefs, which is not mounted everywhere: mount it where only bpftrace sees it.
    args: [
      ...["-m", "sh", "-c", 'mount -t tracefs none /sys/kernel/tracing; exec bpftrace -e "$1" >/dev/null'],
      ...["sh", subject.bpftrace],
    ],
  });
  try {
    await delay(BPFTRACE_SETTLE_MS);
    return await untraced(subject, calls);
  } finally {
    await started.stop();
  }
}

async function measure(subject: Case, calls: number, rounds: number): Promise<Figures> {
  const runners = { untraced, ours, bpftrace };
  const measured: Record<Mode, number>[] = [];
  for (let round = 0; round < rounds; round++) {
    const result = { untraced: 0, ours: 0, bpftrace: 0 };
    for (let turn = 0; turn < MODES.length; turn++) {
      const mode = MODES[(round + turn) % MODES.length] as Mode;
      result[mode] = await runners[mode](subject, calls);
    }
    const text = MODES.map((mode) => `${mode} ${Math.round(result[mode])} ns`).join(", ");
    console.error(`${subject.name}, round ${round + 1} of ${rounds}: ${text} per call`);
    measured.push(result);
  }
  const of = (mode: Mode) => median(measured.map((result) => result[mode]));
  return { untraced: of("untraced"), ours: of("ours"), bpftrace: of("bpftrace") };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

function markdown(rounds: number, calls: number, figures: ReadonlyMap<string, Figures>): string {
  const rows = [...figures].map(([name, { untraced, ours, bpftrace }]) =>
    [name, untraced, ours - untraced, bpftrace - untraced, (bpftrace - untraced) / (ours - untraced)]
      .map((cell, index) => (typeof cell === "number" ? cell.toFixed(index === 4 ? 1 : 0) : cell))
      .join(" | "),
  );
  return [
    `Medians of ${rounds} paired rounds of ${calls} calls. bpftrace prints a line per call to nowhere.`,
    "",
    "| call | ns untraced | ns we add | ns bpftrace adds | times as much |",
    "|---|--:|--:|--:|--:|",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n");
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    calls: { type: "string", default: "100000" },
    json: { type: "boolean", default: false },
  },
});
const reason = missing();
if (reason !== undefined) {
  console.error(`skipped: ${reason}`);
} else {
  const [rounds, calls] = [Number(values.rounds), Number(values.calls)];
  const figures = new Map<string, Figures>();
  for (const subject of CASES) figures.set(subject.name, await measure(subject, calls, rounds));
  console.log(
    values.json
      ? JSON.stringify({ rounds, calls, nsPerCall: Object.fromEntries(figures) })
      : markdown(rounds, calls, figures),
  );
}
