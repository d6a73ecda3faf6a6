import assert from "node:assert/strict";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { readClockOffsetNs, readCounters, readHello } from "../../src/frames/control.ts";
import { FrameFlag, LAYOUT_HASH, LossReason, ProbeId } from "../../src/frames/layout.gen.ts";
import { clockFrame, countersFrame, fileOpenFrame, helloFrame } from "./build-frame.ts";

const refused = (frame: Buffer, code: string, words: RegExp) =>
  assert.throws(
    () => readHello(frame, 0),
    (error) => error instanceof RuntimeEvidenceError && error.code === code && words.test(error.message),
  );

describe("hello frame", () => {
  it("says kernel, clock and hooks", () => {
    assert.deepEqual(readHello(helloFrame(), 0), {
      realtimeOffsetNs: 1_737_000_000_000_000_000n,
      kernel: { release: "6.18.0", machine: "x86_64" },
      probeVersion: "0.1.0",
      hooks: [{ probe: "file_open", hook: "sys_enter_openat", state: "on" }],
    });
  });

  it("of another build is refused with a sentence to act on", () => {
    refused(helloFrame({ version: 99 }), "protocol-mismatch", /version 99.*one release/);
    refused(helloFrame({ layoutHash: LAYOUT_HASH ^ 1n }), "protocol-mismatch", /rebuild/);
  });

  it("that is none is refused", () => {
    refused(helloFrame({ magic: 1 }), "bad-input", /no frame stream/);
    refused(fileOpenFrame(), "bad-input", /no frame stream/);
    refused(helloFrame({ text: "{" }), "bad-input", /text/);
    const short = helloFrame();
    short.writeUInt32LE(1_000_000, 64 + 24);
    refused(short, "bad-input", /shorter than its text/);
  });
});

describe("clock and counters frames", () => {
  it("give exact 64-bit values", () => {
    assert.equal(readClockOffsetNs(clockFrame(-(2n ** 62n)), 0), -(2n ** 62n));
    const counters = readCounters(
      countersFrame(
        {
          [ProbeId.TCP_STATE]: {
            seen: 2n ** 60n,
            emitted: 3n,
            filtered: 4n,
            lost: { [LossReason.RECURSION]: 5n },
          },
        },
        FrameFlag.FINAL,
      ),
      0,
    );
    assert.equal(counters?.final, true);
    const tcp = counters?.probes[ProbeId.TCP_STATE];
    assert.equal(tcp?.probe, "tcp_state");
    assert.equal(tcp?.seen, 2n ** 60n);
    assert.equal(tcp?.emitted, 3n);
    assert.equal(tcp?.filtered, 4n);
    assert.equal(tcp?.lost.get("recursion"), 5n);
    assert.equal(tcp?.lost.get("ring_full"), 0n);
  });

  it("too short for their body are no frames of their kind", () => {
    const short = clockFrame(1n);
    short.writeUInt32LE(64, 0);
    assert.equal(readClockOffsetNs(short, 0), undefined);
    const counters = countersFrame({});
    counters.writeUInt32LE(64 + 8, 0);
    assert.equal(readCounters(counters, 0), undefined);
  });
});
