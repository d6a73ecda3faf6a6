/**
 * Frames made by hand, as the kernel and the probe make them.
 */
import {
  ATTACH_POINT_BODY,
  ATTACH_POINT_BODY_SIZE,
  CLOCK_BODY_SIZE,
  COUNTERS_BODY_SIZE,
  FILE_OPEN_BODY,
  FILE_OPEN_BODY_SIZE,
  FRAME_ALIGN,
  FRAME_HEADER,
  FRAME_HEADER_SIZE,
  FRAME_MAGIC,
  FRAME_PROTOCOL_VERSION,
  FrameKind,
  FUNCTION_CALL_BODY,
  FUNCTION_CALL_BODY_SIZE,
  HELLO_BODY,
  HELLO_BODY_SIZE,
  LAYOUT_HASH,
  LOST_COUNT,
  NET_CONNECT_BODY,
  NET_CONNECT_BODY_SIZE,
  OpenHook,
  PROBE_COUNTERS,
  PROBE_COUNTERS_SIZE,
  PROCESS_EXEC_BODY,
  PROCESS_EXEC_BODY_SIZE,
  PROCESS_RUNTIME_BODY_SIZE,
  ProbeId,
  SSL_OP_BODY,
  SSL_OP_BODY_SIZE,
  SYMBOL_BODY,
  SYMBOL_BODY_SIZE,
  TCP_STATE_BODY,
  TCP_STATE_BODY_SIZE,
} from "../../src/frames/layout.gen.ts";

/** What of the header a test wants to choose. */
export interface HeaderOptions {
  flags?: number;
  bootNs?: bigint;
  cgroupId?: bigint;
  pid?: number;
  tid?: number;
  startBootNs?: bigint;
  namespacePid?: number;
  uid?: number;
  comm?: string | Buffer;
}

function frame(kind: number, probe: number, body: Buffer, strings: Buffer[], options: HeaderOptions): Buffer {
  const content = Buffer.concat([Buffer.alloc(FRAME_HEADER_SIZE), body, ...strings]);
  const length = Math.ceil(content.length / FRAME_ALIGN) * FRAME_ALIGN;
  const whole = Buffer.concat([content, Buffer.alloc(length - content.length)]);
  const pid = options.pid ?? 4711;
  whole.writeUInt32LE(length, FRAME_HEADER.length.offset);
  whole.writeUInt8(kind, FRAME_HEADER.kind.offset);
  whole.writeUInt8(probe, FRAME_HEADER.probe.offset);
  whole.writeUInt16LE(options.flags ?? 0, FRAME_HEADER.flags.offset);
  whole.writeBigUInt64LE(options.bootNs ?? 7_312_345_678_901n, FRAME_HEADER.boot_ns.offset);
  whole.writeBigUInt64LE(options.cgroupId ?? 12345n, FRAME_HEADER.cgroup_id.offset);
  whole.writeUInt32LE(pid, FRAME_HEADER.pid.offset);
  whole.writeUInt32LE(options.tid ?? pid, FRAME_HEADER.tid.offset);
  whole.writeBigUInt64LE(options.startBootNs ?? 7_000_000_000_000n, FRAME_HEADER.start_boot_ns.offset);
  whole.writeUInt32LE(options.namespacePid ?? pid, FRAME_HEADER.namespace_pid.offset);
  whole.writeUInt32LE(options.uid ?? 1000, FRAME_HEADER.uid.offset);
  Buffer.from(options.comm ?? "nginx").copy(whole, FRAME_HEADER.comm.offset, 0, 16);
  return whole;
}

export function fileOpenFrame(
  options: HeaderOptions & {
    path?: string | Buffer;
    openFlags?: bigint;
    dfd?: number;
    mode?: number;
    hook?: number;
  } = {},
): Buffer {
  const path = Buffer.from(options.path ?? "/etc/ssl/certs/ca-bundle.crt");
  const body = Buffer.alloc(FILE_OPEN_BODY_SIZE);
  body.writeBigUInt64LE(options.openFlags ?? 0o2000000n, FILE_OPEN_BODY.open_flags.offset);
  body.writeInt32LE(options.dfd ?? -100, FILE_OPEN_BODY.dfd.offset);
  body.writeUInt32LE(options.mode ?? 0, FILE_OPEN_BODY.mode.offset);
  body.writeUInt8(options.hook ?? OpenHook.OPENAT, FILE_OPEN_BODY.hook.offset);
  body.writeUInt16LE(path.length, FILE_OPEN_BODY.path_length.offset);
  return frame(FrameKind.FILE_OPEN, ProbeId.FILE_OPEN, body, [path], options);
}

export function processExecFrame(
  options: HeaderOptions & { filename?: string | Buffer; argv0?: string | Buffer; ppid?: number } = {},
): Buffer {
  const filename = Buffer.from(options.filename ?? "/usr/bin/cat");
  const argv0 = Buffer.from(options.argv0 ?? "cat");
  const body = Buffer.alloc(PROCESS_EXEC_BODY_SIZE);
  body.writeUInt32LE(options.ppid ?? 4710, PROCESS_EXEC_BODY.ppid.offset);
  body.writeUInt16LE(filename.length, PROCESS_EXEC_BODY.filename_length.offset);
  body.writeUInt16LE(argv0.length, PROCESS_EXEC_BODY.argv0_length.offset);
  return frame(FrameKind.PROCESS_EXEC, ProbeId.PROCESS_EXEC, body, [filename, argv0], options);
}

export function tcpStateFrame(
  options: HeaderOptions & {
    oldstate?: number;
    newstate?: number;
    family?: number;
    attribution?: number;
    sport?: number;
    dport?: number;
    saddr?: Buffer;
    daddr?: Buffer;
  } = {},
): Buffer {
  const body = Buffer.alloc(TCP_STATE_BODY_SIZE);
  body.writeUInt8(options.oldstate ?? 2, TCP_STATE_BODY.oldstate.offset);
  body.writeUInt8(options.newstate ?? 1, TCP_STATE_BODY.newstate.offset);
  body.writeUInt8(options.family ?? 2, TCP_STATE_BODY.family.offset);
  body.writeUInt8(options.attribution ?? 0, TCP_STATE_BODY.attribution.offset);
  body.writeUInt16LE(options.sport ?? 45678, TCP_STATE_BODY.sport.offset);
  body.writeUInt16LE(options.dport ?? 443, TCP_STATE_BODY.dport.offset);
  (options.saddr ?? Buffer.from([10, 0, 0, 1])).copy(body, TCP_STATE_BODY.saddr.offset);
  (options.daddr ?? Buffer.from([93, 184, 216, 34])).copy(body, TCP_STATE_BODY.daddr.offset);
  return frame(FrameKind.TCP_STATE, ProbeId.TCP_STATE, body, [], options);
}

export function netConnectFrame(
  options: HeaderOptions & {
    fd?: number;
    error?: number;
    function?: number;
    family?: number;
    port?: number;
    success?: boolean;
    addr?: Buffer;
  } = {},
): Buffer {
  const body = Buffer.alloc(NET_CONNECT_BODY_SIZE);
  body.writeInt32LE(options.fd ?? 7, NET_CONNECT_BODY.fd.offset);
  body.writeInt32LE(options.error ?? 0, NET_CONNECT_BODY.error.offset);
  body.writeUInt8(options.function ?? 0, NET_CONNECT_BODY.function.offset);
  body.writeUInt8(options.family ?? 2, NET_CONNECT_BODY.family.offset);
  body.writeUInt16LE(options.port ?? 443, NET_CONNECT_BODY.port.offset);
  body.writeUInt8(Number(options.success ?? true), NET_CONNECT_BODY.success.offset);
  (options.addr ?? Buffer.from([93, 184, 216, 34])).copy(body, NET_CONNECT_BODY.addr.offset);
  return frame(FrameKind.NET_CONNECT, ProbeId.NET_CONNECT, body, [], options);
}

export function sslOpFrame(
  options: HeaderOptions & { sslPtr?: bigint; bytes?: bigint; function?: number } = {},
): Buffer {
  const body = Buffer.alloc(SSL_OP_BODY_SIZE);
  body.writeBigUInt64LE(options.sslPtr ?? 0x7f12_3456_0000n, SSL_OP_BODY.ssl_ptr.offset);
  body.writeBigUInt64LE(options.bytes ?? 2048n, SSL_OP_BODY.bytes.offset);
  body.writeUInt8(options.function ?? 0, SSL_OP_BODY.function.offset);
  return frame(FrameKind.SSL_OP, ProbeId.SSL_OP, body, [], options);
}

export function functionCallFrame(
  options: HeaderOptions & { address?: bigint; attachPoint?: number; stack?: readonly bigint[] } = {},
): Buffer {
  const stack = options.stack ?? [];
  const body = Buffer.alloc(FUNCTION_CALL_BODY_SIZE);
  body.writeBigUInt64LE(options.address ?? 0x7f12_3456_0000n, FUNCTION_CALL_BODY.address.offset);
  body.writeUInt32LE(options.attachPoint ?? 1, FUNCTION_CALL_BODY.attach_point.offset);
  body.writeUInt16LE(stack.length, FUNCTION_CALL_BODY.stack_count.offset);
  const addresses = Buffer.alloc(8 * stack.length);
  stack.forEach((address, index) => void addresses.writeBigUInt64LE(address, 8 * index));
  return frame(FrameKind.FUNCTION_CALL, ProbeId.FUNCTION_CALL, body, [addresses], options);
}

const noEvent = { pid: 0, namespacePid: 0, comm: "" };

export function attachPointFrame(options: {
  id?: number;
  symbol?: string | Buffer;
  library?: string | Buffer;
  nodeHash?: string;
}): Buffer {
  const symbol = Buffer.from(options.symbol ?? "SSL_connect");
  const library = Buffer.from(options.library ?? "libssl.so.3");
  const nodeHash = Buffer.from(options.nodeHash ?? `sha256:${"4b".repeat(32)}`);
  const body = Buffer.alloc(ATTACH_POINT_BODY_SIZE);
  body.writeUInt32LE(options.id ?? 1, ATTACH_POINT_BODY.attach_point.offset);
  body.writeUInt16LE(symbol.length, ATTACH_POINT_BODY.symbol_length.offset);
  body.writeUInt16LE(library.length, ATTACH_POINT_BODY.library_length.offset);
  body.writeUInt16LE(nodeHash.length, ATTACH_POINT_BODY.node_hash_length.offset);
  return frame(FrameKind.ATTACH_POINT, 0, body, [symbol, library, nodeHash], noEvent);
}

export function processRuntimeFrame(options: HeaderOptions & { runtime?: number }): Buffer {
  const body = Buffer.alloc(PROCESS_RUNTIME_BODY_SIZE);
  body.writeUInt8(options.runtime ?? 0);
  return frame(FrameKind.PROCESS_RUNTIME, 0, body, [], { ...noEvent, ...options });
}

export function symbolFrame(options: HeaderOptions & { address?: bigint; text?: string }): Buffer {
  const text = Buffer.from(options.text ?? "main+0x1c (app)");
  const body = Buffer.alloc(SYMBOL_BODY_SIZE);
  body.writeBigUInt64LE(options.address ?? 0x40_1000n, SYMBOL_BODY.address.offset);
  body.writeUInt16LE(text.length, SYMBOL_BODY.text_length.offset);
  return frame(FrameKind.SYMBOL, 0, body, [text], { ...noEvent, ...options });
}

export function helloFrame(
  options: {
    magic?: number;
    version?: number;
    layoutHash?: bigint;
    realtimeOffsetNs?: bigint;
    text?: string;
  } = {},
): Buffer {
  const text = Buffer.from(
    options.text ??
      JSON.stringify({
        kernel: { release: "6.18.0", machine: "x86_64" },
        probe_version: "0.1.0",
        hooks: [{ probe: "file_open", hook: "sys_enter_openat", state: "on" }],
      }),
  );
  const body = Buffer.alloc(HELLO_BODY_SIZE);
  body.writeUInt32LE(options.magic ?? FRAME_MAGIC, HELLO_BODY.magic.offset);
  body.writeUInt16LE(options.version ?? FRAME_PROTOCOL_VERSION, HELLO_BODY.protocol_version.offset);
  body.writeUInt16LE(FRAME_HEADER_SIZE, HELLO_BODY.header_size.offset);
  body.writeBigUInt64LE(options.layoutHash ?? LAYOUT_HASH, HELLO_BODY.layout_hash.offset);
  body.writeBigInt64LE(
    options.realtimeOffsetNs ?? 1_737_000_000_000_000_000n,
    HELLO_BODY.realtime_offset_ns.offset,
  );
  body.writeUInt32LE(text.length, HELLO_BODY.json_length.offset);
  return frame(FrameKind.HELLO, 0, body, [text], noEvent);
}

export function clockFrame(realtimeOffsetNs: bigint): Buffer {
  const body = Buffer.alloc(CLOCK_BODY_SIZE);
  body.writeBigInt64LE(realtimeOffsetNs);
  return frame(FrameKind.CLOCK, 0, body, [], noEvent);
}

export interface CounterValues {
  seen: bigint;
  emitted: bigint;
  filtered: bigint;
  lost?: Record<number, bigint>;
}

/** Counters by probe id; probes not named are all zero. */
export function countersFrame(values: Record<number, CounterValues>, flags = 0): Buffer {
  const body = Buffer.alloc(COUNTERS_BODY_SIZE);
  for (const [id, counts] of Object.entries(values)) {
    const at = Number(id) * PROBE_COUNTERS_SIZE;
    body.writeBigUInt64LE(counts.seen, at + PROBE_COUNTERS.seen.offset);
    body.writeBigUInt64LE(counts.emitted, at + PROBE_COUNTERS.emitted.offset);
    body.writeBigUInt64LE(counts.filtered, at + PROBE_COUNTERS.filtered.offset);
    for (let reason = 0; reason < LOST_COUNT; reason++) {
      body.writeBigUInt64LE(counts.lost?.[reason] ?? 0n, at + PROBE_COUNTERS.lost.offset + 8 * reason);
    }
  }
  return frame(FrameKind.COUNTERS, 0, body, [], { ...noEvent, flags });
}
