/** Delivery to collectors that are slow, small, silent or wrong, over real sockets: what arrives and what is counted. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import { createSender } from "../../src/delivery/create-sender.ts";
import { openDeadLetterFile } from "../../src/delivery/dead-letter-file.ts";
import { type Delivery, type DeliveryOptions, startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import type { OtlpOverrides } from "../../src/delivery/otlp-environment.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { SealedRequest } from "../../src/delivery/outcome.ts";
import type { Settlement } from "../../src/delivery/settlement.ts";
import { exportResponse } from "../../src/receive/otlp-response.ts";
import { sealed, sealedRecords, sequencesIn } from "./sealed.ts";
import { grpcFailure, grpcServer, httpServer, optionsFor, type RunningServer } from "./servers.ts";
import { troubledLine } from "./troubled-line.ts";

/** What a collector does with a request: nothing at all, or an answer after a while. */
type Reaction = "silence" | { afterMs?: number; answer: "ok" | "too-large"; response?: Buffer };

const OK: Reaction = { answer: "ok" };
const FAST = { initialMs: 5, maxMs: 20, jitter: 0 };

for (const protocol of ["grpc", "http/protobuf"] as const) {
  describe(`delivery by ${protocol} to a collector`, function () {
    // Deadlines of real time, which the machine may miss.
    this.retries(1);
    const servers: RunningServer[] = [];
    let delivery: Delivery | undefined;
    let settled: Settlement[];
    let lines: string[];
    let bodies: Buffer[];
    beforeEach(() => {
      [settled, lines, bodies] = [[], [], []];
    });
    afterEach(async () => {
      await delivery?.abort();
      for (const server of servers.splice(0)) await server.close();
    });

    async function collector(react: (body: Buffer, index: number) => Reaction): Promise<number> {
      const server = await startCollector(protocol, (body) => react(body, bodies.push(body) - 1));
      servers.push(server);
      return server.port;
    }

    /** Delivers, for at most `drainMs`. */
    async function deliver(
      port: number,
      requests: readonly SealedRequest[],
      { drainMs = 15_000, ...more }: Partial<DeliveryOptions> & OtlpOverrides & { drainMs?: number } = {},
    ) {
      const queue = createMemoryQueue();
      for (const request of requests) await queue.offer(request);
      delivery = startDelivery({
        ...{ queue, sender: createSender(optionsFor(protocol, port, more)), retry: FAST },
        ...{ onSettled: (settlement) => settled.push(settlement), report: (line) => lines.push(line) },
        ...more,
      });
      const result = await delivery.drain(drainMs);
      return { ...result, counters: delivery.counters() };
    }

    const everySequence = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

    it("that never answers: nothing is lost, everything stays queued", async () => {
      const port = await collector(() => "silence");
      const requests = [sealedRecords(5), sealedRecords(5, { first: 6 })];
      const result = await deliver(port, requests, { timeoutMs: 50, drainMs: 1500 });
      assert.deepEqual([result.delivered, result.recordsLeft], [false, 10]);
      assert.deepEqual([result.counters.recordsAccepted, result.counters.requestsLost], [0, 0]);
      assert.ok(result.counters.retries >= 2, `${result.counters.retries}`);
      assert.deepEqual(settled, []);
    });

    it("that answers after the deadline: sent again, counted once", async () => {
      const port = await collector((_body, index) => (index < 2 ? { answer: "ok", afterMs: 300 } : OK));
      const { counters } = await deliver(port, [sealedRecords(5)], { timeoutMs: 100 });
      assert.deepEqual([counters.recordsAccepted, counters.requestsLost], [5, 0]);
      assert.ok(bodies.length >= 3);
      assert.equal(settled[0]?.acceptedRecords, 5);
    });

    it("behind a line that resets in the middle of requests: everything arrives", async () => {
      const port = await collector(() => OK);
      const line = await troubledLine(port);
      servers.push(line);
      line.resetAfterBytes = 200_000;
      line.resetsMax = 2;
      const { counters, delivered } = await deliver(line.port, [sealed(1_000_000, 7)]);
      assert.deepEqual([delivered, counters.recordsAccepted, line.resets], [true, 7, 2]);
      assert.ok(counters.retries > 0);
    });

    it("behind a line that goes silent without a word: noticed by the deadline, on another connection", async () => {
      const port = await collector(() => OK);
      const line = await troubledLine(port);
      servers.push(line);
      const sender = createSender(optionsFor(protocol, line.port, { timeoutMs: 1000 }));
      const never = new AbortController().signal;
      assert.equal((await sender.send(sealedRecords(1), never)).kind, "accepted");
      line.silence();
      assert.equal((await sender.send(sealedRecords(1), never)).kind, "retryable");
      assert.equal((await sender.send(sealedRecords(1), never)).kind, "accepted");
      assert.equal(line.connections, 2);
      await sender.close();
    });

    it("that takes 100 KB at most: all records arrive exactly once, and it is known afterwards", async () => {
      const limit = 100_000;
      const port = await collector((body) => (body.length > limit ? { answer: "too-large" } : OK));
      const requests = [sealedRecords(3000), sealedRecords(3000, { first: 3001 })];
      assert.ok((requests[0]?.body.length ?? 0) > 4 * limit);
      const { counters } = await deliver(port, requests, { requestsInFlight: 1 });
      const arrived = bodies.filter((body) => body.length <= limit).flatMap(sequencesIn);
      assert.deepEqual(arrived, everySequence(6000));
      assert.deepEqual([counters.recordsAccepted, counters.requestsLost], [6000, 0]);
      const second = bodies.slice(bodies.findIndex((body) => sequencesIn(body).includes(3001)));
      assert.ok(second.every((body) => body.length <= limit));
      assert.match(lines[0] ?? "", /^collector: .*; 3000 records of \d+ bytes go on in halves$/);
    });

    it("that never takes one of the records: the others arrive, that one is read from the dead letter", async () => {
      const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-dead-"));
      const path = join(directory, "dead.bin");
      try {
        const port = await collector((body) => (body.length > 50_000 ? { answer: "too-large" } : OK));
        const request = sealedRecords(300, { pathBytes: (index) => (index === 123 ? 60_000 : 20) });
        const deadLetter = await openDeadLetterFile({ path, onTrouble: assert.fail });
        const { counters } = await deliver(port, [request], { deadLetter });
        assert.deepEqual([counters.recordsAccepted, counters.recordsDeadLettered], [299, 1]);
        assert.deepEqual(settled[0]?.lost, new Map([["too_large", 1]]));
        assert.deepEqual(settled[0]?.lostSequences, [{ first: 124, last: 124 }]);
        const kept: number[] = [];
        for await (const items of readStoredRequests(path)) {
          for (const item of items) if (item.kind === "request") kept.push(...sequencesIn(item.body));
        }
        assert.deepEqual(kept, [124]);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

    for (const [what, rejectedRecords, rejected] of [
      ["some", 3, 3],
      ["more than it was sent", 1_000_000, 8],
      ["an unsaid number", 0, 0],
    ] as const) {
      it(`that rejects ${what}: counted as rejected, never tried again`, async () => {
        const response = exportResponse("protobuf", { rejectedRecords, message: "too old" });
        const port = await collector(() => ({ answer: "ok", response }));
        const { counters } = await deliver(port, [sealedRecords(8)]);
        assert.deepEqual([counters.recordsRejected, counters.recordsAccepted], [rejected, 8 - rejected]);
        assert.equal(bodies.length, 1);
        assert.equal(settled[0]?.message, "too old");
      });
    }

    it("behind a line of 100 KB/s: what does not fit into the timeout arrives in smaller parts", async () => {
      const port = await collector(() => OK);
      const line = await troubledLine(port);
      servers.push(line);
      line.bytesPerSecond = 100_000;
      const request = sealedRecords(600);
      assert.ok(request.body.length > 90_000, "takes 0.9 s at least");
      const { counters, delivered } = await deliver(line.port, [request], { timeoutMs: 400 });
      assert.deepEqual([delivered, counters.recordsAccepted, counters.requestsLost], [true, 600, 0]);
      assert.deepEqual(
        [...new Set(bodies.flatMap(sequencesIn))].sort((a, b) => a - b),
        everySequence(600),
      );
    });

    it("that is stopped and goes on after a while: everything arrives, memory stays bounded", async () => {
      let stopped = true;
      // Not `collector`, which remembers all bodies.
      const server = await startCollector(protocol, () => (stopped ? "silence" : OK));
      servers.push(server);
      setTimeout(() => {
        stopped = false;
      }, 2500);
      const requests = Array.from({ length: 8 }, () => sealed(3_500_000, 1));
      const live = () => {
        collectGarbage();
        return process.memoryUsage().arrayBuffers;
      };
      const before = live();
      const during: number[] = [];
      const watches = [1200, 2400].map((atMs) => setTimeout(() => during.push(live()), atMs));
      const { counters, delivered } = await deliver(server.port, requests, { timeoutMs: 1000 });
      for (const watch of watches) clearTimeout(watch);
      assert.deepEqual([delivered, counters.recordsAccepted], [true, 8]);
      assert.ok(counters.retries >= 4, `${counters.retries} retries`);
      // Each attempt that kept its bytes would add 3.5 MB for sender and server each.
      const grownMiB = (Math.max(...during) - before) / 2 ** 20;
      assert.ok(grownMiB < 100, `${grownMiB.toFixed(0)} MiB more`);
    });
  });
}

/** Mocha runs without the flag that would make `gc` global. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

/** Gives each whole body to `react`. */
async function startCollector(
  protocol: OtlpProtocol,
  react: (body: Buffer) => Reaction,
): Promise<RunningServer> {
  if (protocol === "grpc") {
    return grpcServer(async (call, respond) => {
      const reaction = react(call.request);
      if (reaction === "silence") return;
      if (reaction.afterMs !== undefined) await sleep(reaction.afterMs);
      if (reaction.answer === "ok") respond(null, reaction.response ?? Buffer.alloc(0));
      else respond(grpcFailure(8, "grpc: received message larger than max (2 vs. 1)"));
    });
  }
  return httpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const reaction = react(Buffer.concat(chunks));
    if (reaction === "silence") return;
    if (reaction.afterMs !== undefined) await sleep(reaction.afterMs);
    response.writeHead(reaction.answer === "ok" ? 200 : 413, { "content-type": "application/x-protobuf" });
    response.end(reaction.response);
  });
}
