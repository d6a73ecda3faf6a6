import assert from "node:assert/strict";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { createSender } from "../../src/delivery/create-sender.ts";
import type { OtlpOverrides } from "../../src/delivery/otlp-environment.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import { exportResponse, statusResponse } from "../../src/receive/otlp-response.ts";
import { sealed } from "./sealed.ts";
import { closedPort, httpServer, optionsFor, type RunningServer, socketServer } from "./servers.ts";

const never = new AbortController().signal;

describe("the HTTP sender", () => {
  const servers: RunningServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  async function serve(listener: RequestListener): Promise<number> {
    const server = await httpServer(listener);
    servers.push(server);
    return server.port;
  }

  async function sendTo(
    port: number,
    overrides: OtlpOverrides = {},
    { protocol = "http/protobuf" as OtlpProtocol, bytes = 100 } = {},
  ): Promise<SendOutcome> {
    const sender = createSender(optionsFor(protocol, port, overrides));
    try {
      return await sender.send(sealed(bytes, 5), never);
    } finally {
      await sender.close();
    }
  }

  /** A server that remembers what it got. */
  async function recorder(): Promise<{ port: number; requests: { head: IncomingMessage; body: Buffer }[] }> {
    const requests: { head: IncomingMessage; body: Buffer }[] = [];
    const port = await serve(async (request, response) => {
      requests.push({ head: request, body: await bodyOf(request) });
      response.end();
    });
    return { port, requests };
  }

  for (const compression of ["none", "gzip"]) {
    it(`posts the exact bytes of 3.5 MiB to /v1/logs with headers and user agent (${compression})`, async () => {
      const { port, requests } = await recorder();
      const bytes = 3.5 * 1024 * 1024;
      assert.equal(
        (await sendTo(port, { compression, headers: ["X-Token=a%2Cb"] }, { bytes })).kind,
        "accepted",
      );
      const [got] = requests;
      assert.ok(got);
      assert.equal(got.head.method, "POST");
      assert.equal(got.head.url, "/v1/logs");
      assert.equal(got.head.headers["content-type"], "application/x-protobuf");
      assert.equal(got.head.headers["content-encoding"], compression === "gzip" ? "gzip" : undefined);
      assert.equal(got.head.headers["x-token"], "a,b");
      assert.match(got.head.headers["user-agent"] ?? "", /^runtime-evidence\/\d+\.\d+\.\d+$/);
      assert.ok((compression === "gzip" ? gunzipSync(got.body) : got.body).equals(sealed(bytes).body));
    });
  }

  it("posts JSON with http/json", async () => {
    const { port, requests } = await recorder();
    const sender = createSender(optionsFor("http/json", port));
    const empty = { body: Buffer.alloc(0), recordCount: 0, sealedAtUnixMs: 0 };
    assert.equal((await sender.send(empty, never)).kind, "accepted");
    await sender.close();
    assert.equal(requests[0]?.head.headers["content-type"], "application/json");
    assert.equal(typeof JSON.parse(requests[0]?.body.toString() ?? ""), "object");
  });

  it("takes a body that is no OTLP request, and so has no JSON form, as permanent", async () => {
    const { port, requests } = await recorder();
    const sender = createSender(optionsFor("http/json", port));
    const cut = { body: Buffer.from([0x0a, 0x7f]), recordCount: 1, sealedAtUnixMs: 0 };
    const outcome = await sender.send(cut, never);
    await sender.close();
    assert.equal(outcome.kind === "permanent" && outcome.reason, "encoding");
    assert.equal(requests.length, 0);
  });

  it("keeps its connection for the next request", async () => {
    const ports = new Set<number | undefined>();
    const port = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      request.resume().on("end", () => response.end());
    });
    const sender = createSender(optionsFor("http/protobuf", port));
    for (let count = 0; count < 5; count++)
      assert.equal((await sender.send(sealed(10), never)).kind, "accepted");
    await sender.close();
    assert.equal(ports.size, 1);
  });

  for (const status of [200, 201, 202, 204, 299]) {
    it(`takes ${status} as success`, async () => {
      const port = await serve((_request, response) => response.writeHead(status).end());
      assert.deepEqual(await sendTo(port), { kind: "accepted", rejectedRecords: 0, message: "" });
    });
  }

  for (const encoding of ["protobuf", "json"] as const) {
    it(`counts what a partial success in ${encoding} rejects`, async () => {
      const port = await serve((_request, response) => {
        response.setHeader(
          "content-type",
          encoding === "json" ? "application/json" : "application/x-protobuf",
        );
        response.end(exportResponse(encoding, { rejectedRecords: 3, message: "too old" }));
      });
      assert.deepEqual(await sendTo(port), { kind: "accepted", rejectedRecords: 3, message: "too old" });
    });
  }

  for (const [form, header, ms] of [
    ["seconds", () => "7", 7000],
    ["an HTTP-date", () => new Date(Date.now() + 3_600_000).toUTCString(), 3_600_000],
  ] as const) {
    it(`waits as Retry-After says in ${form}`, async () => {
      const port = await serve((_request, response) =>
        response.writeHead(429, { "retry-after": header() }).end(),
      );
      const outcome = await sendTo(port);
      assert.equal(outcome.kind, "retryable");
      const delayMs = outcome.kind === "retryable" ? (outcome.delayMs ?? 0) : 0;
      assert.ok(delayMs > ms - 5_000 && delayMs <= ms, `${delayMs}`);
    });
  }

  it("shows the message of a Status, without header values that it echoes", async () => {
    const port = await serve((_request, response) => {
      response.writeHead(401, { "content-type": "application/x-protobuf" });
      response.end(statusResponse("protobuf", 16, "bad token s3cr3t-value\r\nnext"));
    });
    const outcome = await sendTo(port, { headers: ["authorization=Bearer%20s3cr3t-value"] });
    assert.deepEqual(outcome, {
      kind: "permanent",
      reason: "http 401",
      message: "bad token [redacted] next",
    });
  });

  it("does not follow redirects", async () => {
    let followed = 0;
    const target = await serve((_request, response) => {
      followed += 1;
      response.end();
    });
    const port = await serve((_request, response) => {
      response.writeHead(307, { location: `http://localhost:${target}/v1/logs` }).end();
    });
    assert.equal((await sendTo(port)).kind, "permanent");
    assert.equal(followed, 0);
  });

  it("takes a refused connection as retryable", async () => {
    const outcome = await sendTo(await closedPort());
    assert.equal(outcome.kind === "retryable" && outcome.reason, "connection ECONNREFUSED");
  });

  it("gives up waiting for an answer at the timeout", async () => {
    const port = await serve(() => {});
    const startedMs = performance.now();
    const outcome = await sendTo(port, { timeoutMs: 100 });
    assert.equal(outcome.kind === "retryable" && outcome.reason, "timeout");
    assert.ok(performance.now() - startedMs < 1500);
  });

  it("gives up at the timeout in the middle of an answer", async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("x");
    });
    const outcome = await sendTo(port, { timeoutMs: 100 });
    assert.equal(outcome.kind === "retryable" && outcome.reason, "timeout");
  });

  it("takes a reset in the middle of a request as retryable", async () => {
    const server = await socketServer((socket) => {
      socket.once("data", () => socket.resetAndDestroy());
    });
    servers.push(server);
    assert.equal((await sendTo(server.port, {}, { bytes: 5_000_000 })).kind, "retryable");
  });

  it("takes an answer that is cut off, or is no HTTP, as retryable", async () => {
    for (const text of [
      "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
      "220 mail.example ESMTP\r\n",
      "",
    ]) {
      const server = await socketServer((socket) => {
        socket.once("data", () => socket.end(text));
      });
      servers.push(server);
      assert.equal((await sendTo(server.port)).kind, "retryable", JSON.stringify(text));
    }
  });

  it("reads no more than 4 MiB of an answer that never ends", async () => {
    const port = await serve((_request, response) => endless(response));
    const outcome = await sendTo(port);
    assert.equal(outcome.kind, "accepted");
  });

  it("reads nothing more from a body that was answered before it was read, on a connection of its own", async () => {
    const ports = new Set<number | undefined>();
    const port = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      response.end();
    });
    const sender = createSender(optionsFor("http/protobuf", port));
    for (let count = 0; count < 2; count++) {
      // More than both ends of a connection buffer.
      assert.equal((await sender.send(sealed(32 * 1024 * 1024), never)).kind, "accepted");
    }
    await sender.close();
    assert.equal(ports.size, 2);
  });

  it("ends at once when aborted", async () => {
    const port = await serve(() => {});
    const sender = createSender(optionsFor("http/protobuf", port, { timeoutMs: 0 }));
    const abort = new AbortController();
    const pending = sender.send(sealed(10), abort.signal);
    await sleep(50);
    abort.abort();
    assert.deepEqual(await pending, { kind: "retryable", reason: "aborted" });
    assert.deepEqual(await sender.send(sealed(10), abort.signal), { kind: "retryable", reason: "aborted" });
    await sender.close();
  });
});

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function endless(response: ServerResponse): void {
  response.on("error", () => {});
  response.writeHead(200, { "content-type": "application/x-protobuf" });
  const chunk = Buffer.alloc(256 * 1024);
  const push = () => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once("drain", push);
  };
  push();
}
