import assert from "node:assert/strict";
import { classifyGrpcStatus } from "../../src/delivery/grpc-status.ts";
import { classifyHttpStatus } from "../../src/delivery/http-status.ts";

/** OTLP specification: the retryable gRPC codes. RESOURCE_EXHAUSTED (8) has its own rule. */
const RETRYABLE_GRPC = new Set([1, 4, 10, 11, 14, 15]);

describe("the gRPC table", () => {
  for (let code = 1; code <= 17; code++) {
    const expected = RETRYABLE_GRPC.has(code) ? "retryable" : "permanent";
    it(`takes code ${code} as ${expected}`, () => {
      assert.equal(classifyGrpcStatus(code, "no").kind, expected);
    });
  }

  it("takes RESOURCE_EXHAUSTED as retryable only with RetryInfo", () => {
    assert.equal(classifyGrpcStatus(8, "quota").kind, "permanent");
    assert.deepEqual(classifyGrpcStatus(8, "quota", 250), {
      kind: "retryable",
      reason: "grpc RESOURCE_EXHAUSTED",
      message: "quota",
      delayMs: 250,
    });
  });

  const tooLarge: [number, string][] = [
    [8, "grpc: received message larger than max (4194305 vs. 4194304)"],
    [8, "grpc: received message after decompression larger than max (5 vs. 4)"],
    [8, "Received message that decompresses to a size larger than 4194304"],
    [8, "gRPC message exceeds maximum size 4194304: 5000000"],
    [2, "Received HTTP status code 413"],
    [11, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"],
  ];
  for (const [code, message] of tooLarge) {
    it(`takes ${code} "${message}" as too large`, () => {
      assert.equal(classifyGrpcStatus(code, message).kind, "too-large");
    });
  }

  it("takes the same words with another meaning as the table says", () => {
    assert.equal(classifyGrpcStatus(2, "Received HTTP status code 400").kind, "permanent");
    assert.equal(classifyGrpcStatus(3, "value larger than max").kind, "permanent");
  });

  it("says of a deadline, and of nothing else, that the time was over", () => {
    for (let code = 1; code <= 16; code++) {
      const outcome = classifyGrpcStatus(code, "no", 1);
      assert.equal(outcome.kind === "retryable" && outcome.timedOut === true, code === 4, `${code}`);
    }
  });

  it("takes a stream that ended without status as a disconnect", () => {
    const outcome = classifyGrpcStatus(
      13,
      "Received RST_STREAM with code 0 (Call ended without gRPC status)",
    );
    assert.equal(outcome.kind, "retryable");
  });

  it("passes RetryInfo of any retryable status on", () => {
    const outcome = classifyGrpcStatus(14, "busy", 4000);
    assert.equal(outcome.kind === "retryable" && outcome.delayMs, 4000);
  });
});

describe("the HTTP table", () => {
  const kinds: Record<number, string> = {
    413: "too-large",
    429: "retryable",
    502: "retryable",
    503: "retryable",
    504: "retryable",
  };
  for (const status of [
    300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 501, 502, 503, 504, 505, 599,
  ]) {
    it(`takes ${status} as ${kinds[status] ?? "permanent"}`, () => {
      assert.equal(classifyHttpStatus(status, "").kind, kinds[status] ?? "permanent");
    });
  }

  it("takes a Collector's 400 for a body over its limit as too large", () => {
    assert.equal(classifyHttpStatus(400, "http: request body too large").kind, "too-large");
  });

  it("passes Retry-After on", () => {
    const outcome = classifyHttpStatus(429, "slow down", 9000);
    assert.equal(outcome.kind === "retryable" && outcome.delayMs, 9000);
  });
});
