/** The senders' outcomes as a real Collector makes them. */
import assert from "node:assert/strict";
import { createSender } from "../../src/delivery/create-sender.ts";
import { type Delivery, startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import type { SealedRequest, SendOutcome } from "../../src/delivery/outcome.ts";
import { collectorMissing, type StartedCollector, startCollector } from "../backends/collector.ts";
import { until } from "../process.ts";
import { skip } from "../skip.ts";
import { sealed, sealedRecords } from "./sealed.ts";

const MIB = 1024 * 1024;
const never = new AbortController().signal;

describe("the senders at a real Collector", function () {
  this.retries(1);
  let collector: StartedCollector;
  before(async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    collector = await startCollector({ config: "nop" });
  });
  after(() => collector?.remove());

  async function send(
    protocol: string,
    compression: string,
    request: SealedRequest,
    path = "",
  ): Promise<SendOutcome> {
    const endpoint = protocol === "grpc" ? collector.grpcEndpoint : `${collector.httpEndpoint}${path}`;
    const { options } = readOtlpOptions({}, { endpoint, protocol, compression });
    const sender = createSender(options);
    try {
      return await sender.send(request, never);
    } finally {
      await sender.close();
    }
  }

  async function deliver(
    protocol: string,
    requests: readonly SealedRequest[],
    meanwhile: (delivery: Delivery) => Promise<void> = async () => {},
  ) {
    const endpoint = protocol === "grpc" ? collector.grpcEndpoint : collector.httpEndpoint;
    const { options } = readOtlpOptions({}, { endpoint, protocol, timeoutMs: 500 });
    const queue = createMemoryQueue();
    for (const request of requests) await queue.offer(request);
    const retry = { initialMs: 5, maxMs: 50 };
    const delivery = startDelivery({ queue, sender: createSender(options), retry });
    await meanwhile(delivery);
    const { delivered } = await delivery.drain(15_000);
    return { delivered, counters: delivery.counters() };
  }

  for (const compression of ["none", "gzip"]) {
    for (const protocol of ["grpc", "http/protobuf", "http/json"]) {
      it(`are acknowledged by ${protocol} (${compression})`, async () => {
        const outcome = await send(protocol, compression, sealed(3.5 * MIB));
        assert.deepEqual(outcome, { kind: "accepted", rejectedRecords: 0, message: "" });
      });
    }

    it(`hear that a message is too large over gRPC (${compression})`, async () => {
      assert.equal((await send("grpc", compression, sealed(4 * MIB + 1))).kind, "too-large");
    });

    it(`hear that a body is too large over HTTP (${compression})`, async () => {
      assert.equal((await send("http/protobuf", compression, sealed(21 * MIB))).kind, "too-large");
    });
  }

  for (const protocol of ["grpc", "http/protobuf"]) {
    const tooMany = protocol === "grpc" ? 20_000 : 90_000;

    it(`deliver by ${protocol} what is larger than the Collector takes, in parts`, async () => {
      const request = sealedRecords(tooMany, { pathBytes: () => 120 });
      assert.ok(request.body.length > (protocol === "grpc" ? 4 : 20) * MIB);
      const { counters, delivered } = await deliver(protocol, [request]);
      assert.deepEqual([delivered, counters.recordsAccepted, counters.requestsLost], [true, tooMany, 0]);
      assert.ok(counters.requestsSplit > 0);
    });

    it(`lose nothing by ${protocol} while the Collector is stopped`, async () => {
      const requests = Array.from({ length: 8 }, (_, index) =>
        sealedRecords(500, { first: 500 * index + 1 }),
      );
      process.kill(collector.pid, "SIGSTOP");
      try {
        const { counters, delivered } = await deliver(protocol, requests, async (delivery) => {
          await until(
            () => delivery.counters().retries > 0,
            () => "a retry",
          );
          process.kill(collector.pid, "SIGCONT");
        });
        assert.deepEqual([delivered, counters.recordsAccepted, counters.requestsLost], [true, 4000, 0]);
      } finally {
        process.kill(collector.pid, "SIGCONT");
      }
    });
  }

  it("hear that a request is no OTLP, for good", async () => {
    const noise = { ...sealed(0), body: Buffer.from([0x0a, 0x7f, 0x01]) };
    assert.equal((await send("http/protobuf", "none", noise)).kind, "permanent");
    assert.equal((await send("grpc", "none", noise)).kind, "permanent");
  });

  it("hear that a path is not served", async () => {
    const outcome = await send("http/protobuf", "none", sealed(100), "/elsewhere");
    assert.equal(outcome.kind === "permanent" && outcome.reason, "http 404");
  });
});
