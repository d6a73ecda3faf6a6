/** The senders' outcomes as a real Collector makes them. */
import assert from "node:assert/strict";
import { createSender } from "../../src/delivery/create-sender.ts";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import type { SealedRequest, SendOutcome } from "../../src/delivery/outcome.ts";
import { collectorMissing, type StartedCollector, startCollector } from "../backends/collector.ts";
import { skip } from "../skip.ts";
import { sealed } from "./sealed.ts";

const MIB = 1024 * 1024;
const never = new AbortController().signal;

describe("the senders at a real Collector", () => {
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
