import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { CAPTURED_EVENTS } from "../../src/capture/probe-config.ts";
import type { FrameSource } from "../../src/capture/source.ts";
import type { Sender } from "../../src/delivery/outcome.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { createFrameContext } from "../../src/frames/context.ts";
import { frameKind } from "../../src/frames/header.ts";
import { FrameKind } from "../../src/frames/layout.gen.ts";
import { FrameSplitter } from "../../src/frames/split.ts";
import { Ledger } from "../../src/health/ledger.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { createFrameFlow, runFrameLoop } from "../../src/pipeline/frame-loop.ts";
import { openOtlpSink } from "../../src/pipeline/otlp-sink.ts";
import { identify, StreamVerifier } from "../../src/pipeline/stream-verifier.ts";
import { verdictOf } from "../../src/pipeline/verdict.ts";

const demo = readFileSync(new URL("../../examples/demo.frames", import.meta.url));

/** Where the last frame of counters starts: what comes before is a run that was cut off. */
function lastCountersAt(): number {
  let at = 0;
  let start = 0;
  new FrameSplitter().push(demo, (buffer, offset) => {
    if (frameKind(buffer, offset) === FrameKind.COUNTERS) at = start;
    start += buffer.readUInt32LE(offset);
  });
  return at;
}

function source(bytes: Buffer, options: { fails?: "reading" | "ending" } = {}): FrameSource {
  async function* chunks() {
    yield bytes;
    if (options.fails === "reading") throw new RuntimeEvidenceError("io", "cannot write the recording");
  }
  const ended =
    options.fails === undefined
      ? Promise.resolve()
      : Promise.reject(new RuntimeEvidenceError("probe-failed", "the probe ended by SIGKILL"));
  ended.catch(() => {});
  return { name: "test", chunks: chunks(), stop() {}, kill() {}, ended };
}

/** What a collector has of it, as `verify` sees it. */
async function verified(from: FrameSource) {
  const verifier = new StreamVerifier();
  const sender: Sender = {
    send: async ({ body }) => {
      for (const record of decodeRequest(body)) verifier.take(identify(record));
      return { kind: "accepted", rejectedRecords: 0, message: "" };
    },
    close: async () => {},
  };
  const ledger = new Ledger(CAPTURED_EVENTS);
  const context = createFrameContext("boot");
  const resources = createResourceSource({ "service.name": "test" });
  const sink = await openOtlpSink({ sender, queue: {}, resources, context, ledger, report: () => {} });
  const damage = await runFrameLoop({
    source: from,
    context,
    ledger,
    sinks: [sink],
    flow: createFrameFlow(),
  });
  await sink.end(10_000);
  const reports = verifier.reports(10);
  return { damage, verdict: verdictOf(reports), report: reports[0] };
}

describe("a stream whose probe was lost", () => {
  it("is complete when all counts came", async () => {
    assert.equal((await verified(source(demo))).verdict, "complete");
  });

  it("says that nobody knows what there was to see", async () => {
    const { damage, verdict, report } = await verified(
      source(demo.subarray(0, lastCountersAt()), { fails: "ending" }),
    );
    assert.match(damage.failure?.message ?? "", /SIGKILL/);
    assert.equal(verdict, "accounted");
    assert.equal(report?.probeDownTimes, 1);
  });

  it("says so, too, when a recording could not be written: what was read is delivered, and the books are closed", async () => {
    const { damage, verdict, report } = await verified(
      source(demo.subarray(0, lastCountersAt()), { fails: "reading" }),
    );
    assert.match(damage.failure?.message ?? "", /cannot write the recording/);
    assert.equal(verdict, "accounted");
    assert.ok((report?.records ?? 0) > 0);
    assert.equal(report?.state, "ended");
  });
});
