import assert from "node:assert/strict";
import fc from "fast-check";
import { checkEventFrame } from "../../src/frames/check.ts";
import { CaptureClock } from "../../src/frames/clock.ts";
import { createFrameContext } from "../../src/frames/context.ts";
import { type FrameEventType, frameEventType } from "../../src/frames/fields.ts";
import { FrameFlag, OpenHook } from "../../src/frames/layout.gen.ts";
import { toRecord } from "../../src/frames/to-record.ts";
import { fileOpenFrame, processExecFrame, tcpStateFrame } from "./build-frame.ts";

const context = createFrameContext("boot");
context.clock.set(1_737_000_000_000_000_000n);

function decode(frame: Buffer) {
  const type = frameEventType(frame, 0) as FrameEventType;
  assert.equal(checkEventFrame(type, frame, 0), undefined);
  return toRecord(type, frame, 0, context);
}

describe("frames as records", () => {
  it("file_open has path, flags, access and dfd", () => {
    assert.deepEqual(decode(fileOpenFrame({ openFlags: 0o2n, tid: 4712 })).record, {
      ts_ns: 7_312_345_678_901,
      src: "sys_enter_openat",
      pid: 4711,
      tid: 4712,
      cgroup_id: 12345,
      comm: "nginx",
      event: {
        type: "file_open",
        path: "/etc/ssl/certs/ca-bundle.crt",
        flags: 2,
        access: "read_write",
        dfd: -100,
      },
    });
  });

  it("mode is there only when a file could be created, and without bits that v1 can't hold", () => {
    const mode = (openFlags: bigint) => decode(fileOpenFrame({ openFlags, mode: 0o100644 })).record.event;
    assert.equal("mode" in mode(0n), false);
    assert.equal((mode(0o101n) as { mode?: number }).mode, 0o644);
    assert.equal((mode(0o20200002n) as { mode?: number }).mode, 0o644, "O_TMPFILE");
  });

  it("open and creat have no dfd", () => {
    for (const hook of [OpenHook.OPEN, OpenHook.CREAT]) {
      assert.equal("dfd" in decode(fileOpenFrame({ hook })).record.event, false);
    }
  });

  it("64-bit values stay exact", () => {
    const { record } = decode(
      fileOpenFrame({
        bootNs: 2n ** 63n + 1n,
        cgroupId: 2n ** 64n - 1n,
        openFlags: 2n ** 53n + 1n,
        hook: OpenHook.OPENAT2,
      }),
    );
    assert.equal(record.ts_ns, 2n ** 63n + 1n);
    assert.equal(record.cgroup_id, 2n ** 64n - 1n);
    assert.equal((record.event as { flags?: bigint }).flags, 2n ** 53n + 1n);
  });

  it("bytes that are not UTF-8 are kept beside the text", () => {
    const raw = Buffer.from([0x2f, 0xff, 0xfe, 0x61]);
    const { record, extensions } = decode(fileOpenFrame({ path: raw }));
    assert.equal((record.event as { path: string }).path, "/\ufffd\ufffda");
    assert.equal(extensions.pathRaw, raw.toString("base64"));
    const text = decode(fileOpenFrame({ path: "/tmp/\u00fc \ufffd" }));
    assert.equal((text.record.event as { path: string }).path, "/tmp/\u00fc \ufffd");
    assert.equal(text.extensions.pathRaw, undefined);
  });

  it("process_exec has filename, ppid and argv0, which may be absent or empty", () => {
    assert.deepEqual(decode(processExecFrame()).record.event, {
      type: "process_exec",
      filename: "/usr/bin/cat",
      ppid: 4710,
      argv0: "cat",
    });
    const absent = decode(processExecFrame({ argv0: "", flags: FrameFlag.ARGV0_ABSENT }));
    assert.equal("argv0" in absent.record.event, false);
    assert.equal((decode(processExecFrame({ argv0: "" })).record.event as { argv0: string }).argv0, "");
  });

  it("tcp_state keeps the family apart from the form of the address", () => {
    const mapped = Buffer.from("00000000000000000000ffff0a000001", "hex");
    const event = decode(tcpStateFrame({ family: 10, saddr: mapped, daddr: mapped })).record.event;
    assert.deepEqual(event, {
      type: "tcp_state",
      oldstate: "SYN_SENT",
      newstate: "ESTABLISHED",
      daddr: "10.0.0.1",
      dport: 443,
      saddr: "10.0.0.1",
      sport: 45678,
      family: "inet6",
    });
  });

  it("what is known beyond v1 is kept apart", () => {
    assert.deepEqual(decode(fileOpenFrame()).extensions, {});
    assert.deepEqual(
      decode(fileOpenFrame({ flags: FrameFlag.PATH_AT_EXIT | FrameFlag.TRUNCATED, namespacePid: 7 }))
        .extensions,
      { pathRead: "exit", truncated: true, namespacePid: 7 },
    );
    assert.deepEqual(decode(tcpStateFrame({ attribution: 1 })).extensions, { attribution: "owner" });
  });

  it("wall clock is boot time plus the offset, whatever carries", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n), fc.bigInt(-(2n ** 62n), 2n ** 62n), (boot, offset) => {
        const wall = new CaptureClock("realtime");
        wall.set(offset);
        wall.toWall(Number(boot & 0xffffffffn), Number(boot >> 32n));
        const expected = BigInt.asUintN(64, boot + offset);
        assert.equal((BigInt(wall.hi) << 32n) | BigInt(wall.lo), expected);
        assert.equal(wall.wall(boot), expected);
      }),
    );
  });
});

describe("frames that contradict themselves", () => {
  const broken = (frame: Buffer, change: (frame: Buffer) => void) => {
    change(frame);
    return checkEventFrame(frameEventType(frame, 0) as FrameEventType, frame, 0);
  };

  it("are named", () => {
    assert.match(broken(fileOpenFrame(), (frame) => frame.writeUInt16LE(4000, 64 + 22)) ?? "", /need 4088/);
    assert.match(broken(fileOpenFrame(), (frame) => frame.writeUInt16LE(1, 64 + 22)) ?? "", /need 89/);
    assert.match(broken(fileOpenFrame(), (frame) => frame.writeUInt32LE(0, 24)) ?? "", /without a process/);
    assert.match(broken(fileOpenFrame(), (frame) => frame.writeUInt8(9, 64 + 16)) ?? "", /hook 9/);
    assert.match(broken(fileOpenFrame(), (frame) => frame.writeUInt8(2, 5)) ?? "", /of another probe/);
    assert.match(broken(tcpStateFrame(), (frame) => frame.writeUInt8(13, 64)) ?? "", /state 13/);
    assert.match(broken(tcpStateFrame(), (frame) => frame.writeUInt8(1, 66)) ?? "", /family 1/);
    assert.match(broken(processExecFrame(), (frame) => frame.writeUInt32LE(64, 0)) ?? "", /need 72/);
  });
});
