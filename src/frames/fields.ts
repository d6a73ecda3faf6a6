/**
 * Where in a frame each field of a v1 record stands, once. `to-record.ts` makes records from this table and
 * `capture/encode-frame.ts` makes OTLP from it, so that the two cannot disagree.
 */
import { ipv4Text, ipv6Text } from "./address.ts";
import {
  FILE_OPEN_BODY,
  FILE_OPEN_BODY_SIZE,
  FRAME_COMM_BYTES,
  FRAME_HEADER,
  FRAME_HEADER_SIZE,
  FrameFlag,
  FrameKind,
  OpenHook,
  PROCESS_EXEC_BODY,
  PROCESS_EXEC_BODY_SIZE,
  TCP_STATE_BODY,
} from "./layout.gen.ts";
import { ACCESS_NAMES, accessIndex, hasMode, modeBits } from "./open-flags.ts";

type Read<Value> = (buffer: Buffer, start: number) => Value;

/** How to read one v1 field of a frame that starts at `start`. `member` is its name in the record or in `event`. */
export type FrameField =
  /** An integer that fits a number. `when` says whether the record has it at all. */
  | { member: string; kind: "int"; read: Read<number>; when?: Read<boolean> }
  /** An unsigned 64-bit integer at a fixed offset from the frame's start. */
  | { member: string; kind: "u64"; offset: number }
  /** The event's time: boot time at a fixed offset, written in the clock of the capture. */
  | { member: string; kind: "time"; offset: number }
  /** Raw bytes of a string, from `begin` up to `end`. */
  | { member: string; kind: "bytes"; begin: Read<number>; end: Read<number>; when?: Read<boolean> }
  /** One of a few fixed texts. */
  | { member: string; kind: "choice"; choices: readonly string[]; index: Read<number> }
  /** A text that has to be made. */
  | { member: string; kind: "text"; read: Read<string> };

const BODY = FRAME_HEADER_SIZE;
const u8 =
  (offset: number): Read<number> =>
  (buffer, start) =>
    buffer[start + offset] as number;
const u16 =
  (offset: number): Read<number> =>
  (buffer, start) =>
    buffer.readUInt16LE(start + offset);
const u32 =
  (offset: number): Read<number> =>
  (buffer, start) =>
    buffer.readUInt32LE(start + offset);
const i32 =
  (offset: number): Read<number> =>
  (buffer, start) =>
    buffer.readInt32LE(start + offset);

export const frameLength = u32(FRAME_HEADER.length.offset);
export const frameKind = u8(FRAME_HEADER.kind.offset);
export const frameProbe = u8(FRAME_HEADER.probe.offset);
export const frameFlags = u16(FRAME_HEADER.flags.offset);
export const framePid = u32(FRAME_HEADER.pid.offset);
export const frameTid = u32(FRAME_HEADER.tid.offset);
export const frameNamespacePid = u32(FRAME_HEADER.namespace_pid.offset);
export const BOOT_NS_OFFSET = FRAME_HEADER.boot_ns.offset;
export const START_BOOT_NS_OFFSET = FRAME_HEADER.start_boot_ns.offset;

const COMM = FRAME_HEADER.comm.offset;
function commEnd(buffer: Buffer, start: number): number {
  let at = start + COMM;
  const limit = at + FRAME_COMM_BYTES;
  while (at < limit && buffer[at] !== 0) at++;
  return at;
}

/** Fields of every event, at the top of the record; the source depends on the hook. */
function recordFields(src: Omit<FrameField & { kind: "choice" }, "member" | "kind">): FrameField[] {
  return [
    { member: "ts_ns", kind: "time", offset: BOOT_NS_OFFSET },
    { member: "src", kind: "choice", ...src },
    { member: "pid", kind: "int", read: framePid },
    { member: "tid", kind: "int", read: frameTid },
    { member: "cgroup_id", kind: "u64", offset: FRAME_HEADER.cgroup_id.offset },
    { member: "comm", kind: "bytes", begin: (_, start) => start + COMM, end: commEnd },
  ];
}

const only = (text: string) => ({ choices: [text], index: () => 0 });

// file_open
export const openHook = u8(BODY + FILE_OPEN_BODY.hook.offset);
const openFlagsLo = u32(BODY + FILE_OPEN_BODY.open_flags.offset);
const openMode = u32(BODY + FILE_OPEN_BODY.mode.offset);
export const PATH_BEGIN = BODY + FILE_OPEN_BODY_SIZE;
export const pathLength = u16(BODY + FILE_OPEN_BODY.path_length.offset);
export const OPEN_SOURCES: readonly string[] = (() => {
  const names: string[] = [];
  names[OpenHook.OPENAT] = "sys_enter_openat";
  names[OpenHook.OPENAT2] = "sys_enter_openat2";
  names[OpenHook.OPEN] = "sys_enter_open";
  names[OpenHook.CREAT] = "sys_enter_creat";
  return names;
})();

const FILE_OPEN_FIELDS: readonly FrameField[] = [
  {
    member: "path",
    kind: "bytes",
    begin: (_, start) => start + PATH_BEGIN,
    end: (buffer, start) => start + PATH_BEGIN + pathLength(buffer, start),
  },
  { member: "flags", kind: "u64", offset: BODY + FILE_OPEN_BODY.open_flags.offset },
  {
    member: "access",
    kind: "choice",
    choices: ACCESS_NAMES,
    index: (buffer, start) => accessIndex(openFlagsLo(buffer, start)),
  },
  {
    member: "dfd",
    kind: "int",
    read: i32(BODY + FILE_OPEN_BODY.dfd.offset),
    // open(2) and creat(2) take no directory.
    when: (buffer, start) => openHook(buffer, start) <= OpenHook.OPENAT2,
  },
  {
    member: "mode",
    kind: "int",
    read: (buffer, start) => modeBits(openMode(buffer, start)),
    when: (buffer, start) => hasMode(openFlagsLo(buffer, start)),
  },
];

// process_exec
export const FILENAME_BEGIN = BODY + PROCESS_EXEC_BODY_SIZE;
export const filenameLength = u16(BODY + PROCESS_EXEC_BODY.filename_length.offset);
export const argv0Length = u16(BODY + PROCESS_EXEC_BODY.argv0_length.offset);
const argv0Begin: Read<number> = (buffer, start) => start + FILENAME_BEGIN + filenameLength(buffer, start);

const PROCESS_EXEC_FIELDS: readonly FrameField[] = [
  {
    member: "filename",
    kind: "bytes",
    begin: (_, start) => start + FILENAME_BEGIN,
    end: argv0Begin,
  },
  { member: "ppid", kind: "int", read: u32(BODY + PROCESS_EXEC_BODY.ppid.offset) },
  {
    member: "argv0",
    kind: "bytes",
    begin: argv0Begin,
    end: (buffer, start) => argv0Begin(buffer, start) + argv0Length(buffer, start),
    when: (buffer, start) => (frameFlags(buffer, start) & FrameFlag.ARGV0_ABSENT) === 0,
  },
];

// tcp_state
/** include/net/tcp_states.h; index 0 is no state. */
export const TCP_STATE_NAMES: readonly string[] = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];
export const AF_INET = 2;
export const AF_INET6 = 10;
export const tcpOldState = u8(BODY + TCP_STATE_BODY.oldstate.offset);
export const tcpNewState = u8(BODY + TCP_STATE_BODY.newstate.offset);
export const tcpFamily = u8(BODY + TCP_STATE_BODY.family.offset);
export const tcpAttribution = u8(BODY + TCP_STATE_BODY.attribution.offset);

function addressField(member: string, offset: number): FrameField {
  return {
    member,
    kind: "text",
    read: (buffer, start) =>
      tcpFamily(buffer, start) === AF_INET
        ? ipv4Text(buffer, start + BODY + offset)
        : ipv6Text(buffer, start + BODY + offset),
  };
}

const TCP_STATE_FIELDS: readonly FrameField[] = [
  { member: "oldstate", kind: "choice", choices: TCP_STATE_NAMES, index: tcpOldState },
  { member: "newstate", kind: "choice", choices: TCP_STATE_NAMES, index: tcpNewState },
  addressField("daddr", TCP_STATE_BODY.daddr.offset),
  { member: "dport", kind: "int", read: u16(BODY + TCP_STATE_BODY.dport.offset) },
  addressField("saddr", TCP_STATE_BODY.saddr.offset),
  { member: "sport", kind: "int", read: u16(BODY + TCP_STATE_BODY.sport.offset) },
  {
    member: "family",
    kind: "choice",
    choices: ["inet", "inet6"],
    index: (buffer, start) => (tcpFamily(buffer, start) === AF_INET ? 0 : 1),
  },
];

/** Event types that frames carry, by frame kind. */
export const EVENT_TYPE_OF_KIND = {
  [FrameKind.FILE_OPEN]: "file_open",
  [FrameKind.PROCESS_EXEC]: "process_exec",
  [FrameKind.TCP_STATE]: "tcp_state",
} as const;
export type FrameEventType = (typeof EVENT_TYPE_OF_KIND)[keyof typeof EVENT_TYPE_OF_KIND];

/** Where the members of one event type stand: those at the top of the record, and those in `event`. */
export interface EventFrameFields {
  readonly record: readonly FrameField[];
  readonly event: readonly FrameField[];
  /** Runs of fields that are mostly the same from frame to frame, and which bytes decide what they are. */
  readonly recurring: readonly RecurringFields[];
}

/** Fields that are written next to each other and depend on nothing but a range of the frame. */
export interface RecurringFields {
  readonly members: readonly string[];
  /** From the frame's start, a multiple of four, as is `endOffset`. */
  readonly beginOffset: number;
  readonly endOffset: number;
}

/** A process does many things: who it is stands in the header behind the time. */
const PROCESS_FIELDS: RecurringFields = {
  members: ["pid", "tid", "cgroup_id", "comm"],
  beginOffset: FRAME_HEADER.cgroup_id.offset,
  endOffset: FRAME_HEADER_SIZE,
};

/** Few combinations of arguments are common; the path's length is no part of them. */
const OPEN_ARGUMENTS: RecurringFields = {
  members: ["flags", "access", "dfd", "mode"],
  beginOffset: BODY,
  endOffset: BODY + FILE_OPEN_BODY.hook.offset + 4,
};

/** The fields of each event type, in the order of the schema. */
export const FRAME_FIELDS: Readonly<Record<FrameEventType, EventFrameFields>> = {
  file_open: {
    record: recordFields({ choices: OPEN_SOURCES, index: openHook }),
    event: FILE_OPEN_FIELDS,
    recurring: [PROCESS_FIELDS, OPEN_ARGUMENTS],
  },
  process_exec: {
    record: recordFields(only("sched_process_exec")),
    event: PROCESS_EXEC_FIELDS,
    recurring: [PROCESS_FIELDS],
  },
  tcp_state: {
    record: recordFields(only("inet_sock_set_state")),
    event: TCP_STATE_FIELDS,
    recurring: [PROCESS_FIELDS],
  },
};

/** The event type of a frame, `undefined` for frames that are no event or of an unknown kind. */
export function frameEventType(buffer: Buffer, start: number): FrameEventType | undefined {
  return EVENT_TYPE_OF_KIND[frameKind(buffer, start) as keyof typeof EVENT_TYPE_OF_KIND];
}
