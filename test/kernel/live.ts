/**
 * Live captures for tests: the command line as users have it, on the real kernel.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Mocha from "mocha";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { startProcess, until } from "../process.ts";
import { skip } from "../skip.ts";

export const REPOSITORY = new URL("../../", import.meta.url).pathname;
export const CLI = join(REPOSITORY, "dist/cli/main.js");
const RUN_TIMEOUT_MS = 60_000;

export const trigger = (name: string): string => join(REPOSITORY, "build/triggers", name);

let refusal: string | false | undefined;

/** Why this machine can't run kernel tests; false where it can. */
function refused(): string | false {
  if (!existsSync(CLI)) return 'dist/ is not built: run "make build"';
  if (process.getuid?.() !== 0) return "live capture needs root";
  try {
    execFileSync(process.execPath, [CLI, "doctor", "--json"], { timeout: RUN_TIMEOUT_MS });
    return false;
  } catch (error) {
    return `no hook can be attached here: ${String((error as { stdout?: Buffer }).stdout).slice(0, 500)}`;
  }
}

/** Skips the suite, with the reason, where these probes have no hook that can be attached. */
export function needsProbes(context: Mocha.Context, probes: readonly string[]): void {
  needsKernel(context);
  const report = execFileSync(process.execPath, [CLI, "doctor", "--json"], { timeout: RUN_TIMEOUT_MS });
  const { hooks } = JSON.parse(report.toString()) as {
    hooks: { probe: string; state: string; reason?: string }[];
  };
  for (const probe of probes) {
    const own = hooks.filter((hook) => hook.probe === probe);
    if (own.some(({ state }) => state === "on")) continue;
    skip(context, `${probe} is off here: ${own[0]?.reason ?? "the probe does not know it"}`);
  }
}

/** Skips the suite, with the reason, where a program of build/triggers could not be compiled. */
export function needsTrigger(context: Mocha.Context, ...names: string[]): void {
  for (const name of names) {
    if (!existsSync(trigger(name)))
      skip(context, `build/triggers/${name} was not built: its compiler is missing`);
  }
}

/** Skips the suite, with the reason, where a command is not installed. */
export function needsCommand(context: Mocha.Context, ...names: string[]): void {
  for (const name of names) {
    try {
      execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    } catch {
      skip(context, `${name} is not installed`);
    }
  }
}

/** Skips the suite, with the reason, where the kernel or the user does not allow live capture. */
export function needsKernel(context: Mocha.Context): void {
  refusal ??= refused();
  if (refusal !== false) skip(context, refusal);
}

export interface CliRun {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line to its end. */
export async function runCli(args: readonly string[], input?: string | Buffer): Promise<CliRun> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_TIMEOUT_MS);
  child.stdin.on("error", () => {}); // a command that does not read its input may end first
  child.stdin.end(input);
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on("data", (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.stderr.push(chunk));
  const code = await new Promise<number>((resolve) => child.once("close", (exit) => resolve(exit ?? -1)));
  clearTimeout(timer);
  return {
    code,
    stdout: Buffer.concat(chunks.stdout).toString(),
    stderr: Buffer.concat(chunks.stderr).toString(),
  };
}

const validate = createValidator();

/** The records of v1 NDJSON; each must be valid. */
export function readRecords(ndjson: string): EvidenceRecord[] {
  return ndjson
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const result = validate(parseEvidenceJson(line));
      assert.ok(result.valid, `${line}: ${result.valid ? "" : result.errors.join("; ")}`);
      return result.record;
    });
}

/** The books as `--summary json` prints them. */
export interface Books {
  probe: string;
  seen: string;
  exported: string;
  /** On disk, for the next run. */
  spooled: string;
  filtered: string;
  lost: Record<string, string>;
  unaccounted: string;
}

export interface CaptureRun extends CliRun {
  records: EvidenceRecord[];
  books: Books[];
}

/** Captures into a file, so that a command's own output stays apart, and checks the law of every probe. */
export async function capture(args: readonly string[], command: readonly string[] = []): Promise<CaptureRun> {
  const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-capture-"));
  const output = join(directory, "evidence.ndjson");
  try {
    const tail = command.length > 0 ? ["--", ...command] : [];
    const run = await runCli(["capture", "--summary", "json", "--output", output, ...args, ...tail]);
    const books = booksOf(run);
    assertBooksBalance(books);
    return { ...run, records: readRecords(readFileSync(output, "utf8")), books };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A capture in the background, for what does not descend from one command. */
export interface BackgroundCapture {
  /** Process id of the exporter. */
  readonly exporter: number;
  /** Process id of what the exporter started: the probe's keeper. */
  readonly keeper: string;
  /** Process id of the part of the probe that delivers, as of now. */
  pump(): Promise<string>;
  /** What it has said so far on standard error. */
  said(): string;
  /** How many records it has written so far. */
  written(): number;
  /** Resolves when it has ended, by itself or not. */
  readonly exited: Promise<unknown>;
  /** Ends it in order. */
  stop(): Promise<CaptureRun>;
}

/** Starts a capture; resolves once everything that runs by then is attached to. */
export async function startCapture(args: readonly string[]): Promise<BackgroundCapture> {
  const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-capture-"));
  const output = join(directory, "evidence.ndjson");
  const frames = join(directory, "evidence.frames");
  const running = await startProcess({
    command: process.execPath,
    args: [CLI, "capture", "--summary", "json", "--output", output, "--record", frames, ...args],
    // The first frame comes when all is attached.
    isReady: () => existsSync(frames) && statSync(frames).size > 0,
    readyTimeoutMs: RUN_TIMEOUT_MS,
    stopTimeoutMs: RUN_TIMEOUT_MS,
    outputBytesMax: 16 * 1024 * 1024,
  });
  const keeper = childOf(running.pid) ?? "";
  assert.notEqual(keeper, "", "the exporter has no child");
  return {
    exporter: running.pid,
    keeper,
    pump: () => pumpOf(keeper),
    exited: running.exited,
    said: () => running.output().stderr,
    written: () => readFileSync(output, "utf8").split("\n").length - 1,
    stop: async () => {
      const { code } = await running.stop();
      try {
        const run = { code: code ?? -1, ...running.output() };
        const books = booksOf(run);
        assertBooksBalance(books);
        return { ...run, records: readRecords(readFileSync(output, "utf8")), books };
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  };
}

/** Process id of one child, if there is one. */
export function childOf(parent: number | string): string | undefined {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return processes.find((pid) => new RegExp(`^PPid:\\t${parent}$`, "m").test(statusText(pid)));
}

/** The child of a keeper; waits for it, as it may just be started. */
export async function pumpOf(keeper: number | string): Promise<string> {
  let pump: string | undefined;
  await until(
    () => {
      pump = childOf(keeper);
      return pump !== undefined;
    },
    () => `a pump of keeper ${keeper}`,
  );
  return pump as string;
}

function statusText(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return ""; // it ended while we looked
  }
}

export function booksOf(run: CliRun): Books[] {
  const line = run.stderr.split("\n").find((text) => text.startsWith('{"probes"'));
  assert.ok(line !== undefined, `no summary on standard error:\n${run.stderr}`);
  return (JSON.parse(line) as { probes: Books[] }).probes;
}

/** seen = exported + spooled + filtered + lost, exactly, for each probe. */
export function assertBooksBalance(books: readonly Books[]): void {
  for (const { probe, seen, exported, spooled, filtered, lost, unaccounted } of books) {
    const total = [exported, spooled, filtered, ...Object.values(lost)].reduce(
      (sum, count) => sum + BigInt(count),
      0n,
    );
    assert.equal(BigInt(seen), total, `${probe} does not balance`);
    assert.equal(unaccounted, "0", `${probe} has events unaccounted for`);
  }
}
