/** A live capture with its queue on disk, killed at random moments; its spool is delivered by the runs after it. */
import assert from "node:assert/strict";
import { openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeSpoolFile } from "../../src/delivery/spool-file.ts";
import { childOf, readRecords, runCli } from "../kernel/live.ts";
import { freePorts, isAlive, until } from "../process.ts";
import { openDirectory, startOpensCapture, type Verified, verifyStored } from "./exporter-run.ts";
import { RestartedCollector } from "./restarted-collector.ts";

const KILL_WITHIN_MS = 2500;
/**
 * Evidence is sealed after a second at the latest (`--batch-age`); what was in the ring and the pipe comes on top, and
 * what the machine had others do meanwhile.
 */
const UNSEALED_MS_MAX = 1000 + 1500;
const OPENS_PER_TICK = 10;
const TICK_MS = 5;
/** Other tests open files, too. */
const PATH = `/nonexistent/killed-${process.pid}/`;

/** Opens of files that don't exist, each under a number of its own, and when they were. */
class NumberedOpens {
  readonly openedAtMs: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(round: number) {
    this.#timer = setInterval(() => this.#open(round), TICK_MS);
  }

  #open(round: number): void {
    for (let count = 0; count < OPENS_PER_TICK; count++) {
      try {
        openSync(`${PATH}${round}/${this.openedAtMs.length}`, "r");
      } catch {
        this.openedAtMs.push(performance.now());
      }
    }
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

interface Killed {
  readonly killedAtMs: number;
  readonly openedAtMs: readonly number[];
  /** By stream, the highest number that was sealed and is in the spool. */
  readonly sealed: ReadonlyMap<string, number>;
}

/**
 * Kills `rounds` captures on one spool, every other one while no collector answers; a last one ends in order.
 * @returns the longest time of evidence that was lost unsealed, in milliseconds.
 */
export async function surviveKills(rounds: number): Promise<number> {
  const directory = openDirectory();
  const spool = join(directory, "spool");
  const collector = await RestartedCollector.create();
  try {
    await collector.start();
    const [deadPort] = await freePorts(1);
    const killed: Killed[] = [];
    for (let round = 0; round < rounds; round++) {
      const endpoint = round % 2 === 0 ? `http://127.0.0.1:${deadPort}` : collector.grpcEndpoint;
      killed.push(await captureAndKill(endpoint, spool, round));
    }
    const last = await startOpensCapture(collector.grpcEndpoint, capturing(spool));
    const { code } = await last.stop();
    assert.equal(code, 0, last.output().stderr);
    await collector.stop();
    assert.deepEqual(spoolFiles(spool), []);
    const verified = await verifyStored(collector.stored());
    assertStreams(verified, killed);
    return await assertWindow(collector.stored(), killed);
  } finally {
    await collector.remove();
    rmSync(directory, { recursive: true });
  }
}

const capturing = (spool: string): string[] => [...["--queue", "disk", "--spool-dir", spool, "--path", PATH]];

async function captureAndKill(endpoint: string, spool: string, round: number): Promise<Killed> {
  const capture = await startOpensCapture(endpoint, capturing(spool));
  const keeper = Number(childOf(capture.pid));
  const opens = new NumberedOpens(round);
  await sleep(Math.random() * KILL_WITHIN_MS);
  process.kill(capture.pid, "SIGKILL");
  const killedAtMs = performance.now();
  opens.end();
  await capture.exited;
  await until(
    () => !isAlive(keeper),
    () => "the end of the probe of an exporter that was killed",
  );
  return { killedAtMs, openedAtMs: opens.openedAtMs, sealed: sealedIn(spool) };
}

function spoolFiles(spool: string): string[] {
  return readdirSync(spool).filter((name) => /\.(?:request|stream)$/.test(name));
}

function sealedIn(spool: string): Map<string, number> {
  const sealed = new Map<string, number>();
  for (const name of spoolFiles(spool).filter((file) => file.endsWith(".request"))) {
    const request = decodeSpoolFile(readFileSync(join(spool, name)));
    assert.ok(!("damage" in request), `${name} is damaged`);
    const { streamId = "", lastSequence = 0 } = request;
    sealed.set(streamId, Math.max(sealed.get(streamId) ?? 0, lastSequence));
  }
  return sealed;
}

/** All but the last stream are known to have no end, and none lacks anything that was sealed. */
function assertStreams({ streams, verdict, summary }: Verified, killed: readonly Killed[]): void {
  assert.equal(verdict, "unended", summary);
  assert.equal(streams.filter(({ state }) => state === "ended").length, 1);
  assert.equal(streams.filter(({ reportedUnended }) => reportedUnended).length, killed.length);
  assert.equal(streams.length, killed.length + 1);
  for (const stream of streams) assert.equal(stream.missing, 0, JSON.stringify(stream));
  for (const [streamId, lastSequence] of killed.flatMap(({ sealed }) => [...sealed])) {
    const stream = streams.find((candidate) => candidate.streamId === streamId);
    assert.ok(stream !== undefined && stream.lastSequence >= lastSequence, `${streamId} to ${lastSequence}`);
  }
}

/** Of each round there is everything from its first open on, up to a moment shortly before the kill. */
async function assertWindow(stored: readonly string[], killed: readonly Killed[]): Promise<number> {
  const { code, stdout, stderr } = await runCli(["convert", ...stored]);
  assert.equal(code, 0, stderr);
  const found = killed.map(() => new Set<number>());
  for (const { event } of readRecords(stdout)) {
    const [, round, number] = /(\d+)\/(\d+)$/.exec("path" in event ? event.path : "") ?? [];
    found[Number(round)]?.add(Number(number));
  }
  const windows = killed.map(({ killedAtMs, openedAtMs }, round) => {
    const numbers = found[round] as Set<number>;
    const firstMissing = openedAtMs.findIndex((_, number) => !numbers.has(number));
    assert.ok([-1, numbers.size].includes(firstMissing), `round ${round} has a hole at ${firstMissing}`);
    return firstMissing === -1 ? 0 : killedAtMs - (openedAtMs[firstMissing] as number);
  });
  const longest = Math.max(...windows);
  assert.ok(longest <= UNSEALED_MS_MAX, `unsealed: ${windows.map(Math.round).join(" ")} ms`);
  return longest;
}
