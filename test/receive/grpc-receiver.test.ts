import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { readPartialSuccess } from "../../src/delivery/partial-success.ts";
import { retryInfoDelayMs } from "../../src/delivery/retry-info.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import type { OnRequest } from "../../src/receive/otlp-request.ts";
import type { ReceiverOptions } from "../../src/receive/receiver.ts";
import { until } from "../process.ts";
import { failureOf, grpc, type ReceiverUnderTest, receiverUnderTest } from "./receiver-under-test.ts";

const EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

describe("the gRPC receiver", function () {
  this.timeout(60_000);
  let under: ReceiverUnderTest;
  afterEach(() => under.receiver.close());

  async function start(options: Partial<ReceiverOptions> = {}, onRequest?: OnRequest): Promise<number> {
    under = await receiverUnderTest(options, onRequest);
    return under.grpcPort;
  }

  for (const gzip of [false, true]) {
    it(`takes a request and answers with an empty message (${gzip ? "gzip" : "no compression"})`, async () => {
      const port = await start();
      const body = Buffer.from("what was sent".repeat(1000));
      assert.deepEqual(await grpc(port, body, { gzip }), Buffer.alloc(0));
      assert.deepEqual(under.requests, [{ encoding: "protobuf", body }]);
    });
  }

  it("says what was rejected", async () => {
    const rejection = { rejectedRecords: 2, message: "no path" };
    const port = await start({}, async () => rejection);
    const reply = await grpc(port, Buffer.alloc(1));
    assert.ok(Buffer.isBuffer(reply));
    assert.deepEqual(readPartialSuccess(reply, "protobuf"), rejection);
  });

  const failures: [string, () => Error, number, string][] = [
    [
      "the client's fault",
      () => new RuntimeEvidenceError("bad-input", "byte 7 is wrong"),
      3,
      "byte 7 is wrong",
    ],
    ["a full consumer", () => new RuntimeEvidenceError("limit", "full"), 14, "full"],
    ["a failing disk", () => new RuntimeEvidenceError("io", "ENOSPC"), 14, "ENOSPC"],
    ["a bug", () => new Error("secret detail"), 13, "internal error"],
  ];
  for (const [what, error, code, details] of failures) {
    it(`answers ${what} with status ${code}`, async () => {
      const port = await start({}, async () => {
        throw error();
      });
      assert.deepEqual(failureOf(await grpc(port, Buffer.alloc(1))), { code, details });
    });
  }

  it("does not know other services", async () => {
    const port = await start();
    const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert.equal(failureOf(await grpc(port, Buffer.alloc(1), { path })).code, status.UNIMPLEMENTED);
  });

  it("takes a message of exactly its limit and refuses one byte more, also as a gzip bomb", async () => {
    const port = await start({ requestBytesMax: 1_000_000 });
    assert.ok(Buffer.isBuffer(await grpc(port, Buffer.alloc(1_000_000))));
    for (const [bytes, gzip] of [
      [1_000_001, false],
      [1_000_001, true],
      [64_000_000, true],
    ] as const) {
      const failure = failureOf(await grpc(port, Buffer.alloc(bytes), { gzip }));
      assert.equal(failure.code, status.RESOURCE_EXHAUSTED);
      assert.match(failure.details, /larger than/);
    }
    assert.equal(under.requests.length, 1);
  });

  it("answers a message with gzip that is cut off as a failure", async () => {
    const port = await start();
    const whole = gzipSync(Buffer.alloc(10_000));
    const frame = grpcFrame(whole.subarray(0, whole.length - 6), true);
    assert.equal(await rawCall(port, frame), String(status.INTERNAL));
    assert.equal(under.requests.length, 0);
  });

  it("tells clients beyond its limit of requests in flight to come back, with RetryInfo", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const port = await start({ requestsInFlightMax: 1 }, () => held);
    const first = grpc(port, Buffer.alloc(1));
    while (under.requests.length < 1) await new Promise(setImmediate);
    const second = await grpc(port, Buffer.alloc(1));
    assert.equal(failureOf(second).code, status.UNAVAILABLE);
    const details = Buffer.isBuffer(second) ? undefined : second.metadata.get("grpc-status-details-bin")[0];
    assert.ok(Buffer.isBuffer(details));
    assert.equal(retryInfoDelayMs(details), 1000);
    release();
    assert.ok(Buffer.isBuffer(await first));
    assert.ok(Buffer.isBuffer(await grpc(port, Buffer.alloc(1))), "the place is free again");
  });

  it("ends a call whose message does not arrive in time, and frees its place", async () => {
    const port = await start({ requestTimeoutMs: 100, requestsInFlightMax: 1 });
    assert.equal(await rawCall(port, grpcFrame(Buffer.alloc(50), false).subarray(0, 20), false), "4");
    assert.ok(Buffer.isBuffer(await grpc(port, Buffer.alloc(1))));
  });

  it("survives clients that go away in the middle of a message, and frees their places", async () => {
    const port = await start({ requestsInFlightMax: 1 });
    for (let count = 0; count < 3; count++) {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on("error", () => {});
      const stream = session.request({
        ":method": "POST",
        ":path": EXPORT,
        "content-type": "application/grpc",
      });
      stream.on("error", () => {});
      stream.write(grpcFrame(Buffer.alloc(1000), false).subarray(0, 100));
      await new Promise((resolve) => setTimeout(resolve, 30));
      session.destroy();
    }
    await until(
      async () => Buffer.isBuffer(await grpc(port, Buffer.alloc(1)).catch(() => undefined)),
      () => "a free place",
    );
  });

  it("survives noise instead of HTTP/2", async () => {
    const port = await start();
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    const closed = once(socket, "close");
    socket.end(Buffer.alloc(10_000, 0x41));
    socket.resume();
    await closed;
    assert.ok(Buffer.isBuffer(await grpc(port, Buffer.alloc(1))));
  });
});

/** A length-prefixed gRPC message. */
function grpcFrame(message: Buffer, compressed: boolean): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The grpc-status of a call made of these bytes. */
function rawCall(port: number, bytes: Buffer, end = true): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": EXPORT,
      "content-type": "application/grpc",
      "grpc-encoding": "gzip",
      te: "trailers",
    });
    const found = (headers: Record<string, unknown>) => {
      if (headers["grpc-status"] === undefined) return;
      resolve(String(headers["grpc-status"]));
      session.destroy();
    };
    stream.on("response", found);
    stream.on("trailers", found);
    stream.on("error", reject);
    if (end) stream.end(bytes);
    else stream.write(bytes);
  });
}
