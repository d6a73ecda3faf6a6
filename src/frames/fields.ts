/**
 * Where in a frame each field of a v1 record stands, once. `to-record.ts` makes records from this table and
 * `capture/encode-frame.ts` makes OTLP from it, so that the two cannot disagree. The members of `event` stand
 * in a file per event type.
 */
import { FILE_OPEN_FIELDS, OPEN_ARGUMENTS, OPEN_SOURCES, openHook } from "./file-open.ts";
import type { FrameField, RecurringFields } from "./frame-field.ts";
import { FUNCTION_CALL_FIELDS } from "./function-call.ts";
import { BOOT_NS_OFFSET, frameKind, framePid, frameTid } from "./header.ts";
import { FRAME_COMM_BYTES, FRAME_HEADER, FRAME_HEADER_SIZE, FrameKind } from "./layout.gen.ts";
import { CONNECT_SOURCES, connectFunction, NET_CONNECT_FIELDS } from "./net-connect.ts";
import { PROCESS_EXEC_FIELDS } from "./process-exec.ts";
import { SSL_OP_FIELDS, SSL_SOURCES, sslFunction } from "./ssl-op.ts";
import { TCP_STATE_FIELDS } from "./tcp-state.ts";

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

/** Event types that frames carry, by frame kind. */
export const EVENT_TYPE_OF_KIND = {
  [FrameKind.FILE_OPEN]: "file_open",
  [FrameKind.PROCESS_EXEC]: "process_exec",
  [FrameKind.TCP_STATE]: "tcp_state",
  [FrameKind.NET_CONNECT]: "net_connect",
  [FrameKind.SSL_OP]: "ssl_op",
  [FrameKind.FUNCTION_CALL]: "function_call",
} as const;
export type FrameEventType = (typeof EVENT_TYPE_OF_KIND)[keyof typeof EVENT_TYPE_OF_KIND];

/** Where the members of one event type stand: those at the top of the record, and those in `event`. */
export interface EventFrameFields {
  readonly record: readonly FrameField[];
  readonly event: readonly FrameField[];
  /** Runs of fields that are mostly the same from frame to frame, and which bytes decide what they are. */
  readonly recurring: readonly RecurringFields[];
}

/** A process does many things: who it is stands in the header behind the time. */
const PROCESS_FIELDS: RecurringFields = {
  members: ["pid", "tid", "cgroup_id", "comm"],
  beginOffset: FRAME_HEADER.cgroup_id.offset,
  endOffset: FRAME_HEADER_SIZE,
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
  net_connect: {
    record: recordFields({ choices: CONNECT_SOURCES, index: connectFunction }),
    event: NET_CONNECT_FIELDS,
    recurring: [PROCESS_FIELDS],
  },
  ssl_op: {
    record: recordFields({ choices: SSL_SOURCES, index: sslFunction }),
    event: SSL_OP_FIELDS,
    recurring: [PROCESS_FIELDS],
  },
  function_call: {
    record: recordFields(only("uprobe:function_entry")),
    event: FUNCTION_CALL_FIELDS,
    recurring: [PROCESS_FIELDS],
  },
};

/** The event type of a frame, `undefined` for frames that are no event or of an unknown kind. */
export function frameEventType(buffer: Buffer, start: number): FrameEventType | undefined {
  return EVENT_TYPE_OF_KIND[frameKind(buffer, start) as keyof typeof EVENT_TYPE_OF_KIND];
}
