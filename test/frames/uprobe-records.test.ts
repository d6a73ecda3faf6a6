import assert from "node:assert/strict";
import type { EvidenceRecord, FunctionCall, NetConnect, SslOp } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { checkEventFrame } from "../../src/frames/check.ts";
import { createFrameContext } from "../../src/frames/context.ts";
import { type FrameEventType, frameEventType } from "../../src/frames/fields.ts";
import { ConnectFunction, FrameFlag, ProcessRuntime, SslFunction } from "../../src/frames/layout.gen.ts";
import { ProcessRuntimes } from "../../src/frames/process-runtimes.ts";
import { toRecord } from "../../src/frames/to-record.ts";
import {
  attachPointFrame,
  functionCallFrame,
  netConnectFrame,
  processRuntimeFrame,
  sslOpFrame,
} from "./build-frame.ts";

const validate = createValidator();
const STARTED = { pid: 4711, startBootNs: 7_000_000_000_000n };

function decode<Event = NetConnect>(frame: Buffer, context = createFrameContext("boot")) {
  const type = frameEventType(frame, 0) as FrameEventType;
  assert.equal(checkEventFrame(type, frame, 0), undefined);
  const { record, extensions } = toRecord(type, frame, 0, context);
  const result = validate(record as never);
  assert.ok(result.valid, result.valid ? "" : result.errors.join("; "));
  return { record: record as EvidenceRecord & { event: Event }, event: record.event as Event, extensions };
}

describe("net_connect frames", () => {
  it("have the peer, the socket and how it went", () => {
    const { record, extensions } = decode(netConnectFrame());
    assert.equal(record.src, "uprobe:connect");
    assert.deepEqual(record.event, {
      type: "net_connect",
      fd: 7,
      addr: "93.184.216.34",
      port: 443,
      success: true,
    });
    assert.deepEqual(extensions, {});
  });

  it("name the function that was called", () => {
    for (const [name, value] of Object.entries(ConnectFunction)) {
      const { record } = decode(netConnectFrame({ function: value }));
      assert.equal(record.src, `uprobe:${name.toLowerCase()}`);
    }
  });

  it("have an error only when there was one, and EINPROGRESS is no failure", () => {
    const refused = decode(netConnectFrame({ success: false, error: 111 })).event;
    assert.deepEqual([refused.success, refused.error], [false, 111]);
    const underWay = decode(netConnectFrame({ success: true, error: 115 })).event;
    assert.deepEqual([underWay.success, underWay.error], [true, 115]);
    const unknown = decode(netConnectFrame({ success: false, error: 0 })).event;
    assert.equal(unknown.success, false);
    assert.equal("error" in unknown, false);
  });

  it("write a mapped address as the IPv4 address that it is", () => {
    const mapped = Buffer.from("00000000000000000000ffff0a000001", "hex");
    assert.equal(decode(netConnectFrame({ family: 10, addr: mapped })).event.addr, "10.0.0.1");
    const loopback = Buffer.from("00000000000000000000000000000001", "hex");
    assert.equal(decode(netConnectFrame({ family: 10, addr: loopback })).event.addr, "::1");
  });

  it("claim no result when the exits were not probed", () => {
    const { event, extensions } = decode(netConnectFrame({ flags: FrameFlag.ENTRY_ONLY, error: 5 }));
    assert.deepEqual(event, { type: "net_connect", fd: 7, addr: "93.184.216.34", port: 443 });
    assert.deepEqual(extensions, { entryOnly: true });
  });
});

describe("ssl_op frames", () => {
  it("have the operation, the bytes and the session", () => {
    const expected = {
      [SslFunction.READ]: ["uprobe:SSL_read", "read"],
      [SslFunction.WRITE]: ["uprobe:SSL_write", "write"],
      [SslFunction.READ_EX]: ["uprobe:SSL_read_ex", "read"],
      [SslFunction.WRITE_EX]: ["uprobe:SSL_write_ex", "write"],
    };
    for (const [chosen, [src, operation]] of Object.entries(expected)) {
      const { record } = decode<SslOp>(sslOpFrame({ function: Number(chosen) }));
      assert.equal(record.src, src);
      assert.deepEqual(record.event, {
        type: "ssl_op",
        operation,
        bytes: 2048,
        ssl_ptr: "0x7f1234560000",
      });
    }
  });

  it("keep 64 bits", () => {
    const { event } = decode<SslOp>(sslOpFrame({ sslPtr: 0xffff_8000_0000_00ffn, bytes: 2n ** 63n + 1n }));
    assert.equal(event.ssl_ptr, "0xffff8000000000ff");
    assert.equal(event.bytes, 2n ** 63n + 1n);
    assert.equal(decode<SslOp>(sslOpFrame({ sslPtr: 0n })).event.ssl_ptr, "0x0");
    assert.equal(decode<SslOp>(sslOpFrame({ sslPtr: 0x1_0000_0002n })).event.ssl_ptr, "0x100000002");
  });

  it("claim no bytes when the exits were not probed, and say what was asked for", () => {
    const { event, extensions } = decode<SslOp>(sslOpFrame({ flags: FrameFlag.ENTRY_ONLY, bytes: 99n }));
    assert.equal("bytes" in event, false);
    assert.deepEqual(extensions, { entryOnly: true, bytesRequested: 99 });
  });
});

describe("function_call frames", () => {
  it("have what earlier frames said of their attach point and their process", () => {
    const context = createFrameContext("boot");
    assert.equal(context.attachPoints.take(attachPointFrame({ id: 5 }), 0), undefined);
    const runtime = processRuntimeFrame({ ...STARTED, runtime: ProcessRuntime.NODE });
    assert.equal(context.runtimes.take(runtime, 0), undefined);
    const frame = functionCallFrame({ ...STARTED, attachPoint: 5, stack: [0x401000n, 0x7fff_ffff_f000n] });
    const { record } = decode<FunctionCall>(frame, context);
    assert.equal(record.src, "uprobe:function_entry");
    assert.deepEqual(record.event, {
      type: "function_call",
      addr: "0x7f1234560000",
      symbol: "SSL_connect",
      library: "libssl.so.3",
      runtime: "node",
      stack: ["0x401000", "0x7ffffffff000"],
      node_hash: `sha256:${"4b".repeat(32)}`,
    });
  });

  it("leave out what is not known", () => {
    assert.deepEqual(decode<FunctionCall>(functionCallFrame()).event, {
      type: "function_call",
      addr: "0x7f1234560000",
    });
    const context = createFrameContext("boot");
    context.attachPoints.take(attachPointFrame({ symbol: "", nodeHash: "" }), 0);
    context.runtimes.take(processRuntimeFrame(STARTED), 0);
    // The pid was used again by a later process.
    const later = decode<FunctionCall>(functionCallFrame({ ...STARTED, startBootNs: 8n }), context).event;
    assert.deepEqual(later, { type: "function_call", addr: "0x7f1234560000", library: "libssl.so.3" });
  });

  it("all runtimes of v1 have a name", () => {
    for (const [name, runtime] of Object.entries(ProcessRuntime)) {
      const context = createFrameContext("boot");
      context.runtimes.take(processRuntimeFrame({ ...STARTED, runtime }), 0);
      assert.equal(
        decode<FunctionCall>(functionCallFrame(STARTED), context).event.runtime,
        name.toLowerCase(),
      );
    }
  });
});

describe("what the stream says of processes", () => {
  it("is bounded, and forgets what was not used for longest", () => {
    const runtimes = new ProcessRuntimes(10);
    const of = (pid: number) => processRuntimeFrame({ pid, runtime: ProcessRuntime.GO });
    for (let pid = 1; pid <= 100; pid++) {
      assert.equal(runtimes.take(of(pid), 0), undefined);
      assert.equal(runtimes.get(of(1), 0), ProcessRuntime.GO, "the first one is used all the time");
    }
    assert.equal(runtimes.get(of(50), 0), undefined);
    assert.equal(runtimes.get(of(100), 0), ProcessRuntime.GO);
  });

  it("a new image of the same process replaces the old one, wherever it was", () => {
    const runtimes = new ProcessRuntimes(2);
    for (const [pid, runtime] of [
      [1, ProcessRuntime.GO],
      [2, ProcessRuntime.GO],
      [3, ProcessRuntime.GO],
      [1, ProcessRuntime.RUBY],
    ] as const) {
      runtimes.take(processRuntimeFrame({ pid, runtime }), 0);
    }
    assert.equal(runtimes.get(processRuntimeFrame({ pid: 1 }), 0), ProcessRuntime.RUBY);
  });

  it("is refused with a reason when it contradicts itself", () => {
    const { attachPoints, runtimes } = createFrameContext("boot");
    assert.match(runtimes.take(processRuntimeFrame({ runtime: 7 }), 0) ?? "", /runtime 7/);
    assert.match(attachPoints.take(attachPointFrame({ nodeHash: "sha256:XY" }), 0) ?? "", /node hash/);
    const long = attachPointFrame({});
    long.writeUInt16LE(60_000, 64 + 4);
    assert.match(attachPoints.take(long, 0) ?? "", /do not fit/);
    const short = attachPointFrame({});
    short.writeUInt32LE(72, 0);
    assert.match(attachPoints.take(short, 0) ?? "", /too short/);
    assert.equal(attachPoints.get(1), undefined);
  });
});

describe("uprobe frames that contradict themselves", () => {
  const broken = (frame: Buffer, change: (frame: Buffer) => void) => {
    change(frame);
    return checkEventFrame(frameEventType(frame, 0) as FrameEventType, frame, 0) ?? "";
  };

  it("are named", () => {
    assert.match(
      broken(netConnectFrame(), (frame) => frame.writeUInt8(3, 64 + 8)),
      /function 3/,
    );
    assert.match(
      broken(netConnectFrame(), (frame) => frame.writeUInt8(1, 64 + 9)),
      /family 1/,
    );
    assert.match(
      broken(sslOpFrame(), (frame) => frame.writeUInt8(4, 64 + 16)),
      /function 4/,
    );
    assert.match(
      broken(functionCallFrame(), (frame) => frame.writeUInt16LE(2, 64 + 12)),
      /need 96/,
    );
    assert.match(
      broken(functionCallFrame(), (frame) => frame.writeUInt32LE(64, 0)),
      /need 80/,
    );
  });
});
