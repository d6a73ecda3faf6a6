/**
 * The whole way on this machine's cores: a program that opens a file as fast as it can, captured and encoded
 * and thrown away, and captured and sent to the real Collector (nop exporter) on the same cores; then what
 * an idle capture costs.
 *
 *     node bench/end-to-end.ts [--opens 1000000] [--rounds 3] [--idle-seconds 10] [--json]
 *
 * Needs root, build/triggers/open-loop and build/otelcol.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { collectorMissing, startCollector } from "../test/backends/collector.ts";
import { type StartedProcess, startProcess } from "../test/process.ts";

const REPOSITORY = new URL("../", import.meta.url).pathname;
const CLI = join(REPOSITORY, "dist/cli/main.js");
const OPEN_LOOP = join(REPOSITORY, "build/triggers/open-loop");
const SAMPLE_MS = 20;
const RUN_TIMEOUT_MS = 120_000;
/** USER_HZ; the same on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface FlowResult {
  name: string;
  eventsPerSecond: number;
  lost: number;
  cpuUsPerEvent: number;
  rssPeakMiB: number;
}

function readStatus(pid: number): { name: string; parent: number; rssKiB: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(text)?.[1] ?? "0";
    return { name: field("Name"), parent: Number(field("PPid")), rssKiB: Number(field("VmRSS")) };
  } catch {
    return undefined; // it has ended
  }
}

function cpuTicks(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

/** The exporter and the probe it started; not the launcher, which only waits. */
function ownProcesses(exporter: number): number[] {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => readStatus(pid)?.parent === exporter);
  const probes = children.filter((pid) => {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return commandLine.includes("runtime-evidence-probe") && !commandLine.includes("launch");
  });
  return [exporter, ...probes];
}

/** Watches memory and CPU until the exporter ends. */
async function watch(running: StartedProcess): Promise<{ rssPeakMiB: number; cpuSeconds: number }> {
  let rssPeakKiB = 0;
  const ticks = new Map<number, number>();
  let ended = false;
  void running.exited.then(() => {
    ended = true;
  });
  while (!ended) {
    let rssKiB = 0;
    for (const pid of ownProcesses(running.pid)) {
      rssKiB += readStatus(pid)?.rssKiB ?? 0;
      ticks.set(pid, Math.max(ticks.get(pid) ?? 0, cpuTicks(pid)));
    }
    rssPeakKiB = Math.max(rssPeakKiB, rssKiB);
    await delay(SAMPLE_MS);
  }
  const cpuSeconds = [...ticks.values()].reduce((sum, count) => sum + count, 0) / TICKS_PER_SECOND;
  return { rssPeakMiB: rssPeakKiB / 1024, cpuSeconds };
}

async function flow(name: string, sink: readonly string[], opens: number): Promise<FlowResult> {
  const loop = [OPEN_LOOP, "/nonexistent/end-to-end", String(opens)];
  const startedMs = performance.now();
  const running = await startProcess({
    command: CLI,
    args: ["capture", "--events", "file_open", "--summary", "json", ...sink, "--", ...loop],
  });
  const timer = setTimeout(() => void running.stop(), RUN_TIMEOUT_MS);
  const used = await watch(running);
  clearTimeout(timer);
  const { code } = await running.exited;
  const { stdout, stderr } = running.output();
  const summary = stderr.split("\n").find((line) => line.startsWith('{"probes"'));
  if (code !== 0 || summary === undefined) throw new Error(`${name}: exit code ${code}\n${stderr}`);
  const [books] = (JSON.parse(summary) as { probes: { exported: string; lost: Record<string, string> }[] })
    .probes;
  const loopSeconds = Number(stdout.trim().split("\n").at(-1)) / 1e9;
  const wallSeconds = (performance.now() - startedMs) / 1000;
  return {
    name,
    // From the first open to the last acknowledgement, less the start of the exporter itself.
    eventsPerSecond: Number(books?.exported) / Math.max(loopSeconds, wallSeconds - START_SECONDS),
    lost: Object.values(books?.lost ?? {}).reduce((sum, count) => sum + Number(count), 0),
    cpuUsPerEvent: (used.cpuSeconds * 1e6) / opens,
    rssPeakMiB: used.rssPeakMiB,
  };
}

/** What a capture takes to start and end without events; measured once, before the flows. */
let START_SECONDS = 0;

async function measureStart(): Promise<void> {
  const startedMs = performance.now();
  const running = await startProcess({
    command: CLI,
    args: ["capture", "--events", "file_open", "--discard", "--", "true"],
  });
  await running.exited;
  START_SECONDS = (performance.now() - startedMs) / 1000;
}

async function idle(seconds: number): Promise<{ cpuPercent: number; rssMiB: number }> {
  const running = await startProcess({
    command: CLI,
    args: ["capture", "--discard", "--comm", "no-such-program"],
  });
  await delay(3000);
  const pids = ownProcesses(running.pid);
  const total = () => pids.reduce((sum, pid) => sum + cpuTicks(pid), 0);
  const before = total();
  await delay(seconds * 1000);
  const cpuPercent = ((total() - before) / TICKS_PER_SECOND / seconds) * 100;
  const rssMiB = pids.reduce((sum, pid) => sum + (readStatus(pid)?.rssKiB ?? 0), 0) / 1024;
  await running.stop();
  return { cpuPercent, rssMiB };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function medianOf(results: readonly FlowResult[]): FlowResult {
  const of = (pick: (result: FlowResult) => number) => median(results.map(pick));
  return {
    name: results[0]?.name ?? "",
    eventsPerSecond: of((result) => result.eventsPerSecond),
    lost: Math.max(...results.map(({ lost }) => lost)),
    cpuUsPerEvent: of((result) => result.cpuUsPerEvent),
    rssPeakMiB: of((result) => result.rssPeakMiB),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      opens: { type: "string", default: "1000000" },
      rounds: { type: "string", default: "3" },
      "idle-seconds": { type: "string", default: "10" },
      json: { type: "boolean", default: false },
    },
  });
  const missing = process.getuid?.() === 0 ? collectorMissing() : "needs root";
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return;
  }
  const opens = Number(values.opens);
  await measureStart();
  const discarded: FlowResult[] = [];
  const collected: FlowResult[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    discarded.push(await flow("kernel → OTLP, thrown away", ["--discard"], opens));
    const collector = await startCollector({ config: "nop" });
    const sink = ["--otlp-endpoint", collector.grpcEndpoint, "--otlp-protocol", "grpc"];
    collected.push(await flow("kernel → real Collector (nop)", sink, opens));
    await collector.remove();
  }
  const flows = [medianOf(discarded), medianOf(collected)];
  const resting = await idle(Number(values["idle-seconds"]));
  if (values.json) {
    console.log(JSON.stringify({ flows, idle: resting }));
    return;
  }
  console.log("| flow | events/s | lost (worst round) | CPU µs/event, probe + exporter | RSS peak MiB |");
  console.log("|---|--:|--:|--:|--:|");
  for (const { name, eventsPerSecond, lost, cpuUsPerEvent, rssPeakMiB } of flows) {
    const rate = Math.round(eventsPerSecond).toLocaleString("en-US");
    console.log(`| ${name} | ${rate} | ${lost} | ${cpuUsPerEvent.toFixed(2)} | ${rssPeakMiB.toFixed(0)} |`);
  }
  console.log(`\nIdle: ${resting.cpuPercent.toFixed(2)} % of one core, ${resting.rssMiB.toFixed(0)} MiB.`);
}

await main();
