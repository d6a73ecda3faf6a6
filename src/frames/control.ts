/**
 * Frames that are no event: hello, clock and counters.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { frameFlags, frameLength } from "./header.ts";
import {
  CLOCK_BODY,
  CLOCK_BODY_SIZE,
  COUNTERS_BODY,
  COUNTERS_BODY_SIZE,
  FRAME_HEADER_SIZE,
  FRAME_MAGIC,
  FRAME_PROTOCOL_VERSION,
  FrameFlag,
  HELLO_BODY,
  HELLO_BODY_SIZE,
  LAYOUT_HASH,
  LossReason,
  PROBE_COUNTERS,
  PROBE_COUNTERS_SIZE,
  ProbeId,
} from "./layout.gen.ts";

/** Whether a hook is attached, and if not why and what to do. */
export interface HookState {
  probe: string;
  hook: string;
  state: "on" | "off";
  reason?: string;
  hint?: string;
}

/** What the first frame of a stream says. */
export interface Hello {
  realtimeOffsetNs: bigint;
  kernel: { release: string; machine: string };
  probeVersion: string;
  hooks: HookState[];
}

/** What the kernel side counted for one probe since start. */
export interface KernelCounters {
  probe: string;
  seen: bigint;
  emitted: bigint;
  filtered: bigint;
  lost: ReadonlyMap<string, bigint>;
}

/** Names of the probes by id, as v1 names the event types. */
export const PROBE_NAMES: readonly string[] = namesByValue(ProbeId);
/** Names of the kernel's reasons of loss by id. */
export const KERNEL_LOSS_REASONS: readonly string[] = namesByValue(LossReason);

function namesByValue(values: Readonly<Record<string, number>>): string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(values)) names[value] = name.toLowerCase();
  return names;
}

const BODY = FRAME_HEADER_SIZE;

/**
 * Reads the hello frame at `start`. What identifies the build is read before anything else, because with
 * another layout nothing else can be trusted.
 * @throws RuntimeEvidenceError `protocol-mismatch` or `bad-input`.
 */
export function readHello(buffer: Buffer, start: number): Hello {
  const length = frameLength(buffer, start);
  const body = start + BODY;
  if (
    length < BODY + HELLO_BODY_SIZE ||
    buffer.readUInt32LE(body + HELLO_BODY.magic.offset) !== FRAME_MAGIC
  ) {
    throw new RuntimeEvidenceError("bad-input", "this is no frame stream: its first frame is no hello frame");
  }
  const version = buffer.readUInt16LE(body + HELLO_BODY.protocol_version.offset);
  if (version !== FRAME_PROTOCOL_VERSION) {
    throw new RuntimeEvidenceError(
      "protocol-mismatch",
      `the frames are of protocol version ${version}, this build reads version ${FRAME_PROTOCOL_VERSION}: use the probe and the exporter of one release`,
      { context: { version } },
    );
  }
  const layoutHash = buffer.readBigUInt64LE(body + HELLO_BODY.layout_hash.offset);
  if (layoutHash !== LAYOUT_HASH) {
    throw new RuntimeEvidenceError(
      "protocol-mismatch",
      `the frames have layout ${layoutHash.toString(16)}, this build reads ${LAYOUT_HASH.toString(16)}: rebuild the probe and the exporter together ("make build")`,
      { context: { layoutHash } },
    );
  }
  const jsonLength = buffer.readUInt32LE(body + HELLO_BODY.json_length.offset);
  if (BODY + HELLO_BODY_SIZE + jsonLength > length) {
    throw new RuntimeEvidenceError("bad-input", "the hello frame is shorter than its text");
  }
  const json = buffer.toString("utf8", body + HELLO_BODY_SIZE, body + HELLO_BODY_SIZE + jsonLength);
  return {
    realtimeOffsetNs: buffer.readBigInt64LE(body + HELLO_BODY.realtime_offset_ns.offset),
    ...parseHelloText(json),
  };
}

function parseHelloText(json: string): Omit<Hello, "realtimeOffsetNs"> {
  try {
    const text = JSON.parse(json) as {
      kernel: Hello["kernel"];
      probe_version: string;
      hooks: HookState[];
    };
    if (!Array.isArray(text.hooks)) throw new TypeError("no hooks");
    return { kernel: text.kernel, probeVersion: text.probe_version, hooks: text.hooks };
  } catch (cause) {
    throw new RuntimeEvidenceError("bad-input", "the hello frame's text is not what a probe writes", {
      cause,
    });
  }
}

/** The new offset in a clock frame, `undefined` when the frame is too short. */
export function readClockOffsetNs(buffer: Buffer, start: number): bigint | undefined {
  if (frameLength(buffer, start) < BODY + CLOCK_BODY_SIZE) return undefined;
  return buffer.readBigInt64LE(start + BODY + CLOCK_BODY.realtime_offset_ns.offset);
}

/** The totals in a counters frame and whether they are the last, `undefined` when the frame is too short. */
export function readCounters(
  buffer: Buffer,
  start: number,
): { final: boolean; probes: KernelCounters[] } | undefined {
  if (frameLength(buffer, start) < BODY + COUNTERS_BODY_SIZE) return undefined;
  const probes = PROBE_NAMES.map((probe, id) => {
    const at = start + BODY + COUNTERS_BODY.probes.offset + id * PROBE_COUNTERS_SIZE;
    const counter = (offset: number) => buffer.readBigUInt64LE(at + offset);
    return {
      probe,
      seen: counter(PROBE_COUNTERS.seen.offset),
      emitted: counter(PROBE_COUNTERS.emitted.offset),
      filtered: counter(PROBE_COUNTERS.filtered.offset),
      lost: new Map(
        KERNEL_LOSS_REASONS.map((reason, index) => [reason, counter(PROBE_COUNTERS.lost.offset + 8 * index)]),
      ),
    };
  });
  return { final: (frameFlags(buffer, start) & FrameFlag.FINAL) !== 0, probes };
}
