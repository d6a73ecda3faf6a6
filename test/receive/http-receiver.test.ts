import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { readPartialSuccess, readStatusMessage } from "../../src/delivery/partial-success.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import type { OnRequest } from "../../src/receive/otlp-request.ts";
import type { ReceiverOptions } from "../../src/receive/receiver.ts";
import { until } from "../process.ts";
import { type HttpReply, http, type ReceiverUnderTest, receiverUnderTest } from "./receiver-under-test.ts";

const PROTOBUF = { "content-type": "application/x-protobuf" };
const JSON_TYPE = { "content-type": "application/json" };

describe("the HTTP receiver", function () {
  this.timeout(60_000);
  let under: ReceiverUnderTest;
  afterEach(() => under.receiver.close());

  async function start(options: Partial<ReceiverOptions> = {}, onRequest?: OnRequest): Promise<number> {
    under = await receiverUnderTest(options, onRequest);
    return under.httpPort;
  }

  for (const [type, encoding] of [
    ["application/x-protobuf", "protobuf"],
    ["application/json", "json"],
    ["application/json; charset=utf-8", "json"],
    ['Application/JSON ; Charset="UTF-8"', "json"],
  ] as const) {
    it(`takes ${type} and answers alike`, async () => {
      const port = await start();
      for (const gzip of [false, true]) {
        const body = Buffer.from("what was sent");
        const headers = { "content-type": type, ...(gzip && { "content-encoding": "gzip" }) };
        const reply = await http(port, gzip ? gzipSync(body) : body, headers);
        assert.equal(reply.status, 200);
        assert.equal(
          reply.headers["content-type"],
          encoding === "json" ? "application/json" : "application/x-protobuf",
        );
        assert.equal(reply.body.toString(), encoding === "json" ? "{}" : "");
        assert.deepEqual(under.requests.at(-1), { encoding, body });
      }
    });
  }

  it("says what was rejected, in the encoding of the request", async () => {
    const rejection = { rejectedRecords: 2, message: "no path" };
    const port = await start({}, async () => rejection);
    assert.deepEqual(
      readPartialSuccess((await http(port, Buffer.alloc(1), PROTOBUF)).body, "protobuf"),
      rejection,
    );
    assert.deepEqual(
      readPartialSuccess((await http(port, Buffer.alloc(1), JSON_TYPE)).body, "json"),
      rejection,
    );
  });

  const failures: [string, () => Error, number, string][] = [
    [
      "the client's fault",
      () => new RuntimeEvidenceError("bad-input", "byte 7 is wrong"),
      400,
      "byte 7 is wrong",
    ],
    ["a full consumer", () => new RuntimeEvidenceError("limit", "full"), 503, "full"],
    ["a failing disk", () => new RuntimeEvidenceError("io", "ENOSPC"), 503, "ENOSPC"],
    ["a bug", () => new Error("secret detail"), 500, "internal error"],
  ];
  for (const [what, error, status, message] of failures) {
    it(`answers ${what} with ${status} and a Status`, async () => {
      const errors: unknown[] = [];
      const port = await start({ onError: (thrown) => errors.push(thrown) }, async () => {
        throw error();
      });
      for (const headers of [PROTOBUF, JSON_TYPE]) {
        const reply = await http(port, Buffer.alloc(1), headers);
        assert.equal(reply.status, status);
        assert.equal(statusText(reply), message);
      }
      assert.equal(errors.length, status === 400 ? 0 : 2);
    });
  }

  it("answers other paths, methods, types and encodings with what is expected", async () => {
    const port = await start();
    const body = Buffer.from("{}");
    assert.equal((await http(port, body, JSON_TYPE, { path: "/v1/traces" })).status, 404);
    assert.equal((await http(port, body, JSON_TYPE, { path: "/v1/logs/" })).status, 404);
    const get = await http(port, undefined, {}, { method: "GET" });
    assert.deepEqual([get.status, get.headers.allow], [405, "POST"]);
    for (const type of [
      "text/plain",
      "application/jsonx",
      "application/json; charset=latin1",
      "",
      "application/grpc",
    ]) {
      const reply = await http(port, body, type === "" ? {} : { "content-type": type });
      assert.equal(reply.status, 415, type);
      assert.match(statusText(reply), /application\/x-protobuf or application\/json/);
    }
    const brotli = await http(port, body, { ...JSON_TYPE, "content-encoding": "br" });
    assert.deepEqual([brotli.status, brotli.headers["accept-encoding"]], [415, "gzip"]);
    assert.equal(under.requests.length, 0);
  });

  it("takes a body of exactly its limit and refuses one byte more, announced or not", async () => {
    const port = await start({ requestBytesMax: 10_000 });
    assert.equal((await http(port, Buffer.alloc(10_000), PROTOBUF)).status, 200);
    const announced = await http(port, Buffer.alloc(10_001), PROTOBUF);
    assert.equal(announced.status, 413);
    assert.equal(statusText(announced), "the request is larger than max (10000 bytes)");
    const chunked = await http(port, Buffer.alloc(5_000_000), {
      ...PROTOBUF,
      "transfer-encoding": "chunked",
    });
    assert.equal(chunked.status, 413);
  });

  it("answers a client that is still sending far more than it takes", async () => {
    const port = await start({ requestBytesMax: 1000 });
    assert.equal((await http(port, Buffer.alloc(30_000_000), PROTOBUF)).status, 413);
  });

  it("holds what gzip decompresses to to the limit", async () => {
    const port = await start({ requestBytesMax: 1_000_000 });
    const gzip = { ...PROTOBUF, "content-encoding": "gzip" };
    assert.equal((await http(port, gzipSync(Buffer.alloc(1_000_000)), gzip)).status, 200);
    const bomb = gzipSync(Buffer.alloc(64_000_000));
    assert.ok(bomb.length < 1_000_000, "the bomb is small on the wire");
    const before = process.memoryUsage().rss;
    assert.equal((await http(port, bomb, gzip)).status, 413);
    assert.ok(process.memoryUsage().rss - before < 40e6, "the bomb was not blown up");
  });

  it("answers gzip that is cut off, or none at all, with 400", async () => {
    const port = await start();
    const gzip = { ...JSON_TYPE, "content-encoding": "gzip" };
    const whole = gzipSync(Buffer.from("{}".repeat(1000)));
    for (const body of [
      whole.subarray(0, whole.length - 5),
      whole.subarray(0, 5),
      Buffer.from("{}"),
      Buffer.alloc(0),
    ]) {
      const reply = await http(port, body, gzip);
      assert.deepEqual([reply.status, statusText(reply)], [400, "the body is not valid gzip"]);
    }
    assert.equal(under.requests.length, 0);
  });

  it("tells clients beyond its limit of requests in flight to come back", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const port = await start({ requestsInFlightMax: 2 }, () => held);
    const first = [http(port, Buffer.alloc(1), PROTOBUF), http(port, Buffer.alloc(1), PROTOBUF)];
    while (under.requests.length < 2) await new Promise(setImmediate);
    const third = await http(port, Buffer.alloc(1), PROTOBUF);
    assert.deepEqual([third.status, third.headers["retry-after"]], [503, "1"]);
    release();
    assert.deepEqual(
      (await Promise.all(first)).map((reply) => reply.status),
      [200, 200],
    );
    assert.equal((await http(port, Buffer.alloc(1), PROTOBUF)).status, 200);
  });

  for (const [what, text] of [
    ["headers", "POST /v1/logs HTTP/1.1\r\nhost: x\r\n"],
    [
      "a body",
      "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    ],
  ]) {
    it(`ends a connection on which ${what} never arrive${what === "a body" ? "s" : ""}, and frees its place`, async () => {
      const port = await start({ requestTimeoutMs: 200, requestsInFlightMax: 1 });
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(text ?? "");
      const [reply] = (await once(socket, "data")) as [Buffer];
      assert.match(reply.toString(), /^HTTP\/1\.1 408 /);
      socket.destroy();
      assert.equal((await http(port, Buffer.alloc(1), PROTOBUF)).status, 200);
    });
  }

  it("survives clients that go away in the middle of a body", async () => {
    const port = await start({ requestsInFlightMax: 1 });
    for (let count = 0; count < 3; count++) {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.write(
        "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.resetAndDestroy();
    }
    await until(
      async () => (await http(port, Buffer.alloc(1), PROTOBUF)).status === 200,
      () => "a free place",
    );
    assert.equal(under.requests.length, 1);
  });

  it("closes connections beyond its limit", async () => {
    const port = await start({ connectionsMax: 1 });
    const first = connect(port, "127.0.0.1");
    await once(first, "connect");
    await assert.rejects(http(port, Buffer.alloc(1), PROTOBUF), /ECONNRESET|socket hang up|EPIPE/);
    first.destroy();
  });
});

function statusText(reply: HttpReply): string {
  const type = reply.headers["content-type"] ?? "";
  assert.match(type, /^application\/(json|x-protobuf)$/);
  return readStatusMessage(reply.body, type);
}
