/**
 * The one mapping table between Runtime Evidence v1 and OpenTelemetry. Each v1 field stands here once; the
 * encoders, the decoder and the tests are made from it. Order is the order of writing.
 */
import type { Extensions } from "../evidence/extensions.ts";
import type { EventType } from "../evidence/record.ts";
import * as attributes from "./attributes.gen.ts";

/**
 * How a field is carried: an integer as int64, or as decimal text where int64 cannot hold it; the others as
 * the OTLP value of the same name. Readers accept more (see `to-evidence.ts`).
 */
export type FieldType = "integer" | "string" | "boolean" | "string-array";

/** One v1 field and the attribute that is authoritative for it. */
export interface FieldMapping {
  /** Name of the JSON member, at the top of the record or in `event`. */
  readonly member: string;
  readonly key: string;
  readonly type: FieldType;
  readonly required?: true;
  /** v1 value to attribute value, one to one; absent where they are the same. */
  readonly values?: Readonly<Record<string, string>>;
}

/** Members at the top of a record that are log record attributes. */
export const recordFields = [
  {
    member: "ts_ns",
    key: attributes.ATTR_RUNTIME_EVIDENCE_RECORD_TIMESTAMP,
    type: "integer",
    required: true,
  },
  { member: "src", key: attributes.ATTR_RUNTIME_EVIDENCE_PROBE_NAME, type: "string", required: true },
  { member: "pid", key: attributes.ATTR_PROCESS_PID, type: "integer", required: true },
  { member: "tid", key: attributes.ATTR_RUNTIME_EVIDENCE_THREAD_ID, type: "integer" },
  { member: "cgroup_id", key: attributes.ATTR_RUNTIME_EVIDENCE_CGROUP_ID, type: "integer" },
  { member: "comm", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_COMM, type: "string", required: true },
] as const satisfies readonly FieldMapping[];

/** Members at the top stand in the schema's order: those of the resource before `comm`. */
export const fieldsBeforeContainer: readonly FieldMapping[] = recordFields.filter(
  ({ member }) => member !== "comm",
);
export const fieldsAfterContainer: readonly FieldMapping[] = recordFields.filter(
  ({ member }) => member === "comm",
);

/** Members at the top of a record that are resource attributes. */
export const resourceFields = [
  { member: "container_id", key: attributes.ATTR_RUNTIME_EVIDENCE_CONTAINER_ID, type: "string" },
  { member: "image_digest", key: attributes.ATTR_RUNTIME_EVIDENCE_IMAGE_DIGEST, type: "string" },
] as const satisfies readonly FieldMapping[];

/** Members of `event`, by event type. `event.type` itself is `eventTypeKey`, and the event name. */
export const eventFields = {
  file_open: [
    { member: "path", key: attributes.ATTR_FILE_PATH, type: "string", required: true },
    { member: "flags", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_FLAGS, type: "integer" },
    { member: "access", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_ACCESS, type: "string" },
    { member: "dfd", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_DFD, type: "integer" },
    { member: "mode", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_MODE, type: "integer" },
  ],
  process_exec: [
    { member: "filename", key: attributes.ATTR_PROCESS_EXECUTABLE_PATH, type: "string", required: true },
    { member: "ppid", key: attributes.ATTR_PROCESS_PARENT_PID, type: "integer" },
    { member: "argv0", key: attributes.ATTR_PROCESS_COMMAND, type: "string" },
  ],
  tcp_state: [
    {
      member: "oldstate",
      key: attributes.ATTR_RUNTIME_EVIDENCE_TCP_STATE_OLDSTATE,
      type: "string",
      required: true,
    },
    {
      member: "newstate",
      key: attributes.ATTR_RUNTIME_EVIDENCE_TCP_STATE_NEWSTATE,
      type: "string",
      required: true,
    },
    { member: "daddr", key: attributes.ATTR_NETWORK_PEER_ADDRESS, type: "string", required: true },
    { member: "dport", key: attributes.ATTR_NETWORK_PEER_PORT, type: "integer", required: true },
    { member: "saddr", key: attributes.ATTR_NETWORK_LOCAL_ADDRESS, type: "string" },
    { member: "sport", key: attributes.ATTR_NETWORK_LOCAL_PORT, type: "integer" },
    {
      member: "family",
      key: attributes.ATTR_NETWORK_TYPE,
      type: "string",
      values: { inet: "ipv4", inet6: "ipv6" },
    },
  ],
  net_connect: [
    { member: "addr", key: attributes.ATTR_NETWORK_PEER_ADDRESS, type: "string", required: true },
    { member: "port", key: attributes.ATTR_NETWORK_PEER_PORT, type: "integer", required: true },
    { member: "fd", key: attributes.ATTR_RUNTIME_EVIDENCE_NET_CONNECT_FD, type: "integer" },
    { member: "success", key: attributes.ATTR_RUNTIME_EVIDENCE_NET_CONNECT_SUCCESS, type: "boolean" },
    { member: "error", key: attributes.ATTR_RUNTIME_EVIDENCE_NET_CONNECT_ERROR, type: "integer" },
  ],
  ssl_op: [
    {
      member: "operation",
      key: attributes.ATTR_RUNTIME_EVIDENCE_SSL_OP_OPERATION,
      type: "string",
      required: true,
    },
    { member: "bytes", key: attributes.ATTR_RUNTIME_EVIDENCE_SSL_OP_BYTES, type: "integer" },
    { member: "ssl_ptr", key: attributes.ATTR_RUNTIME_EVIDENCE_SSL_OP_SSL_PTR, type: "string" },
  ],
  function_call: [
    {
      member: "addr",
      key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_ADDR,
      type: "string",
      required: true,
    },
    { member: "symbol", key: attributes.ATTR_CODE_FUNCTION_NAME, type: "string" },
    { member: "library", key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_LIBRARY, type: "string" },
    { member: "runtime", key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_RUNTIME, type: "string" },
    { member: "stack", key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_STACK, type: "string-array" },
    { member: "node_hash", key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_NODE_HASH, type: "string" },
  ],
} as const satisfies Readonly<Record<EventType, readonly FieldMapping[]>>;

export const eventTypes = Object.keys(eventFields) as readonly EventType[];

/** Attribute that is authoritative for `event.type`; the event name is `eventName(type)`. */
export const eventTypeKey = attributes.ATTR_RUNTIME_EVIDENCE_EVENT_TYPE;

/** EventName of the log record; at most 256 bytes (logs.proto). */
export const eventName = (type: EventType): string => `runtime_evidence.${type}`;

/** Whether `value` is the type of an event of v1. */
export function isEventType(value: unknown): value is EventType {
  return typeof value === "string" && Object.hasOwn(eventFields, value);
}

/** The attributes of `Extensions`; written after the event's fields. `member` is that of `Extensions`. */
export const extensionFields = [
  { member: "pathRead", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_PATH_READ, type: "string" },
  { member: "pathRaw", key: attributes.ATTR_RUNTIME_EVIDENCE_FILE_OPEN_PATH_RAW, type: "string" },
  { member: "filenameRaw", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_EXEC_FILENAME_RAW, type: "string" },
  { member: "argv0Raw", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_EXEC_ARGV0_RAW, type: "string" },
  { member: "commRaw", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_COMM_RAW, type: "string" },
  { member: "attribution", key: attributes.ATTR_RUNTIME_EVIDENCE_TCP_STATE_ATTRIBUTION, type: "string" },
  { member: "namespacePid", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_NAMESPACE_PID, type: "integer" },
  { member: "startTime", key: attributes.ATTR_RUNTIME_EVIDENCE_PROCESS_START_TIME, type: "integer" },
  { member: "entryOnly", key: attributes.ATTR_RUNTIME_EVIDENCE_ENTRY_ONLY, type: "boolean" },
  {
    member: "bytesRequested",
    key: attributes.ATTR_RUNTIME_EVIDENCE_SSL_OP_BYTES_REQUESTED,
    type: "integer",
  },
  {
    member: "stackSymbols",
    key: attributes.ATTR_RUNTIME_EVIDENCE_FUNCTION_CALL_STACK_SYMBOLS,
    type: "string-array",
  },
  { member: "truncated", key: attributes.ATTR_RUNTIME_EVIDENCE_TRUNCATED, type: "boolean" },
] as const satisfies readonly (FieldMapping & { readonly member: keyof Extensions })[];
