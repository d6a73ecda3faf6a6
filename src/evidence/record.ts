/**
 * The Runtime Evidence v1 record as TypeScript types; the contract is `schema/runtime-evidence-v1.schema.json`.
 */

/**
 * An integer of any size, exact: a `number` where it is a safe integer, a `bigint` where it is not.
 * v1 puts no upper bound on most integers, and `number` alone would round beyond 2^53.
 */
export type Integer = number | bigint;

/** Any JSON value, with integers exact. v1 allows unknown members of any type. */
export type JsonValue =
  | null
  | boolean
  | Integer
  | string
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue };

/** A program opened a file. */
export interface FileOpen {
  type: "file_open";
  path: string;
  flags?: Integer;
  access?: "read" | "write" | "read_write" | "unknown";
  dfd?: Integer;
  mode?: Integer;
}

/** A process executed a program. */
export interface ProcessExec {
  type: "process_exec";
  filename: string;
  ppid?: Integer;
  argv0?: string;
}

/** A TCP socket changed its state. */
export interface TcpState {
  type: "tcp_state";
  oldstate: string;
  newstate: string;
  daddr: string;
  dport: Integer;
  saddr?: string;
  sport?: Integer;
  family?: "inet" | "inet6";
}

/** A libc connect or accept returned. */
export interface NetConnect {
  type: "net_connect";
  addr: string;
  port: Integer;
  fd?: Integer;
  success?: boolean;
  error?: Integer;
}

/** An OpenSSL read or write returned. */
export interface SslOp {
  type: "ssl_op";
  operation: "read" | "write";
  bytes?: Integer;
  ssl_ptr?: string;
}

/** A chosen function was called. */
export interface FunctionCall {
  type: "function_call";
  addr: string;
  symbol?: string;
  library?: string;
  runtime?: "native" | "jvm" | "node" | "python" | "dotnet" | "go" | "ruby";
  stack?: readonly string[];
  node_hash?: string;
}

export type EvidenceEvent = FileOpen | ProcessExec | TcpState | NetConnect | SslOp | FunctionCall;
export type EventType = EvidenceEvent["type"];

/** One record of Runtime Evidence v1. Members that v1 does not name may be present and are kept. */
export interface EvidenceRecord {
  ts_ns: Integer;
  src: string;
  pid: Integer;
  tid?: Integer;
  cgroup_id?: Integer;
  container_id?: string;
  image_digest?: string;
  comm: string;
  event: EvidenceEvent;
}

/** The smallest exact form of `value`. */
export function integerFromBigInt(value: bigint): Integer {
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : value;
}
