import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startDelivery } from "../../src/delivery/delivery.ts";
import type { SealedRequest } from "../../src/delivery/outcome.ts";
import type { DeliveryQueue, DropReason, Lease, RequestFacts } from "../../src/delivery/queue.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { queueContract } from "./queue-contract.ts";
import { ACCEPTED, numbered, numberOf, ScriptedSender, sealed } from "./sealed.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const never = new AbortController().signal;
const scratch = new SpoolScratch();
after(() => scratch.remove());

queueContract("the disk queue", (bytesMax, options) => scratch.open({ ...options, bytesMax }), 50);
queueContract(
  "the disk queue without memory",
  (bytesMax, options) => scratch.open({ ...options, bytesMax, memoryBytesMax: 0 }),
  50,
);

/** A request with all that a request can say of itself. */
function described(number: number, bytes = 100): SealedRequest {
  return {
    body: Buffer.alloc(bytes, number),
    recordCount: number + 1,
    sealedAtUnixMs: 1_790_000_000_000.125 + number,
    streamId: "0123456789abcdef",
    firstSequence: 2 ** 33 + number,
    lastSequence: 2 ** 33 + number + 1,
    recordsByProbe: new Map([
      ["file_open", number],
      ["net_connect", 1],
    ]),
  };
}

async function taken(queue: DeliveryQueue): Promise<Lease> {
  const lease = await queue.take(never);
  assert.ok(lease);
  return lease;
}

const requestFiles = (directory: string) =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".request"))
    .sort();

describe("the disk queue", () => {
  it("gives the next run what is left: the same requests, in the same order, before new ones", async () => {
    const directory = scratch.directory();
    const first = await scratch.open({ directory });
    for (const number of [1, 2, 3, 4]) await first.offer(described(number));
    (await taken(first)).acknowledge();
    await taken(first);
    await first.end();

    const second = await scratch.open({ directory });
    const { requests, records, streams } = second.recovered;
    assert.deepEqual({ requests, records }, { requests: 3, records: 3 + 4 + 5 });
    assert.deepEqual(
      [...streams],
      [["0123456789abcdef", { requests: 3, records: 12, lastSequence: 2 ** 33 + 5 }]],
    );
    await second.offer(described(5));
    for (const number of [2, 3, 4, 5]) {
      const lease = await taken(second);
      assert.deepEqual({ ...lease.request, body: Buffer.from(lease.request.body) }, described(number));
      lease.acknowledge();
    }
    await second.end();
    assert.deepEqual(requestFiles(directory), []);
  });

  it("has the file when the offer resolves, readable by nobody else, and removes it when acknowledged", async () => {
    const directory = scratch.directory();
    const queue = await scratch.open({ directory, fsync: "always" });
    await queue.offer(numbered(1));
    const [name] = requestFiles(directory);
    assert.ok(name);
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    (await taken(queue)).acknowledge();
    await queue.end();
    assert.deepEqual(readdirSync(directory), []);
  });

  it("keeps bodies in memory up to its limit, and reads the others back", async () => {
    const directory = scratch.directory();
    const queue = await scratch.open({ directory, memoryBytesMax: 2_500 });
    for (const number of [1, 2, 3, 4]) await queue.offer(described(number, 1_000));
    assert.equal(queue.spoolStats().memoryBytes, 2_000);
    // Only who reads from disk can notice that the files are gone.
    for (const name of requestFiles(directory).slice(0, 2)) rmSync(join(directory, name));
    for (const number of [1, 2, 3, 4]) {
      const lease = await taken(queue);
      assert.equal(lease.request.recordCount, number + 1);
      assert.equal(Buffer.compare(lease.request.body, Buffer.alloc(1_000, number)), 0);
      lease.acknowledge();
    }
    assert.equal(queue.spoolStats().memoryBytes, 0);
  });

  it("bounds the number of files as well as their bytes", async () => {
    const dropped: number[] = [];
    const queue = await scratch.open({
      filesMax: 3,
      whenFull: "drop-oldest",
      onDropped: ({ recordCount }) => dropped.push(recordCount),
    });
    for (const number of [1, 2, 3, 4, 5]) await queue.offer(sealed(10, number));
    assert.deepEqual(dropped, [1, 2]);
    assert.equal(queue.stats().requests, 3);
  });

  it("refuses a request that does not fit the format, and goes on", async () => {
    const queue = await scratch.open();
    const probes = new Map(Array.from({ length: 255 }, (_, index) => [`probe_${index}`.padEnd(40, "x"), 1]));
    await assert.rejects(
      queue.offer({ ...numbered(1), recordsByProbe: probes }),
      (error) => error instanceof RuntimeEvidenceError && error.code === "limit",
    );
    await queue.offer(numbered(2));
    assert.equal(numberOf((await taken(queue)).request), 2);
  });

  it("refuses limits that make no sense", async () => {
    for (const options of [{ bytesMax: 0 }, { filesMax: -1 }, { fsyncIntervalMs: Number.NaN }]) {
      await assert.rejects(scratch.open(options), (error) => {
        return error instanceof RuntimeEvidenceError && error.code === "usage";
      });
    }
  });

  it("remembers streams that never ended", async () => {
    const directory = scratch.directory();
    const first = await scratch.open({ directory, fsync: "always" });
    for (const stream of ["aa01", "bb02", "cc03"]) await first.beginStream(stream);
    await first.endStream("bb02");
    await assert.rejects(first.beginStream("../x"), RuntimeEvidenceError);
    await first.end();
    const second = await scratch.open({ directory });
    assert.deepEqual(second.recovered.unendedStreams, ["aa01", "cc03"]);
    await second.endStream("aa01");
    await second.end();
    const third = await scratch.open({ directory });
    assert.deepEqual(third.recovered.unendedStreams, ["cc03"]);
  });
});

describe("delivery from the disk queue", () => {
  it("goes on in the next run where it was stopped: nothing is lost, nothing acknowledged is sent again", async () => {
    const directory = scratch.directory();
    const acknowledged: number[] = [];
    for (let run = 0; run < 5; run++) {
      const queue = await scratch.open({ directory, memoryBytesMax: run % 2 === 0 ? 0 : undefined });
      let left = 5;
      const sender = new ScriptedSender(async ({ recordCount }, _, signal) => {
        if (left-- <= 0) {
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          return { kind: "retryable", reason: "stopped" };
        }
        acknowledged.push(recordCount);
        return ACCEPTED;
      });
      const delivery = startDelivery({ queue, sender, requestsInFlight: 3 });
      for (let number = 1; number <= 4; number++) await queue.offer(described(run * 4 + number));
      while (left > 0 && queue.stats().requests > 0) await sleep(1);
      const { recordsLeft } = await delivery.abort();
      assert.equal(recordsLeft, queue.stats().records);
      await queue.end();
    }
    assert.deepEqual(
      acknowledged.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, index) => index + 2),
    );
    assert.deepEqual(readdirSync(directory), []);
  });
});

describe("the disk queue and damaged files", () => {
  interface Damaged {
    readonly directory: string;
    readonly names: readonly string[];
  }

  /** A spool of three requests, left by an earlier run. */
  async function left(): Promise<Damaged> {
    const directory = scratch.directory();
    const queue = await scratch.open({ directory });
    for (const number of [1, 2, 3]) await queue.offer(described(number));
    await queue.end();
    return { directory, names: requestFiles(directory) };
  }

  /** Opens it, and delivers what can be delivered. */
  async function deliver({ directory }: Damaged, damagedFilesMax?: number) {
    const dropped: { facts: RequestFacts; reason: DropReason }[] = [];
    const lines: string[] = [];
    const queue = await scratch.open({
      directory,
      damagedFilesMax,
      onDropped: (facts, reason) => dropped.push({ facts, reason }),
      onTrouble: (line) => lines.push(line),
    });
    queue.close();
    const delivered: number[] = [];
    for (let lease = await queue.take(never); lease !== undefined; lease = await queue.take(never)) {
      delivered.push(lease.request.recordCount - 1);
      lease.acknowledge();
    }
    await queue.end();
    return { delivered, dropped, lines, recovered: queue.recovered, errors: queue.spoolStats() };
  }

  it("sets aside, counts and names a file with a damaged header, and delivers the rest", async () => {
    const spool = await left();
    const path = join(spool.directory, spool.names[1] as string);
    const bytes = readFileSync(path);
    bytes[20] = (bytes[20] as number) ^ 1;
    writeFileSync(path, bytes);
    const { delivered, dropped, lines, recovered } = await deliver(spool);
    assert.deepEqual(delivered, [1, 3]);
    assert.deepEqual(recovered.damaged, [
      { file: spool.names[1], reason: "the checksum of its header is wrong", records: undefined },
    ]);
    assert.equal(recovered.damagedFiles, 1);
    assert.deepEqual(dropped, [], "nobody can say what was in it");
    assert.match(lines.join("\n"), /000\d+\.request can't be sent, the checksum of its header is wrong/);
    assert.deepEqual(readFileSync(join(spool.directory, "damaged", spool.names[1] as string)), bytes);
  });

  it("says which records are lost with a file that is cut short", async () => {
    const spool = await left();
    const path = join(spool.directory, spool.names[0] as string);
    writeFileSync(path, readFileSync(path).subarray(0, -1));
    const { delivered, dropped, recovered } = await deliver(spool);
    assert.deepEqual(delivered, [2, 3]);
    assert.equal(recovered.damaged[0]?.records, 2);
    const { body: _, ...facts } = described(1);
    assert.deepEqual(dropped, [{ facts, reason: "damaged" }]);
  });

  it("finds a damaged payload when its turn comes, and says which records are lost with it", async () => {
    const spool = await left();
    const path = join(spool.directory, spool.names[2] as string);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = 0xff;
    writeFileSync(path, bytes);
    const { delivered, dropped, lines, recovered, errors } = await deliver(spool);
    assert.deepEqual(delivered, [1, 2]);
    assert.equal(recovered.damagedFiles, 0);
    assert.equal(errors.damagedFiles, 1);
    const { body: _, ...facts } = described(3);
    assert.deepEqual(dropped, [{ facts, reason: "damaged" }]);
    assert.match(lines.join("\n"), /the checksum of its payload is wrong; moved to damaged\//);
  });

  it("removes and counts half-written files, and leaves alone what is not its own", async () => {
    const spool = await left();
    writeFileSync(join(spool.directory, "0000000000000009.request.tmp"), "half");
    writeFileSync(join(spool.directory, "notes.txt"), "mine");
    const { delivered, lines, recovered } = await deliver(spool);
    assert.deepEqual(delivered, [1, 2, 3]);
    assert.equal(recovered.temporaryFiles, 1);
    assert.equal(recovered.unknownFiles, 1);
    assert.match(lines.join("\n"), /1 files are not ours and stay, notes\.txt first/);
    assert.deepEqual(readdirSync(spool.directory), ["notes.txt"]);
  });

  it("follows no symbolic link", async () => {
    const spool = await left();
    const path = join(spool.directory, spool.names[0] as string);
    const elsewhere = join(spool.directory, "..", "elsewhere");
    writeFileSync(elsewhere, readFileSync(path));
    rmSync(path);
    symlinkSync(elsewhere, path);
    const { delivered, recovered } = await deliver(spool);
    assert.deepEqual(delivered, [2, 3]);
    assert.equal(recovered.damaged[0]?.reason, "it can't be read (ELOOP)");
  });

  it("waits for no pipe, and reads no directory", async () => {
    const spool = await left();
    const [first, second] = spool.names as [string, string];
    for (const name of [first, second]) rmSync(join(spool.directory, name));
    execFileSync("mkfifo", [join(spool.directory, first)]);
    mkdirSync(join(spool.directory, second));
    const { delivered, recovered } = await deliver(spool);
    assert.deepEqual(delivered, [3]);
    assert.deepEqual(
      recovered.damaged.map(({ reason }) => reason),
      ["it can't be read (EINVAL)", "it can't be read (EINVAL)"],
    );
  });

  it("limits what it keeps of damaged files, and says what it removes", async () => {
    const spool = await left();
    for (const name of spool.names) writeFileSync(join(spool.directory, name), "");
    const { delivered, lines, errors } = await deliver(spool, 2);
    assert.deepEqual(delivered, []);
    assert.equal(errors.damagedFiles, 3);
    assert.equal(errors.damagedFilesRemoved, 1);
    assert.match(lines.join("\n"), /damaged\/ holds 2 files; removed its oldest, 0000000000000001\.request/);
    assert.deepEqual(readdirSync(join(spool.directory, "damaged")), spool.names.slice(1));
  });

  it("sends what a person has repaired and moved back", async () => {
    const spool = await left();
    const path = join(spool.directory, spool.names[1] as string);
    const whole = readFileSync(path);
    writeFileSync(path, "");
    await deliver(spool);
    writeFileSync(join(spool.directory, spool.names[1] as string), whole);
    const { delivered } = await deliver(spool);
    assert.deepEqual(delivered, [2]);
  });

  it("counts the records of a file that somebody has removed", async () => {
    const { directory, names } = await left();
    const dropped: number[] = [];
    const queue = await scratch.open({
      directory,
      onDropped: ({ recordCount }) => dropped.push(recordCount),
    });
    rmSync(join(directory, names[0] as string));
    assert.equal((await taken(queue)).request.recordCount, 3);
    assert.deepEqual(dropped, [2]);
    assert.equal(queue.stats().requests, 2);
  });
});
