/**
 * What tracing adds to one open(), beside opensnoop in the same run. Rounds are paired: each measures the
 * same loop of opens untraced, captured by this project and traced by opensnoop, in turning order, so that a
 * machine that gets slower or faster meanwhile changes all three alike.
 *
 *     node bench/open-cost.ts [--rounds 3] [--opens 300000] [--json] [-- CAPTURE-COMMAND...]
 *
 * The loop is appended to the capture command behind "--". Needs root, build/triggers/open-loop and
 * opensnoop of Debian's libbpf-tools.
 */

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { startProcess } from "../test/process.ts";

const REPOSITORY = new URL("../", import.meta.url).pathname;
const OPEN_LOOP = join(REPOSITORY, "build/triggers/open-loop");
const OPENSNOOP = "/usr/sbin/opensnoop";
const CAPTURE = ["src/cli/main.ts", "capture", "--events", "file_open", "--discard", "--summary", "json"];
/** Not there: an open without a file system's work behind it costs the least and shows the tracer most. */
const MISSING_PATH = "/nonexistent/open-cost";
const LOOP_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

type Mode = "untraced" | "ours" | "opensnoop";
const MODES: readonly Mode[] = ["untraced", "ours", "opensnoop"];

interface Setup {
  readonly opens: number;
  readonly captureCommand: readonly string[];
}

interface Report {
  readonly rounds: number;
  readonly opens: number;
  /** Medians, in nanoseconds per open. */
  readonly nsPerOpen: Readonly<Record<Mode, number>>;
  /** Medians of the rounds' differences to untraced, in nanoseconds. */
  readonly addedNs: Readonly<Record<"ours" | "opensnoop", number>>;
  /** How many times more opensnoop adds. */
  readonly ratio: number;
}

/** Why this can't run here. */
function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(OPEN_LOOP)) return "build/triggers/open-loop is not built";
  if (!existsSync(OPENSNOOP)) return `${OPENSNOOP} is not there (Debian: apt-get install libbpf-tools)`;
  return undefined;
}

/** Runs the loop with nothing around it; nanoseconds per open. */
async function untraced({ opens }: Setup): Promise<number> {
  const { stdout } = await run(OPEN_LOOP, [MISSING_PATH, String(opens)], { timeout: LOOP_TIMEOUT_MS });
  return Number(stdout) / opens;
}

/** Runs the loop under our capture, and checks that every open was seen and none was lost. */
async function ours({ opens, captureCommand }: Setup): Promise<number> {
  const [command = "", ...args] = [...captureCommand, "--", OPEN_LOOP, MISSING_PATH, String(opens)];
  const { stdout, stderr } = await run(command, args, { cwd: REPOSITORY, timeout: LOOP_TIMEOUT_MS });
  const summary = stderr.split("\n").findLast((line) => line.startsWith('{"probes"'));
  if (summary === undefined) throw new Error(`the capture printed no summary:\n${stderr}`);
  const probes: { probe: string; exported: string; lost: Record<string, string> }[] =
    JSON.parse(summary).probes;
  const files = probes.find(({ probe }) => probe === "file_open");
  if (Number(files?.exported) < opens || Object.keys(files?.lost ?? {}).length > 0) {
    throw new Error(`the capture missed some of ${opens} opens: ${JSON.stringify(files)}`);
  }
  return Number(stdout) / opens;
}

/** Runs the loop under opensnoop, which prints to nowhere, and checks that it was kept busy. */
async function opensnoop(setup: Setup): Promise<number> {
  const started = await startProcess({
    command: "unshare",
    // opensnoop needs tracefs, which is not mounted everywhere: mount it where only opensnoop sees it.
    args: ["-m", "sh", "-c", `mount -t tracefs none /sys/kernel/tracing; exec ${OPENSNOOP} >/dev/null`],
  });
  try {
    await attached(started.pid, started.output);
    const busyBeforeMs = cpuTimeMs(started.pid);
    const nsPerOpen = await untraced(setup);
    const busyMs = cpuTimeMs(started.pid) - busyBeforeMs;
    // Printing an event takes it about a microsecond; a tracer that sees nothing uses no time at all.
    if (busyMs * 1e6 < setup.opens * 100) throw new Error(`opensnoop did only ${busyMs} ms of work`);
    return nsPerOpen;
  } finally {
    await started.stop();
  }
}

/** Waits until opensnoop has its probes and its buffers: they are perf events, and no more are added. */
async function attached(pid: number, output: () => { stderr: string }): Promise<void> {
  let before = 0;
  for (let waits = 0; waits < 100; waits++) {
    await delay(200);
    const count = perfEventCount(pid);
    if (count > 0 && count === before) return;
    before = count;
  }
  throw new Error(`opensnoop did not attach: ${output().stderr}`);
}

function perfEventCount(pid: number): number {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).filter((fd) => {
    try {
      return readlinkSync(join(directory, fd)).includes("perf_event");
    } catch {
      return false; // Closed since it was listed.
    }
  }).length;
}

/** User and system time, proc(5): fields 14 and 15 of stat, counted behind the name, in 10 ms ticks. */
function cpuTimeMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function measure(setup: Setup, rounds: number): Promise<Report> {
  const measured: Record<Mode, number>[] = [];
  const runners = { untraced, ours, opensnoop };
  for (let round = 0; round < rounds; round++) {
    const result = { untraced: 0, ours: 0, opensnoop: 0 };
    for (let turn = 0; turn < MODES.length; turn++) {
      const mode = MODES[(round + turn) % MODES.length] as Mode;
      result[mode] = await runners[mode](setup);
    }
    const text = MODES.map((mode) => `${mode} ${Math.round(result[mode])} ns`).join(", ");
    console.error(`round ${round + 1} of ${rounds}: ${text} per open`);
    measured.push(result);
  }
  const added = (mode: Mode) => median(measured.map((result) => result[mode] - result.untraced));
  const addedNs = { ours: added("ours"), opensnoop: added("opensnoop") };
  const of = (mode: Mode) => median(measured.map((result) => result[mode]));
  return {
    rounds,
    opens: setup.opens,
    nsPerOpen: { untraced: of("untraced"), ours: of("ours"), opensnoop: of("opensnoop") },
    addedNs,
    ratio: addedNs.opensnoop / addedNs.ours,
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

function markdown({ rounds, opens, nsPerOpen, addedNs, ratio }: Report): string {
  const row = (name: string, perOpen: number, added?: number) =>
    `| ${name} | ${Math.round(perOpen)} | ${added === undefined ? "" : Math.round(added)} |`;
  return [
    `Medians of ${rounds} paired rounds of ${opens} opens of a missing file.`,
    "",
    "| traced by | ns per open | added ns |",
    "|---|--:|--:|",
    row("nothing", nsPerOpen.untraced),
    row("runtime-evidence", nsPerOpen.ours, addedNs.ours),
    row("opensnoop", nsPerOpen.opensnoop, addedNs.opensnoop),
    "",
    ratio > 0
      ? `opensnoop adds ${ratio.toFixed(1)} times as much.`
      : "What we add is below this machine's noise.",
  ].join("\n");
}

const { values, positionals } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    opens: { type: "string", default: "300000" },
    json: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const reason = missing();
if (reason !== undefined) {
  console.error(`skipped: ${reason}`);
} else {
  const captureCommand = positionals.length > 0 ? positionals : [process.execPath, ...CAPTURE];
  const report = await measure({ opens: Number(values.opens), captureCommand }, Number(values.rounds));
  console.log(values.json ? JSON.stringify(report) : markdown(report));
}
