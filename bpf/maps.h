/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * maps.h - the maps that every object shares with the others and with the loader.
 *
 * Each object declares all of them; the loader creates them with the first object and lets the others reuse
 * them by name. It sets max_entries of the rings and of `counters` before that; the sizes here are defaults.
 *
 * What single objects have besides:
 *   file_open     map pending_opens: opens that wait for their sys_exit; the loader counts what is left over
 *                 at the end as LOST_UNFINISHED. Map open_scratch: private.
 *   process_exec  map exec_scratch: private.
 *   tcp_state     maps socket_owners, accepted_sockets: private. Two more programs, sys_exit_accept and
 *                 sys_exit_accept4, learn who accepted a socket; without them a child counts as its
 *                 listener's.
 *   process_tree  global tree_overflow (.bss, __u64): forks that found filter_trees full. Their
 *                 children count as outside of the tree.
 *   net_connect   map connect_calls: private; one entry per thread that is in a call. Programs
 *                 note_connect, note_accept and note_accept4 learn errors; without them a failed call has
 *                 none. Program forget_connects clears up after threads that exit.
 *   ssl_op        map ssl_calls and program forget_ssl_calls: the same.
 *   function_call read-only data function_config. Maps first_calls (used with `once` only) and
 *                 function_rates (with a rate limit only): private; the loader may give them one entry when
 *                 they have no use. Map function_scratches: private.
 *
 * When no filter by process tree is asked for, the loader may give filter_trees one entry: it is
 * preallocated.
 */
#ifndef RUNTIME_EVIDENCE_MAPS_H
#define RUNTIME_EVIDENCE_MAPS_H

/* Read-only data of each object, set before load. */
const volatile struct filter_config filter_config;
/* A reader that is awake is told when this much waits for it; at most a quarter of the ring is sensible. */
const volatile __u64 wakeup_bytes = 1 << 20;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

/* Execs have a ring of their own, so that a storm of opens can't starve them. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exec_events SEC(".maps");

/* Index: CPU. Each CPU adds to its own entry only; the loader reads all through mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, struct cpu_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reader_state);
} reader_state SEC(".maps");

/* tgids of our own processes: what they do is counted as filtered, always. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u8);
} own_processes SEC(".maps");

/* Values of the filter maps: enum filter_flag. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u8);
} filter_pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} filter_trees SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, char[FRAME_COMM_BYTES]);
	__type(value, __u8);
} filter_comms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u8);
} filter_uids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} filter_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct filter_path_key);
	__type(value, __u8);
} filter_paths SEC(".maps");

#endif
