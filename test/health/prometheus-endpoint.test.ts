import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import {
  isLoopback,
  openPrometheusEndpoint,
  type PrometheusEndpoint,
} from "../../src/health/prometheus-endpoint.ts";
import { until } from "../process.ts";

const REQUEST_TIMEOUT_MS = 400;
const TEXT = `${"# a comment that makes it long enough for a reader to be slow\n".repeat(200_000)}x 1\n`;

/** A connection of somebody, who may be hostile. */
async function connected(port: number): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  await once(socket, "connect");
  return { socket, received: () => text };
}

function closed(socket: Socket): Promise<void> {
  // However it ends; a reset is an end, too.
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

describe("prometheus endpoint", function () {
  // Timeouts of real time, which the machine may miss.
  this.retries(1);
  let endpoint: PrometheusEndpoint;
  let port = 0;
  let renders = 0;
  beforeEach(async () => {
    renders = 0;
    const options = { host: "127.0.0.1", port: 0, requestTimeoutMs: REQUEST_TIMEOUT_MS };
    endpoint = await openPrometheusEndpoint(options);
    port = Number(endpoint.address.split(":")[1]);
  });
  afterEach(() => endpoint.close());

  const serve = (text = "x 1\n") =>
    endpoint.serve(async () => {
      renders++;
      return text;
    });
  const ask = (path = "/metrics", init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);

  it("answers /metrics, before there are values with 503, and nothing else", async () => {
    assert.equal((await ask()).status, 503);
    serve();
    const answer = await ask();
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert.equal(await answer.text(), "x 1\n");
    assert.equal((await ask("/metrics?collect[]=x")).status, 200);
    assert.equal(await (await ask("/metrics", { method: "HEAD" })).text(), "");
    assert.equal((await ask("/metrics/../etc/passwd")).status, 404);
    assert.equal((await ask("/")).status, 404);
    assert.equal((await ask("/metrics", { method: "DELETE" })).status, 405);
  });

  it("refuses to listen to others than this host, and says so", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "example.com", "128.0.0.1", ""]) {
      assert.ok(!isLoopback(host), host);
      await assert.rejects(openPrometheusEndpoint({ host, port: 0 }), (error: RuntimeEvidenceError) => {
        assert.equal(error.code, "usage");
        assert.match(error.message, /loopback only/);
        return true;
      });
    }
    for (const host of ["127.0.0.1", "127.1.2.3", "::1"]) assert.ok(isLoopback(host), host);
    await assert.rejects(
      openPrometheusEndpoint({ host: "127.0.0.1", port }),
      (error) =>
        error instanceof RuntimeEvidenceError && error.code === "io" && /EADDRINUSE/.test(error.message),
    );
  });

  it("collects once for all who ask at the same time", async () => {
    serve();
    const texts = await Promise.all(Array.from({ length: 12 }, async () => (await ask()).text()));
    assert.ok(texts.every((text) => text === "x 1\n"));
    assert.ok(renders <= 2, `${renders} collections`);
    await sleep(300);
    await ask();
    assert.ok(renders >= 2, "later ones get new values");
  });

  it("says no more than that values could not be collected, and goes on", async () => {
    let fails = true;
    endpoint.serve(async () => {
      if (fails) throw new Error("/a/path");
      return "x 1\n";
    });
    const answer = await ask();
    assert.equal(answer.status, 500);
    assert.doesNotMatch(await answer.text(), /path/);
    fails = false;
    await sleep(300);
    assert.equal((await ask()).status, 200);
  });

  it("takes 16 connections, and closes those that say nothing", async () => {
    serve();
    const all = await Promise.all(Array.from({ length: 60 }, () => connected(port)));
    const open = () => all.filter(({ socket }) => !socket.closed && !socket.destroyed).length;
    // Long before the others are closed for saying nothing.
    await until(
      () => open() <= 16,
      () => `${open()} are open`,
      REQUEST_TIMEOUT_MS / 2,
    );
    await Promise.all(all.map(({ socket }) => closed(socket)));
    assert.equal((await ask()).status, 200, "there is room again");
  });

  it("ends a request that comes byte by byte", async () => {
    serve();
    const { socket } = await connected(port);
    const startedMs = performance.now();
    const drip = setInterval(() => socket.write("G"), 20);
    socket.write("GET /metrics HTTP/1.1\r\nHost: ");
    await closed(socket);
    clearInterval(drip);
    assert.ok(performance.now() - startedMs < 4 * REQUEST_TIMEOUT_MS);
  });

  it("refuses large headers, and reads no body", async () => {
    serve();
    const large = await connected(port);
    large.socket.write(`GET /metrics HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(10 * 1024)}\r\n\r\n`);
    await closed(large.socket);
    assert.match(large.received(), /^HTTP\/1\.1 431 /);
    const body = await connected(port);
    const smuggled = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    body.socket.write(`POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n${smuggled}`);
    await closed(body.socket);
    assert.equal(
      body
        .received()
        .match(/HTTP\/1\.1 \d+/g)
        ?.join(),
      "HTTP/1.1 405",
    );
  });

  it("gives up on a reader that takes nothing, and holds the text for it no longer", async () => {
    serve(TEXT);
    const request = get({ port, host: "127.0.0.1", path: "/metrics" });
    const [response] = (await once(request, "response")) as [NodeJS.ReadableStream & { destroy(): void }];
    response.on("error", () => {});
    request.on("error", () => {});
    response.pause();
    const startedMs = performance.now();
    await endpointIsFree(port);
    assert.ok(performance.now() - startedMs < 10 * REQUEST_TIMEOUT_MS);
    response.destroy();
  });

  /** Resolves when the server has no other connection than those that ask. */
  async function endpointIsFree(of: number): Promise<void> {
    const sockets = await Promise.all(Array.from({ length: 15 }, () => connected(of)));
    for (const { socket } of sockets) socket.destroy();
    await sleep(3 * REQUEST_TIMEOUT_MS);
    const again = await Promise.all(Array.from({ length: 16 }, () => connected(of)));
    await sleep(50);
    assert.equal(again.filter(({ socket }) => !socket.closed).length, 16, "the slow reader is gone");
    for (const { socket } of again) socket.destroy();
  }
});
