import assert from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { type Metadata as GrpcMetadata, Metadata } from "@grpc/grpc-js";
import { createSender } from "../../src/delivery/create-sender.ts";
import type { OtlpOverrides } from "../../src/delivery/otlp-environment.ts";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import { exportResponse, retryInfoStatus } from "../../src/receive/otlp-response.ts";
import { sealed } from "./sealed.ts";
import {
  closedPort,
  type GrpcAnswer,
  grpcFailure,
  grpcServer,
  optionsFor,
  type RunningServer,
  socketServer,
} from "./servers.ts";

const never = new AbortController().signal;

describe("the gRPC sender", () => {
  const servers: RunningServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  async function sendTo(port: number, overrides: OtlpOverrides = {}, bytes = 100): Promise<SendOutcome> {
    const sender = createSender(optionsFor("grpc", port, overrides));
    try {
      return await sender.send(sealed(bytes, 5), never);
    } finally {
      await sender.close();
    }
  }

  async function serve(answer: GrpcAnswer, requestBytesMax?: number): Promise<number> {
    const server = await grpcServer(answer, undefined, requestBytesMax);
    servers.push(server);
    return server.port;
  }

  for (const compression of ["none", "gzip"]) {
    it(`delivers the exact bytes of 3.5 MiB, headers and user agent (${compression})`, async () => {
      const seen: { metadata: GrpcMetadata; bytes: Buffer }[] = [];
      const port = await serve((call, respond) => {
        seen.push({ metadata: call.metadata, bytes: call.request });
        respond(null, Buffer.alloc(0));
      });
      const bytes = 3.5 * 1024 * 1024;
      const headers = ["X-Token=a%2Cb", "trace-bin=AAEC"];
      const outcome = await sendTo(port, { compression, headers }, bytes);
      assert.deepEqual(outcome, { kind: "accepted", rejectedRecords: 0, message: "" });
      assert.ok(seen[0]?.bytes.equals(sealed(bytes).body));
      assert.deepEqual(seen[0]?.metadata.get("x-token"), ["a,b"]);
      assert.deepEqual(seen[0]?.metadata.get("trace-bin"), [Buffer.from([0, 1, 2])]);
      assert.match(
        String(seen[0]?.metadata.get("user-agent")),
        /^runtime-evidence\/\d+\.\d+\.\d+ grpc-node-js/,
      );
    });
  }

  it("counts what a partial success rejects", async () => {
    const port = await serve((_call, respond) => {
      respond(null, exportResponse("protobuf", { rejectedRecords: 2, message: "too old" }));
    });
    assert.deepEqual(await sendTo(port), { kind: "accepted", rejectedRecords: 2, message: "too old" });
  });

  const retryable = [1, 4, 10, 11, 14, 15];
  for (let code = 1; code <= 16; code++) {
    it(`takes status ${code} of a server as the table says`, async () => {
      const port = await serve((_call, respond) => respond(grpcFailure(code, "because")));
      const outcome = await sendTo(port);
      assert.equal(outcome.kind, retryable.includes(code) ? "retryable" : "permanent");
      assert.equal("message" in outcome && outcome.message, "because");
    });
  }

  it("reads RetryInfo", async () => {
    const port = await serve((_call, respond) => {
      const metadata = new Metadata();
      metadata.set("grpc-status-details-bin", retryInfoStatus(8, "quota", 3));
      respond(grpcFailure(8, "quota", metadata));
    });
    const outcome = await sendTo(port);
    assert.deepEqual(outcome, {
      kind: "retryable",
      reason: "grpc RESOURCE_EXHAUSTED",
      message: "quota",
      delayMs: 3000,
    });
  });

  it("takes a message over the server's limit as too large", async () => {
    const port = await serve((_call, respond) => respond(null, Buffer.alloc(0)), 1000);
    assert.equal((await sendTo(port, {}, 5000)).kind, "too-large");
    assert.equal((await sendTo(port, { compression: "gzip" }, 5000)).kind, "too-large");
  });

  it("goes where the endpoint says, whatever proxies the environment names", async () => {
    const port = await serve((_call, respond) => respond(null, Buffer.alloc(0)));
    const { grpc_proxy: before } = process.env;
    process.env.grpc_proxy = `http://localhost:${await closedPort()}`;
    try {
      assert.equal((await sendTo(port)).kind, "accepted");
    } finally {
      if (before === undefined) delete process.env.grpc_proxy;
      else process.env.grpc_proxy = before;
    }
  });

  it("takes a refused connection as retryable", async () => {
    const outcome = await sendTo(await closedPort());
    assert.equal(outcome.kind, "retryable");
    assert.match(("message" in outcome && outcome.message) || "", /ECONNREFUSED/);
  });

  it("gives up waiting for an answer at the deadline", async () => {
    const port = await serve(() => {});
    const startedMs = performance.now();
    const outcome = await sendTo(port, { timeoutMs: 100 });
    assert.equal(outcome.kind === "retryable" && outcome.reason, "grpc DEADLINE_EXCEEDED");
    assert.ok(performance.now() - startedMs < 1500);
  });

  it("holds the deadline against a peer that accepts and then says nothing at all", async () => {
    const server = await socketServer(() => {});
    servers.push(server);
    assert.equal((await sendTo(server.port, { timeoutMs: 100 })).kind, "retryable");
  });

  it("waits as long as it takes with a timeout of 0", async () => {
    const port = await serve((_call, respond) => {
      setTimeout(() => respond(null, Buffer.alloc(0)), 300);
    });
    assert.equal((await sendTo(port, { timeoutMs: 0 })).kind, "accepted");
  });

  it("takes a reset in the middle of a request as retryable", async () => {
    const server = await socketServer((socket) => {
      socket.once("data", () => socket.resetAndDestroy());
    });
    servers.push(server);
    assert.equal((await sendTo(server.port, {}, 1_000_000)).kind, "retryable");
  });

  it("takes a stream that ends without status as retryable", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream) => stream.close(0));
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const { port } = server.address() as { port: number };
    try {
      assert.equal((await sendTo(port)).kind, "retryable");
    } finally {
      server.close();
    }
  });

  it("takes a peer that does not speak HTTP/2 as retryable", async () => {
    const server = await socketServer((socket) => socket.end("220 mail.example ESMTP\r\n"));
    servers.push(server);
    assert.equal((await sendTo(server.port, { timeoutMs: 500 })).kind, "retryable");
  });

  it("shows no header value that a server echoes, and one clean line only", async () => {
    const port = await serve((_call, respond) =>
      respond(grpcFailure(16, "bad token s3cr3t-value\n\u001b[31m")),
    );
    const outcome = await sendTo(port, { headers: ["authorization=Bearer%20s3cr3t-value"] });
    assert.equal("message" in outcome && outcome.message, "bad token [redacted] [31m");
  });

  it("ends at once when aborted, before and during a call", async () => {
    const port = await serve(() => {});
    const sender = createSender(optionsFor("grpc", port, { timeoutMs: 0 }));
    const abort = new AbortController();
    const pending = sender.send(sealed(10), abort.signal);
    await sleep(50);
    abort.abort();
    assert.deepEqual(await pending, { kind: "retryable", reason: "aborted" });
    assert.deepEqual(await sender.send(sealed(10), abort.signal), { kind: "retryable", reason: "aborted" });
    await sender.close();
  });

  it("reaches a server that comes up later", async () => {
    const port = await closedPort();
    const sender = createSender(optionsFor("grpc", port));
    assert.equal((await sender.send(sealed(10), never)).kind, "retryable");
    const { startReceiver } = await import("../../src/receive/receiver.ts");
    const receiver = await startReceiver({ grpc: { host: "localhost", port } }, async () => {});
    let outcome: SendOutcome | undefined;
    for (let tries = 0; tries < 30 && outcome?.kind !== "accepted"; tries++) {
      await sleep(100);
      outcome = await sender.send(sealed(10), never);
    }
    await sender.close();
    await receiver.close();
    assert.equal(outcome?.kind, "accepted");
  });
});
