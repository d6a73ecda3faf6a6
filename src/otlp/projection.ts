/**
 * What is written for people and backends beside the authoritative attributes, and ignored on the way back:
 * severity, `network.*` and `error.type`, container conventions, and the body.
 */
import { constants } from "node:os";
import type { EventType } from "../evidence/record.ts";
import {
  ATTR_CONTAINER_ID,
  ATTR_CONTAINER_RUNTIME_NAME,
  ATTR_OCI_MANIFEST_DIGEST,
} from "./attributes.gen.ts";

/** SeverityNumber of the log data model: INFO, and WARN for an operation that failed. */
export const severity = { info: 9, warn: 13 } as const;

/** Attributes that every event of a type has. */
export const fixedAttributes: Readonly<Partial<Record<EventType, readonly (readonly [string, string])[]>>> = {
  tcp_state: [["network.transport", "tcp"]],
};

/**
 * `network.connection.state` by the kernel's state name (include/net/tcp_states.h). NEW_SYN_RECV has no
 * member in the conventions, so it has none here.
 */
export const connectionStates: Readonly<Record<string, string>> = {
  ESTABLISHED: "established",
  SYN_SENT: "syn_sent",
  SYN_RECV: "syn_received",
  FIN_WAIT1: "fin_wait_1",
  FIN_WAIT2: "fin_wait_2",
  TIME_WAIT: "time_wait",
  CLOSE: "closed",
  CLOSE_WAIT: "close_wait",
  LAST_ACK: "last_ack",
  LISTEN: "listen",
  CLOSING: "closing",
};

const errorNames = new Map<number, string>();
// EAGAIN stands before its alias EWOULDBLOCK, and the first name is kept.
for (const [name, number] of Object.entries(constants.errno)) {
  if (!errorNames.has(number)) errorNames.set(number, name);
}

/** `error.type` of a failed call: the name of the Linux errno, `_OTHER` when it has none. */
export function errorType(errno: number | bigint | undefined): string {
  return errorNames.get(Number(errno)) ?? "_OTHER";
}

/** Container and image attributes of OpenTelemetry's conventions for v1's `container_id` and `image_digest`. */
export function containerAttributes(containerId?: string, imageDigest?: string): Record<string, string> {
  const projected: Record<string, string> = {};
  const separator = containerId?.indexOf("://") ?? -1;
  if (containerId !== undefined && separator > 0) {
    projected[ATTR_CONTAINER_ID] = containerId.slice(separator + 3);
    projected[ATTR_CONTAINER_RUNTIME_NAME] = containerId.slice(0, separator);
  }
  if (imageDigest !== undefined) projected[ATTR_OCI_MANIFEST_DIGEST] = imageDigest;
  return projected;
}

/**
 * One piece of a body: literal text, or the value of a member with text around it. A piece whose member the
 * record does not have is left out, text and all.
 */
export type BodyPart =
  | string
  | { readonly member: string; readonly before?: string; readonly after?: string };

const task: readonly BodyPart[] = [{ member: "comm" }, { member: "pid", before: "[", after: "] " }];

/** Body by event type, for example `nginx[2311] file_open /etc/ssl/cert.pem (read)`. */
export const bodyTemplates: Readonly<Record<EventType, readonly BodyPart[]>> = {
  file_open: [...task, "file_open ", { member: "path" }, { member: "access", before: " (", after: ")" }],
  process_exec: [
    ...task,
    "process_exec ",
    { member: "filename" },
    { member: "ppid", before: " (parent ", after: ")" },
  ],
  tcp_state: [
    ...task,
    "tcp_state ",
    { member: "daddr" },
    { member: "dport", before: " port " },
    { member: "oldstate", before: " (" },
    { member: "newstate", before: " to ", after: ")" },
  ],
  net_connect: [
    ...task,
    "net_connect ",
    { member: "addr" },
    { member: "port", before: " port " },
    { member: "error", before: " (error ", after: ")" },
  ],
  ssl_op: [...task, "ssl_op ", { member: "operation" }, { member: "bytes", before: " ", after: " bytes" }],
  function_call: [
    ...task,
    "function_call ",
    { member: "addr" },
    { member: "symbol", before: " " },
    { member: "library", before: " in " },
  ],
};
