/** Ports and protocols mixed up: what is likely wrong is said at once, and the request is tried again. */
import assert from "node:assert/strict";
import { createSender } from "../../src/delivery/create-sender.ts";
import { startDelivery } from "../../src/delivery/delivery.ts";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import { httpFailureMismatch, httpStatusMismatch } from "../../src/delivery/protocol-mismatch.ts";
import { collectorMissing, type StartedCollector, startCollector } from "../backends/collector.ts";
import { skip } from "../skip.ts";
import { type Certificates, makeCertificates, pem } from "./certificates.ts";
import { sealed } from "./sealed.ts";
import { grpcServer, httpServer, optionsFor, type RunningServer, socketServer } from "./servers.ts";

const never = new AbortController().signal;

const NO_GRPC =
  /^localhost:\d+ does not speak gRPC: is it the port of OTLP\/HTTP\? set the protocol to http\/protobuf/;
const NO_HTTP = /^localhost:\d+ does not speak HTTP\/1: is it the port of gRPC\? set the protocol to grpc/;
const NO_TLS = /^localhost:\d+ does not speak TLS: use http:\/\//;
const WANTS_TLS = /^localhost:\d+ wants TLS: use https:\/\/$/;
const CLOSES = /^localhost:\d+ closes connections without an answer/;

async function sendTo(port: number, protocol: OtlpProtocol, tls: boolean, ca?: string): Promise<SendOutcome> {
  const options = optionsFor(protocol, port, {
    tls,
    ...(tls && ca !== undefined && { certificateFile: ca }),
  });
  const sender = createSender(options);
  try {
    return await sender.send(sealed(100), never);
  } finally {
    await sender.close();
  }
}

function assertTold(outcome: SendOutcome, message: RegExp, what: string): void {
  assert.equal(outcome.kind, "retryable", `${what}: ${JSON.stringify(outcome)}`);
  assert.match(outcome.message ?? "", message, what);
}

describe("protocols mixed up", () => {
  let certificates: Certificates;
  before(() => {
    certificates = makeCertificates();
  });
  after(() => certificates.remove());

  describe("at a real Collector", () => {
    let plain: StartedCollector;
    let secure: StartedCollector;
    before(async function () {
      const missing = collectorMissing();
      if (missing !== undefined) skip(this, missing);
      plain = await startCollector({ config: "nop" });
      const { serverCertificate: certificate, serverKey: key } = certificates;
      secure = await startCollector({ config: "tls", tls: { certificate, key } });
    });
    after(() => Promise.all([plain?.remove(), secure?.remove()]));

    it("are told for what they are, whichever way, and tried again", async () => {
      const wrong: [StartedCollector, "grpc" | "http", OtlpProtocol, tls: boolean, RegExp][] = [
        [plain, "grpc", "grpc", true, NO_TLS],
        [plain, "grpc", "http/protobuf", false, NO_HTTP],
        [plain, "grpc", "http/protobuf", true, NO_TLS],
        [plain, "http", "grpc", false, NO_GRPC],
        [plain, "http", "grpc", true, NO_TLS],
        [plain, "http", "http/json", true, NO_TLS],
        [secure, "grpc", "grpc", false, CLOSES],
        [secure, "grpc", "http/protobuf", false, CLOSES],
        [secure, "grpc", "http/protobuf", true, CLOSES],
        [secure, "http", "grpc", false, CLOSES],
        [secure, "http", "grpc", true, NO_GRPC],
        [secure, "http", "http/protobuf", false, WANTS_TLS],
      ];
      for (const [collector, listener, protocol, tls, message] of wrong) {
        const endpoint = listener === "grpc" ? collector.grpcEndpoint : collector.httpEndpoint;
        const outcome = await sendTo(Number(new URL(endpoint).port), protocol, tls, certificates.ca);
        const kind = collector === secure ? "TLS" : "plain";
        assertTold(outcome, message, `${protocol}, ${tls ? "TLS" : "plain"}, to ${listener}, ${kind}`);
      }
    });
  });

  it("lose nothing: what was refused by the wrong server is delivered by the right one", async () => {
    let isRight = false;
    const lines: string[] = [];
    const server = await httpServer((_, response) => {
      response.statusCode = isRight ? 200 : 400;
      response.end(isRight ? "" : "Client sent an HTTP request to an HTTPS server.\n");
    });
    try {
      const queue = createMemoryQueue();
      await queue.offer(sealed(100, 7));
      const delivery = startDelivery({
        queue,
        sender: createSender(optionsFor("http/protobuf", server.port)),
        retry: { initialMs: 5, maxMs: 10 },
        report: (line) => lines.push(line),
      });
      while (delivery.counters().retries < 3) await new Promise((resolve) => setTimeout(resolve, 5));
      isRight = true;
      assert.equal((await delivery.drain(5000)).delivered, true);
      assert.equal(delivery.counters().recordsAccepted, 7);
      assert.match(
        lines[0] ?? "",
        /^collector: http 400: localhost:\d+ wants TLS: use https:\/\/; 7 records stay/,
      );
      assert.equal(lines.length, 1, "said once, not at each try");
    } finally {
      await server.close();
    }
  });

  it("are told by a TLS server that has no protocol in common", async () => {
    const [key, cert] = pem(certificates.serverKey, certificates.serverCertificate) as [Buffer, Buffer];
    const http1 = await httpServer((_, response) => response.end(), { key, cert });
    assertTold(await sendTo(http1.port, "grpc", true, certificates.ca), NO_GRPC, "gRPC to HTTP/1");
    await http1.close();
  });

  it("are not told of a server that closes connections once it has taken something", async () => {
    let open = true;
    const server = await socketServer((socket) => {
      if (!open) socket.destroy();
      else
        socket.on("data", () =>
          socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        );
    });
    const sender = createSender(optionsFor("http/protobuf", server.port));
    try {
      assert.equal((await sender.send(sealed(100), never)).kind, "accepted");
      open = false;
      const outcome = await sender.send(sealed(100), never);
      assert.ok(outcome.kind === "retryable" && !CLOSES.test(outcome.message ?? ""), JSON.stringify(outcome));
    } finally {
      await sender.close();
      await server.close();
    }
  });

  it("are not seen in answers that mean what they say", async () => {
    const refusing: RunningServer = await grpcServer((_, respond) =>
      respond({ code: 12, details: "no logs here" }),
    );
    try {
      const outcome = await sendTo(refusing.port, "grpc", false);
      assert.deepEqual(outcome, { kind: "permanent", reason: "grpc UNIMPLEMENTED", message: "no logs here" });
    } finally {
      await refusing.close();
    }
    assert.equal(httpStatusMismatch(400, "invalid protobuf", "c:4318"), undefined);
    assert.equal(httpStatusMismatch(404, "not found", "c:4318"), undefined);
    const connecting = { server: "c:4318", secure: false, hasDelivered: false };
    for (const code of ["ECONNREFUSED", "ENOTFOUND", "HPE_HEADER_OVERFLOW"]) {
      assert.equal(httpFailureMismatch({ code, message: code }, connecting), undefined, code);
    }
    const alert = { code: "HPE_INVALID_CONSTANT", rawPacket: Buffer.from([0x15, 3, 3, 0, 2, 2, 0x46]) };
    assert.match(httpFailureMismatch(alert, connecting) ?? "", /wants TLS/);
  });
});
