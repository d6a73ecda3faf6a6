/** Starts real programs for tests: bounded wait until ready, captured output, ended by their own pid. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { type AddressInfo, createServer, type Server } from "node:net";
import { pipeline, type Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

export interface StartOptions {
  readonly command: string;
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** For its standard input; nothing by default. */
  readonly input?: Readable;
  /** Added to the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Asked every few milliseconds until it says true; by default the program is ready at once. */
  readonly isReady?: (output: Output) => boolean | Promise<boolean>;
  /** Default 20 s. */
  readonly readyTimeoutMs?: number;
  /** How long the program may take to end after SIGTERM before SIGKILL. Default 10 s. */
  readonly stopTimeoutMs?: number;
  /** Most bytes kept of each of stdout and stderr; the newest are kept. Default 1 MiB. */
  readonly outputBytesMax?: number;
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartedProcess {
  readonly pid: number;
  /** What it has written so far. */
  output(): Output;
  /** Resolves when it has ended and its output is read. */
  readonly exited: Promise<Exit>;
  /** Ends it, and waits for that: SIGTERM, then SIGKILL after `stopTimeoutMs`. */
  stop(): Promise<Exit>;
}

const POLL_MS = 20;
const OUTPUT_BYTES_MAX_DEFAULT = 1024 * 1024;

/** Starts a program and waits until it is ready; where it ends or is late, ends it and throws its output. */
export async function startProcess(options: StartOptions): Promise<StartedProcess> {
  const child = spawn(options.command, options.args ?? [], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  // A program that ends before its input does is looked at by its exit.
  if (options.input !== undefined && child.stdin !== null) pipeline(options.input, child.stdin, () => {});
  const started = watch(child, options);
  const ended = { exit: undefined as Exit | undefined };
  started.exited.then(
    (exit) => {
      ended.exit = exit;
    },
    () => {},
  );
  // Rejects where the program can't be started at all.
  await Promise.race([new Promise((resolve) => child.once("spawn", resolve)), started.exited]);
  try {
    await ready(options, started, () => ended.exit);
  } catch (thrown) {
    await started.stop();
    const { stdout, stderr } = started.output();
    throw new Error(`${options.command} ${String(thrown)}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`);
  }
  return started;
}

/** Waits until `check` holds; fails with `what` after `timeoutMs`. */
export async function until(
  check: () => boolean | Promise<boolean>,
  what: () => string,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `never came: ${what()}`);
    await delay(5);
  }
}

async function ready(
  { isReady, readyTimeoutMs = 20_000 }: StartOptions,
  started: StartedProcess,
  exit: () => Exit | undefined,
): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  while (!((await isReady?.(started.output())) ?? true)) {
    const ended = exit();
    if (ended !== undefined) throw new Error(`ended before it was ready (${ended.code ?? ended.signal})`);
    if (performance.now() > deadline) throw new Error(`was not ready after ${readyTimeoutMs} ms`);
    await delay(POLL_MS);
  }
}

function watch(child: ChildProcess, options: StartOptions): StartedProcess {
  const outputBytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX_DEFAULT;
  const stdout = keepOutput(child.stdout, outputBytesMax);
  const stderr = keepOutput(child.stderr, outputBytesMax);
  // A test run that ends early leaves no program behind.
  const killWithTest = () => child.kill("SIGKILL");
  process.once("exit", killWithTest);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  }).finally(() => process.off("exit", killWithTest));
  return {
    get pid() {
      return child.pid as number;
    },
    output: () => ({ stdout: stdout(), stderr: stderr() }),
    exited,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), options.stopTimeoutMs ?? 10_000);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function keepOutput(stream: NodeJS.ReadableStream | null, outputBytesMax: number): () => string {
  const chunks: Buffer[] = [];
  let byteCount = 0;
  stream?.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    byteCount += chunk.length;
    while (byteCount > outputBytesMax && chunks.length > 1) byteCount -= chunks.shift()?.length ?? 0;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** Below those that the kernel gives to whoever connects, so that no connection of another test takes one meanwhile. */
const PORTS = { first: 20_000, count: 10_000 };

/** `count` loopback TCP ports that were free just now, for servers that can't take port 0. */
export async function freePorts(count: number): Promise<number[]> {
  // All are held before the first is given up, so that no port is given out twice.
  const held: Server[] = [];
  while (held.length < count) {
    const server = await listenOn(PORTS.first + Math.floor(Math.random() * PORTS.count));
    if (server !== undefined) held.push(server);
  }
  const ports = held.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Undefined where the port is taken. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Whether a process is there, also one that has ended and that nobody has waited for. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
