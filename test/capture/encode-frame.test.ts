import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeFrame } from "../../src/capture/encode-frame.ts";
import { checkEventFrame } from "../../src/frames/check.ts";
import { CaptureClock } from "../../src/frames/clock.ts";
import { type FrameEventType, frameEventType } from "../../src/frames/fields.ts";
import { FrameFlag } from "../../src/frames/layout.gen.ts";
import { toRecord } from "../../src/frames/to-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { fileOpenFrame, processExecFrame, tcpStateFrame } from "../frames/build-frame.ts";

const OBSERVED = 1_737_000_123_456_789_012n;
const resources = createResourceSource({ "service.name": "test" });

function clockOf(type: "boot" | "realtime", offsetNs: bigint): CaptureClock {
  const clock = new CaptureClock(type);
  clock.set(offsetNs);
  return clock;
}

/** The request that the hot path makes, `undefined` when it hands the frame over. */
function straight(frame: Buffer, clock: CaptureClock, sequence: number): Buffer | undefined {
  const builder = new RequestBuilder();
  const context = {
    clock,
    streamId: "0123456789abcdef",
    observedLo: Number(OBSERVED & 0xffffffffn),
    observedHi: Number(OBSERVED >> 32n),
  };
  const writer = builder.use(resources.resourceFor(undefined, undefined));
  const type = frameEventType(frame, 0) as FrameEventType;
  return encodeFrame(type, frame, 0, sequence, writer, context) ? builder.seal().body : undefined;
}

function byRecord(frame: Buffer, clock: CaptureClock, sequence: number): Buffer {
  const builder = new RequestBuilder();
  const type = frameEventType(frame, 0) as FrameEventType;
  const { record, extensions, timeUnixNano } = toRecord(type, frame, 0, clock);
  encodeRecord(builder, record, {
    timeUnixNano,
    observedTimeUnixNano: OBSERVED,
    streamId: "0123456789abcdef",
    sequence,
    extensions,
    resources,
  });
  return builder.seal().body;
}

const asciiText = fc.stringMatching(/^[ -~]{0,300}$/);
const anyBytes = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => Buffer.from(bytes).map((byte) => byte || 1));
const text = fc.oneof({ weight: 4, arbitrary: asciiText }, { weight: 1, arbitrary: anyBytes });
const u64 = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.constantFrom(2n ** 53n, 2n ** 63n - 1n, 2n ** 63n));
const pid = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constant(2 ** 32 - 1));
const header = fc.record({
  bootNs: u64,
  cgroupId: u64,
  pid,
  tid: pid,
  startBootNs: u64,
  namespacePid: fc.option(pid, { nil: undefined }),
  comm: fc.oneof(
    fc.stringMatching(/^[ -~]{0,15}$/),
    fc.uint8Array({ maxLength: 15 }).map((bytes) => Buffer.from(bytes)),
  ),
  flags: fc.constantFrom(0, 0, 0, FrameFlag.PATH_AT_EXIT, FrameFlag.TRUNCATED),
});
const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
const bytes16 = fc
  .oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.constant(Buffer.from("00000000000000000000ffff0a000001", "hex")),
  )
  .map((bytes) => Buffer.from(bytes));

const frames = fc.oneof(
  fc
    .tuple(header, text, u64, fc.integer(), fc.nat({ max: 0o177777 }), fc.nat({ max: 3 }))
    .map(([options, path, openFlags, dfd, mode, hook]) =>
      fileOpenFrame({ ...defined(options), path, openFlags, dfd: dfd | 0, mode, hook } as object),
    ),
  fc.tuple(header, text, text, fc.nat(), fc.boolean()).map(([options, filename, argv0, ppid, absent]) =>
    processExecFrame({
      ...defined(options),
      filename,
      argv0: absent ? "" : argv0,
      ppid,
      flags: absent ? FrameFlag.ARGV0_ABSENT : 0,
    } as object),
  ),
  fc
    .tuple(
      header,
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(2, 10),
      fc.nat({ max: 1 }),
      bytes16,
      bytes16,
      fc.nat({ max: 65535 }),
    )
    .map(([options, oldstate, newstate, family, attribution, saddr, daddr, port]) =>
      tcpStateFrame({
        ...defined(options),
        oldstate,
        newstate,
        family,
        attribution,
        saddr,
        daddr,
        sport: port,
        flags: 0,
      } as object),
    ),
);

describe("frame to OTLP", () => {
  it("is byte for byte the same as by way of the record", () => {
    let plain = 0;
    fc.assert(
      fc.property(
        frames,
        fc.constantFrom("boot" as const, "realtime" as const),
        fc.bigInt(0n, 2n ** 61n),
        fc.oneof(fc.nat(), fc.constantFrom(2 ** 32, 2 ** 53 - 1)),
        (frame, clockType, offsetNs, sequence) => {
          const type = frameEventType(frame, 0) as FrameEventType;
          assert.equal(checkEventFrame(type, frame, 0), undefined);
          const clock = clockOf(clockType, offsetNs);
          const direct = straight(frame, clock, sequence);
          if (direct === undefined) return;
          plain++;
          assert.equal(direct.toString("hex"), byRecord(frame, clock, sequence).toString("hex"));
        },
      ),
      { numRuns: 3000 },
    );
    assert.ok(plain > 1000, `only ${plain} frames were plain`);
  });

  it("takes ordinary frames, and hands over the others with nothing written", () => {
    const clock = clockOf("boot", 1n);
    for (const frame of [
      fileOpenFrame(),
      fileOpenFrame({ namespacePid: 1 }),
      processExecFrame(),
      tcpStateFrame(),
    ]) {
      assert.notEqual(straight(frame, clock, 1), undefined);
    }
    for (const path of ["", "/tmp/\u00fc", Buffer.from([0x2f, 0xff])]) {
      assert.equal(straight(fileOpenFrame({ path }), clock, 1), undefined);
    }
    assert.equal(straight(fileOpenFrame({ comm: "" }), clock, 1), undefined);
    assert.equal(straight(fileOpenFrame({ flags: FrameFlag.PATH_AT_EXIT }), clock, 1), undefined);
  });
});
