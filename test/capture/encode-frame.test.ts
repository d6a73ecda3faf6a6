import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeFrame } from "../../src/capture/encode-frame.ts";
import { checkEventFrame } from "../../src/frames/check.ts";
import { createFrameContext, type FrameContext } from "../../src/frames/context.ts";
import { type FrameEventType, frameEventType } from "../../src/frames/fields.ts";
import { FrameFlag, ProcessRuntime } from "../../src/frames/layout.gen.ts";
import { toRecord } from "../../src/frames/to-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import {
  attachPointFrame,
  fileOpenFrame,
  functionCallFrame,
  netConnectFrame,
  processExecFrame,
  processRuntimeFrame,
  sslOpFrame,
  symbolFrame,
  tcpStateFrame,
} from "../frames/build-frame.ts";

const OBSERVED = 1_737_000_123_456_789_012n;
const resources = createResourceSource({ "service.name": "test" });

/** Attach points 1 to 3 are known; the third has names that are not ASCII. */
function contextOf(type: "boot" | "realtime", offsetNs: bigint): FrameContext {
  const context = createFrameContext(type);
  context.clock.set(offsetNs);
  const points = [{ id: 1 }, { id: 2, symbol: "", nodeHash: "" }, { id: 3, symbol: "f\u00fc::\ufffd" }];
  for (const point of points) {
    assert.equal(context.attachPoints.take(attachPointFrame(point), 0), undefined);
  }
  const runtime = processRuntimeFrame({ pid: 4711, startBootNs: 1n, runtime: ProcessRuntime.PYTHON });
  assert.equal(context.runtimes.take(runtime, 0), undefined);
  return context;
}

/** The request that the hot path makes, `undefined` when it hands the frame over. */
function straight(frame: Buffer, frames: FrameContext, sequence: number): Buffer | undefined {
  const builder = new RequestBuilder();
  const context = {
    frames,
    streamId: "0123456789abcdef",
    observedLo: Number(OBSERVED & 0xffffffffn),
    observedHi: Number(OBSERVED >> 32n),
  };
  const writer = builder.use(resources.resourceFor(undefined, undefined));
  const type = frameEventType(frame, 0) as FrameEventType;
  return encodeFrame(type, frame, 0, sequence, writer, context) ? builder.seal().body : undefined;
}

function byRecord(frame: Buffer, frames: FrameContext, sequence: number): Buffer {
  const builder = new RequestBuilder();
  const type = frameEventType(frame, 0) as FrameEventType;
  const { record, extensions, timeUnixNano } = toRecord(type, frame, 0, frames);
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
const pid = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(2 ** 32 - 1, 4711));
const header = fc.record({
  bootNs: u64,
  cgroupId: u64,
  pid,
  tid: pid,
  startBootNs: fc.oneof(u64, fc.constant(1n)),
  namespacePid: fc.option(pid, { nil: undefined }),
  comm: fc.oneof(
    fc.stringMatching(/^[ -~]{0,15}$/),
    fc.uint8Array({ maxLength: 15 }).map((bytes) => Buffer.from(bytes)),
  ),
  flags: fc.constantFrom(0, 0, 0, 0, FrameFlag.PATH_AT_EXIT, FrameFlag.TRUNCATED, FrameFlag.ENTRY_ONLY),
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
  fc
    .tuple(
      header,
      fc.integer(),
      fc.oneof(fc.constantFrom(0, 0, 111, 115, 110, 9999), fc.integer()),
      fc.nat({ max: 2 }),
      fc.constantFrom(2, 10),
      fc.nat({ max: 65535 }),
      fc.boolean(),
      bytes16,
    )
    .map(([options, fd, error, chosen, family, port, success, addr]) =>
      netConnectFrame({
        ...defined(options),
        fd: fd | 0,
        error: error | 0,
        function: chosen,
        family,
        port,
        success,
        addr,
      } as object),
    ),
  fc
    .tuple(header, u64, u64, fc.nat({ max: 3 }))
    .map(([options, sslPtr, bytes, chosen]) =>
      sslOpFrame({ ...defined(options), sslPtr, bytes, function: chosen } as object),
    ),
  fc
    .tuple(header, u64, fc.integer({ min: 1, max: 4 }), fc.array(u64, { maxLength: 127 }))
    .map(([options, address, attachPoint, stack]) =>
      functionCallFrame({ ...defined(options), address, attachPoint, stack } as object),
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
          const context = contextOf(clockType, offsetNs);
          const direct = straight(frame, context, sequence);
          if (direct === undefined) return;
          plain++;
          assert.equal(direct.toString("hex"), byRecord(frame, context, sequence).toString("hex"));
        },
      ),
      { numRuns: 5000 },
    );
    assert.ok(plain > 1000, `only ${plain} frames were plain`);
  });

  it("takes ordinary frames, and hands over the others with nothing written", () => {
    const context = contextOf("boot", 1n);
    for (const frame of [
      fileOpenFrame(),
      fileOpenFrame({ namespacePid: 1 }),
      processExecFrame(),
      tcpStateFrame(),
      netConnectFrame({ success: false, error: 111 }),
      sslOpFrame(),
      functionCallFrame({ stack: [1n, 2n] }),
      functionCallFrame({ attachPoint: 99 }),
    ]) {
      assert.notEqual(straight(frame, context, 1), undefined);
    }
    for (const path of ["", "/tmp/\u00fc", Buffer.from([0x2f, 0xff])]) {
      assert.equal(straight(fileOpenFrame({ path }), context, 1), undefined);
    }
    assert.equal(straight(fileOpenFrame({ comm: "" }), context, 1), undefined);
    assert.equal(straight(fileOpenFrame({ flags: FrameFlag.PATH_AT_EXIT }), context, 1), undefined);
    assert.equal(straight(sslOpFrame({ flags: FrameFlag.ENTRY_ONLY }), context, 1), undefined);
    assert.equal(straight(functionCallFrame({ attachPoint: 3 }), context, 1), undefined);
    assert.equal(context.stackSymbols.take(symbolFrame({ pid: 7 }), 0), undefined);
    assert.equal(straight(functionCallFrame({ pid: 7, stack: [0x40_1000n] }), context, 1), undefined);
  });
});
