/**
 * `make demo`: the whole way through the system, with the command line that users have.
 *
 *   workload ─► capture ─► OTLP/gRPC ─► receive ─► v1 NDJSON ─► validate
 *
 * Where eBPF is not allowed, a recorded frame file takes the place of the live capture.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const RECORDING = fileURLToPath(new URL("demo.frames", import.meta.url));
const CAPTURE_SECONDS = 4;
const STEP_TIMEOUT_MS = 30_000;
/** Which record of a type to show, where there is one. */
const SHOWN: Readonly<Record<string, RegExp>> = {
  file_open: /"path":"\/etc\/hostname"/,
  process_exec: /"argv0":"cat"/,
  tcp_state: /"newstate":"ESTABLISHED"/,
};

const scratch = mkdtempSync(join(tmpdir(), "runtime-evidence-demo-"));
const evidencePath = join(scratch, "evidence.ndjson");

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Starts a subcommand; `line` resolves with the first line of its standard error that matches. */
function start(args: readonly string[]): {
  child: ChildProcess;
  line(match: RegExp): Promise<RegExpExecArray>;
} {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const seen: string[] = [];
  const waiting: { match: RegExp; resolve(found: RegExpExecArray): void }[] = [];
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on("line", (text) => {
    seen.push(text);
    for (const { match, resolve } of waiting) {
      const found = match.exec(text);
      if (found !== null) resolve(found);
    }
  });
  const line = (match: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      for (const text of seen) {
        const found = match.exec(text);
        if (found !== null) resolve(found);
      }
      waiting.push({ match, resolve });
      child.once("close", () => reject(new Error(`${args[0]} ended early:\n${seen.join("\n")}`)));
    });
  return { child, line };
}

/** Opens, an exec and a connection or two, until aborted. */
async function workload(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await promisify(execFile)("sh", [
      "-c",
      "cat /etc/hostname /etc/os-release > /dev/null; ls / > /dev/null",
    ]);
    const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
    socket.resume();
    await once(socket, "close");
    server.close();
    await sleep(100);
  }
}

async function capture(grpcAddress: string): Promise<string> {
  const doctor = spawn(process.execPath, [CLI, "doctor", "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  let report = "";
  doctor.stdout.on("data", (chunk: Buffer) => {
    report += chunk.toString();
  });
  const [code] = (await once(doctor, "close")) as [number];
  const live = code === 0;
  if (!live) {
    const hooks =
      report === "" ? [] : (JSON.parse(report) as { hooks: { hook: string; reason?: string }[] }).hooks;
    say("Live capture is not allowed here:");
    for (const { hook, reason } of hooks) say(`  ${hook}: ${reason ?? "off"}`);
    say("Replaying a recorded frame file instead.\n");
  } else {
    say(`Capturing everything on this machine for ${CAPTURE_SECONDS} s while a small workload runs ...\n`);
  }
  const sink = ["--otlp-endpoint", `http://${grpcAddress}`, "--otlp-protocol", "grpc"];
  const args = live
    ? ["capture", ...sink, "--duration", `${CAPTURE_SECONDS}s`]
    : ["replay", RECORDING, ...sink];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "inherit", "pipe"] });
  let summary = "";
  child.stderr.on("data", (chunk: Buffer) => {
    summary += chunk.toString();
  });
  const stop = new AbortController();
  const work = live ? workload(stop.signal) : Promise.resolve();
  const [exitCode] = (await once(child, "close")) as [number];
  stop.abort();
  await work;
  if (exitCode !== 0) throw new Error(`${args[0]} ended with exit code ${exitCode}:\n${summary}`);
  return summary;
}

function showEvidence(): void {
  const lines = readFileSync(evidencePath, "utf8").trimEnd().split("\n");
  const byType = new Map<string, string[]>();
  for (const line of lines) {
    // Only to group them: JSON.parse would round 64-bit integers.
    const { event } = JSON.parse(line) as { event: { type: string } };
    byType.set(event.type, [...(byType.get(event.type) ?? []), line]);
  }
  say(`Runtime Evidence v1, rebuilt from OTLP: ${lines.length} records`);
  for (const [type, records] of byType) say(`  ${type.padEnd(13)} ${records.length}`);
  say("\nFor example:");
  for (const [type, records] of byType) {
    const telling = SHOWN[type];
    say(`  ${records.find((record) => telling?.test(record)) ?? records[0]}`);
  }
}

async function demo(): Promise<void> {
  const receiver = start(["receive", "--grpc", "127.0.0.1:0", "--http", "none", "--output", evidencePath]);
  const timeout = setTimeout(() => receiver.child.kill("SIGKILL"), STEP_TIMEOUT_MS + CAPTURE_SECONDS * 1000);
  try {
    const [, address] = await receiver.line(/OTLP\/gRPC on (\S+?);/);
    const summary = await capture(address as string);
    receiver.child.kill("SIGTERM");
    await once(receiver.child, "close");
    showEvidence();
    say(`\nThe books of each probe:\n${summary.trimEnd().replaceAll(/^/gm, "  ")}`);
    const { stderr } = await promisify(execFile)(process.execPath, [CLI, "validate", evidencePath]);
    say(`\nAgainst the schema: ${stderr.trim()}`);
  } finally {
    clearTimeout(timeout);
    receiver.child.kill("SIGKILL");
    rmSync(scratch, { recursive: true });
  }
}

await demo();
