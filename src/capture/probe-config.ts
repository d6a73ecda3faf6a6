/**
 * What the probe is told on its standard input: one JSON document in one line (docs/wire-format.md).
 */
import type { EventType } from "../evidence/record.ts";

/** The events that this build captures. */
export const CAPTURED_EVENTS = [
  "file_open",
  "process_exec",
  "tcp_state",
] as const satisfies readonly EventType[];
export type CapturedEvent = (typeof CAPTURED_EVENTS)[number];

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

/** Everything the probe can be told; the names are the probe's. */
export interface ProbeConfig {
  probes: CapturedEvent[];
  events_ring_bytes?: number;
  exec_ring_bytes?: number;
  own_processes: number[];
  filters: Filters;
  user?: { uid: number; gid: number };
}

/** Filters that let everything pass. */
export function openFilters(): Filters {
  const none = <Value>(): Filter<Value> => ({ include: [], exclude: [] });
  return { pid: none(), tree: none(), comm: none(), uid: none(), cgroup: none(), path: none() };
}
