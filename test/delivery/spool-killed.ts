/** Kills a process that fills a spool, again and again, and holds what is left against what it was promised. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { SpoolFsync } from "../../src/delivery/spool.ts";
import type { SpoolScratch } from "./spool-scratch.ts";
import { spooledRequest } from "./spooled-request.ts";

const WRITER = fileURLToPath(new URL("spool-filler.ts", import.meta.url));
const KILL_WITHIN_MS = 80;
const REMOVALS_UNDER_WAY_MAX = 20;

/** A writer that has been killed: what it said before. */
interface Killed {
  readonly offered: readonly number[];
  readonly delivered: readonly number[];
}

/** Starts the writer; `said` grows while it lives. */
export function startWriter(directory: string, fsync: SpoolFsync, first: number) {
  const child = spawn(process.execPath, [WRITER, directory, fsync, String(first)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let complained = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    complained += chunk;
  });
  return { child, said: () => said, complained: () => complained };
}

/** Kills a process that this test has started, and waits until it is gone. */
export function killed(child: ChildProcess): Promise<void> {
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.kill("SIGKILL");
  return closed;
}

/** Runs the writer until a random moment after its first offer. */
async function writeAndKill(directory: string, fsync: SpoolFsync, first: number): Promise<Killed> {
  const { child, said, complained } = startWriter(directory, fsync, first);
  const deadline = performance.now() + 20_000;
  while (!said().includes("offered")) {
    assert.ok(child.exitCode === null && performance.now() < deadline, `no offer: ${complained()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, Math.random() * KILL_WITHIN_MS));
  await killed(child);
  const numbers = (word: string) =>
    Array.from(said().matchAll(new RegExp(`^${word} (\\d+)$`, "gm")), ([, number]) => Number(number));
  return { offered: numbers("offered"), delivered: numbers("delivered") };
}

/** Kills a writer `rounds` times in one directory, and looks at what is left after each. */
export async function surviveKills(scratch: SpoolScratch, fsync: SpoolFsync, rounds: number): Promise<void> {
  const directory = scratch.directory();
  let left: number[] = [];
  let first = 1;
  for (let round = 0; round < rounds; round++) {
    const { offered, delivered } = await writeAndKill(directory, fsync, first);
    assert.deepEqual(
      offered,
      offered.map((_, index) => first + index),
    );
    const gone = new Set(delivered);
    const promised = [...left, ...offered].filter((number) => !gone.has(number));
    const found = await contents(scratch, directory);
    const unsaid = (offered.at(-1) as number) + 1;
    // The last offer may have resolved unheard, and the last removals may not have been carried out.
    const mayBeThere = new Set([...promised, unsaid, ...delivered.slice(-REMOVALS_UNDER_WAY_MAX)]);
    assert.deepEqual(
      promised.filter((number) => !found.includes(number)),
      [],
      `round ${round}: lost`,
    );
    assert.deepEqual(
      found.filter((number) => !mayBeThere.has(number)),
      [],
      `round ${round}: came back`,
    );
    left = found;
    first = unsaid + 1;
  }
}

/** The numbers of all requests, each found whole, in order. */
async function contents(scratch: SpoolScratch, directory: string): Promise<number[]> {
  const queue = await scratch.open({ directory, memoryBytesMax: 0 });
  const { requests, damagedFiles, unknownFiles, temporaryFiles } = queue.recovered;
  assert.deepEqual({ damagedFiles, unknownFiles }, { damagedFiles: 0, unknownFiles: 0 });
  assert.ok(temporaryFiles <= 1);
  const numbers: number[] = [];
  for (let index = 0; index < requests; index++) {
    const lease = await queue.take(AbortSignal.timeout(5_000));
    assert.ok(lease);
    const { body, recordCount, ...facts } = lease.request;
    const { body: expected, recordCount: number, ...said } = spooledRequest(recordCount);
    assert.equal(Buffer.compare(body, expected), 0, `request ${number} is whole`);
    assert.deepEqual(facts, said);
    numbers.push(number);
  }
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  await queue.end();
  return numbers;
}
