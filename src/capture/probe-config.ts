/**
 * What the probe is told on its standard input: one JSON document in one line (docs/wire-format.md).
 */
import type { EventType } from "../evidence/record.ts";

/** The events that this build captures. */
export const CAPTURED_EVENTS = [
  "file_open",
  "process_exec",
  "tcp_state",
  "net_connect",
  "ssl_op",
  "function_call",
] as const satisfies readonly EventType[];
export type CapturedEvent = (typeof CAPTURED_EVENTS)[number];

/**
 * The events that are captured when none are named: those of tracepoints. A uprobe costs the probed program
 * a trap of 1 µs and more at each entry and exit, and its probe keeps four capabilities while it runs, so that
 * uprobe events have to be asked for (docs/uprobes.md).
 */
export const DEFAULT_EVENTS: readonly CapturedEvent[] = ["file_open", "process_exec", "tcp_state"];

/** Limits of the probe (docs/uprobes.md). */
export const ATTACH_POINTS_LIMIT = 10_000;
/** PERF_MAX_STACK_DEPTH of include/uapi/linux/perf_event.h. */
export const STACK_DEPTH_LIMIT = 127;

/** Values to keep and values to leave out; an empty `include` keeps all. */
export interface Filter<Value> {
  include: Value[];
  exclude: Value[];
}

/** Filters that the kernel programs apply. An event must pass each of them. */
export interface Filters {
  /** Processes by id. */
  pid: Filter<number>;
  /** Processes by id, with all of their descendants. */
  tree: Filter<number>;
  /** Processes by name, as the kernel cuts it to 15 bytes. */
  comm: Filter<string>;
  /** Real user ids. */
  uid: Filter<number>;
  /** Ids of cgroups (inode numbers of the cgroup v2 hierarchy), in decimal: they are 64 bits wide. */
  cgroup: Filter<string>;
  /** Beginnings of opened paths, as programs pass them; the longest match decides. */
  path: Filter<string>;
}

/** What the probe can be told about uprobes; the names are the probe's. */
export interface UprobeOptions {
  /** `LIBRARY-GLOB:SYMBOL-GLOB`, `/PATH:SYMBOL` or `/PATH:+0xOFFSET`. */
  functions?: { spec: string }[];
  attach_points_max?: number;
  /** Return addresses of a function_call; 0 is none. */
  stack_depth_max?: number;
  /** Say what is at the addresses of stacks. */
  symbolize?: boolean;
  /** Report the first call of a function only. */
  once?: "process" | "container";
  /** Calls of one function; 0 is no limit. */
  rate_limit_per_second?: number;
  uretprobes?: boolean;
}

/** Everything the probe can be told; the names are the probe's. */
export interface ProbeConfig extends UprobeOptions {
  probes: CapturedEvent[];
  events_ring_bytes?: number;
  exec_ring_bytes?: number;
  /** How long the probe may take to hand over what it has, once it is to end. */
  drain_timeout_ms?: number;
  /** How many more pipes the probe was started with, for when it is killed. */
  spare_outputs?: number;
  own_processes: number[];
  filters: Filters;
  user?: { uid: number; gid: number };
}

/** Filters that let everything pass. */
export function openFilters(): Filters {
  const none = <Value>(): Filter<Value> => ({ include: [], exclude: [] });
  return { pid: none(), tree: none(), comm: none(), uid: none(), cgroup: none(), path: none() };
}
