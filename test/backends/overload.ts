/** A live capture of far more events than a collector takes. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { grpcServer, type RunningServer } from "../delivery/servers.ts";
import { assertBooksBalance, booksOf, CLI, trigger } from "../kernel/live.ts";
import { type StartedProcess, startProcess, until } from "../process.ts";
import { assertReported, openDirectory, verifyStored } from "./exporter-run.ts";

const TIMES_TOO_MANY = 10;
const ROUND_OPENS = 10_000;
/** So many opens queue and ring hold before they are full. */
const ROUNDS_BEFORE = 5;
/** Of opens that nothing has room for there are several times more than of those, however long they take. */
const ROUNDS_MIN = 30;
const MIB = 1024 * 1024;
/** Of 256 KiB: some 450 records. One request is answered in a round. */
const SENDING = ["--batch-bytes", "256KiB", "--in-flight", "4"];
/**
 * What a capture may need at most: Node with this program (100), its young generation at full speed (64), the queue (32),
 * what is in flight, twice (2), requests being filled and to be filled again (8), chunks of the pipe (8).
 */
const RSS_BYTES_MAX = 214 * MIB;
/** The same work by the same program differs by this much from round to round. */
const CPU_GROWTH_MAX = 1.4;

/** Takes one request after another, slowly until it is told to hurry, and stores them as length-prefixed protobuf. */
class SlowCollector {
  readonly endpoint: string;
  requests = 0;
  /** How many requests it may have taken by now. */
  pace = (): number => 0;
  readonly #server: RunningServer;
  readonly #file: number;
  #last: Promise<unknown> = Promise.resolve();

  static async start(path: string): Promise<SlowCollector> {
    const take: { request: (body: Buffer) => Promise<unknown> } = { request: () => Promise.resolve() };
    const server = await grpcServer(({ request }, respond) => {
      void take.request(request).then(() => respond(null, Buffer.alloc(0)));
    });
    const collector = new SlowCollector(server, openSync(path, "w"));
    take.request = (body) => collector.#take(body);
    return collector;
  }

  private constructor(server: RunningServer, file: number) {
    this.#server = server;
    this.#file = file;
    this.endpoint = `http://localhost:${server.port}`;
  }

  hurry(): void {
    this.pace = () => Number.POSITIVE_INFINITY;
  }

  #take(body: Buffer): Promise<unknown> {
    this.#last = this.#last.then(async () => {
      while (this.requests >= this.pace()) await sleep(5);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(body.length);
      writeSync(this.#file, Buffer.concat([length, body]));
      this.requests++;
    });
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#server.close();
    closeSync(this.#file);
  }
}

/** Opens at full speed for `seconds`: memory is bounded, every event is counted, and the kernel side costs no more. */
export async function surviveOverload(seconds: number): Promise<void> {
  const directory = openDirectory();
  const stored = join(directory, "stored.binpb");
  const stop = join(directory, "stop");
  const collector = await SlowCollector.start(stored);
  const capture = await startFlood(collector.endpoint, stop);
  try {
    const { output } = capture;
    const rounds = () => roundsOf(output().stderr).length;
    const tail = () => output().stderr.slice(-2000);
    collector.pace = rounds;
    await sleep(seconds * 1000);
    await until(() => rounds() >= ROUNDS_MIN, tail);
    writeFileSync(stop, "");
    await until(() => output().stdout.includes("done"), tail);
    const rssBytes = rssBytesMax(capture.pid);
    const requestsInTime = collector.requests;
    collector.hurry();
    const { code } = await capture.exited;
    const { stderr } = capture.output();
    assert.equal(code, 0, stderr);
    const books = booksOf({ code: 0, ...capture.output() });
    assertBooksBalance(books);
    const [book] = books;
    assert.deepEqual(Object.keys(book?.lost ?? {}), ["ring_full"]);
    assertReported(await verifyStored([stored]), books);
    const recordsPerRequest = Number(book?.exported) / collector.requests;
    // What other programs open is filtered.
    const times = (Number(book?.seen) - Number(book?.filtered)) / (requestsInTime * recordsPerRequest);
    assert.ok(times >= TIMES_TOO_MANY, `${times} times what was taken`);
    assert.ok(rssBytes <= RSS_BYTES_MAX, `${rssBytes / MIB} MiB`);
    assertCost(roundsOf(stderr));
  } finally {
    collector.hurry();
    await capture.stop();
    await collector.close();
    rmSync(directory, { recursive: true });
  }
}

/** Prints the CPU time of each round on standard error, until there is a file at `stop`. */
function startFlood(endpoint: string, stop: string): Promise<StartedProcess> {
  const round = `time ${trigger("open-loop")} /nonexistent/overload ${ROUND_OPENS} >/dev/null`;
  const script = `TIMEFORMAT='cpu %3U %3S'; while [ ! -e ${stop} ]; do ${round}; done; echo done`;
  const sink = ["--otlp-protocol", "grpc", "--otlp-endpoint", endpoint, "--summary", "json"];
  const flood = ["--shutdown-timeout", "60s", "--", "bash", "-c", script];
  return startProcess({
    command: process.execPath,
    args: [CLI, "capture", "--events", "file_open", ...sink, ...SENDING, ...flood],
    stopTimeoutMs: 60_000,
    outputBytesMax: 16 * MIB,
  });
}

function rssBytesMax(pid: number): number {
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/**
 * An open costs the program that does it no more at the end of the overload than before queue and ring were full.
 * What others do on the machine makes some rounds dearer, and none cheaper: what an overload costs is in every one.
 */
function assertCost(rounds: readonly number[]): void {
  const before = quantile(rounds.slice(0, ROUNDS_BEFORE), 0.5);
  const overloaded = quantile(rounds.slice(Math.floor(rounds.length / 2)), 0.25);
  assert.ok(overloaded <= before * CPU_GROWTH_MAX, `${before} s a round, then ${overloaded} s`);
}

/** Seconds of CPU time of each round so far. */
function roundsOf(stderr: string): number[] {
  return Array.from(
    stderr.matchAll(/^cpu ([\d.]+) ([\d.]+)$/gm),
    ([, user, system]) => Number(user) + Number(system),
  );
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] as number;
}
