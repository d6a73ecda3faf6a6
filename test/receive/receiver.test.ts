import assert from "node:assert/strict";
import { createServer } from "node:net";
import { createSender } from "../../src/delivery/create-sender.ts";
import { startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { startReceiver } from "../../src/receive/receiver.ts";
import { grpc, http, receiverUnderTest } from "./receiver-under-test.ts";

const protocols: readonly OtlpProtocol[] = ["grpc", "http/protobuf", "http/json"];

describe("the receiver", () => {
  for (const protocol of protocols) {
    for (const compression of ["none", "gzip"]) {
      it(`gets 60 requests from delivery by ${protocol} (${compression}), each once, through a busy spell`, async () => {
        let busy = 5;
        const received: number[] = [];
        const under = await receiverUnderTest({}, async ({ body, encoding }) => {
          if (busy-- > 0) throw new RuntimeEvidenceError("limit", "busy");
          received.push(encoding === "protobuf" ? body.length : -1);
        });
        const port = protocol === "grpc" ? under.grpcPort : under.httpPort;
        const { options } = readOtlpOptions(
          {},
          { endpoint: `http://127.0.0.1:${port}`, protocol, compression },
        );
        const queue = createMemoryQueue();
        const delivery = startDelivery({
          queue,
          sender: createSender(options),
          retry: { initialMs: 5, maxMs: 20 },
        });
        // Resource logs with nothing in them: 0a 00 is one, and valid in every encoding.
        for (let size = 1; size <= 60; size++) {
          await queue.offer({
            body: Buffer.from("0a00".repeat(size), "hex"),
            recordCount: size,
            sealedAtUnixMs: 0,
          });
        }
        assert.deepEqual(await delivery.drain(5000), { delivered: true, recordsLeft: 0 });
        await under.receiver.close();
        const { recordsAccepted, retries } = delivery.counters();
        assert.deepEqual([recordsAccepted, retries], [(60 * 61) / 2, 5]);
        const expected = Array.from({ length: 60 }, (_, index) =>
          protocol === "http/json" ? -1 : 2 * (index + 1),
        );
        assert.deepEqual(
          received.sort((a, b) => a - b),
          expected,
        );
      });
    }
  }

  it("listens on loopback unless told otherwise", async () => {
    const { receiver } = await receiverUnderTest();
    assert.equal(receiver.grpcAddress?.address, "127.0.0.1");
    assert.equal(receiver.httpAddress?.address, "127.0.0.1");
    await receiver.close();
  });

  it("answers requests in flight when it closes, and takes no more", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const under = await receiverUnderTest({}, () => held);
    const overHttp = http(under.httpPort, Buffer.alloc(1), { "content-type": "application/x-protobuf" });
    const overGrpc = grpc(under.grpcPort, Buffer.alloc(1));
    while (under.requests.length < 2) await new Promise(setImmediate);
    const closed = under.receiver.close();
    await assert.rejects(http(under.httpPort, Buffer.alloc(1)), /ECONNREFUSED/);
    release();
    assert.equal((await overHttp).status, 200);
    assert.ok(Buffer.isBuffer(await overGrpc));
    await closed;
  });

  it("closes in bounded time when a request never ends", async () => {
    const under = await receiverUnderTest({ closeTimeoutMs: 100 }, () => new Promise<void>(() => {}));
    const pending = http(under.httpPort, Buffer.alloc(1), { "content-type": "application/json" });
    const failed = assert.rejects(pending);
    while (under.requests.length < 1) await new Promise(setImmediate);
    const startedMs = performance.now();
    await under.receiver.close();
    await failed;
    assert.ok(performance.now() - startedMs < 2000);
  });

  for (const protocol of ["grpc", "http"] as const) {
    it(`says that a port is taken (${protocol}), and leaves nothing open`, async () => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const { port } = other.address() as { port: number };
      const both = protocol === "http" ? { grpc: { port: 0 } } : { http: { port: 0 } };
      await assert.rejects(
        startReceiver({ ...both, [protocol]: { port } }, async () => {}),
        (error) =>
          error instanceof RuntimeEvidenceError &&
          error.code === "usage" &&
          /^cannot receive OTLP\/(gRPC|HTTP) on 127\.0\.0\.1:\d+: another program listens there$/.test(
            error.message,
          ),
      );
      other.close();
    });
  }

  it("refuses to start without an address, or on one that is not here", async () => {
    const usage = (error: unknown) => error instanceof RuntimeEvidenceError && error.code === "usage";
    await assert.rejects(
      startReceiver({}, async () => {}),
      usage,
    );
    await assert.rejects(
      startReceiver({ http: { host: "192.0.2.1", port: 0 } }, async () => {}),
      usage,
    );
  });
});
