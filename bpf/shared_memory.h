/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * shared_memory.h - what programs and probe share through maps: keys, values and options.
 *
 * It never leaves the machine and never reaches the exporter, so it is no part of frame.h and does not
 * change the layout hash. The probe's Rust types are generated from it (native/src/layout.gen.rs).
 */
#ifndef RUNTIME_EVIDENCE_SHARED_MEMORY_H
#define RUNTIME_EVIDENCE_SHARED_MEMORY_H

/* Bytes of a cache line: a CPU's counters share none with another CPU's. */
#define CACHE_LINE_BYTES 64
/* Bytes of a path that a path filter compares: the limit of BPF_MAP_TYPE_LPM_TRIE. */
#define FILTER_PATH_BYTES_MAX 256
/* Return addresses of one call's stack: PERF_MAX_STACK_DEPTH of include/uapi/linux/perf_event.h. */
#define FUNCTION_STACK_DEPTH_MAX 127
/*
 * Cookie of function_entry: the attach point in the low 32 bits. This bit says that the point is not the
 * first instruction of a function, so that no return address lies on top of the stack (or in the link
 * register).
 */
#define FUNCTION_COOKIE_INSIDE_BIT 32

/* Value of the filter maps. Both may be set; exclusion wins. */
enum filter_flag {
	FILTER_INCLUDE = 1 << 0,
	FILTER_EXCLUDE = 1 << 1,
};

/* What a filter looks at. Bits of struct filter_config. */
enum filter_dimension {
	FILTER_PID = 1 << 0, /* tgid */
	FILTER_TREE = 1 << 1, /* tgid of a process or of any ancestor that was alive when it was forked */
	FILTER_COMM = 1 << 2,
	FILTER_UID = 1 << 3, /* real uid */
	FILTER_CGROUP = 1 << 4, /* id of the cgroup v2 */
	FILTER_PATH = 1 << 5, /* file_open only: prefix of the raw path as passed */
};

/*
 * Which dimensions have any include and any exclude. It is read-only data that the verifier sees as a
 * constant: a dimension that is not used costs nothing.
 */
struct filter_config {
	__u32 include; /* enum filter_dimension */
	__u32 exclude; /* enum filter_dimension */
};

struct filter_path_key {
	__u32 prefix_bits; /* 8 x the number of bytes, <= 8 x FILTER_PATH_BYTES_MAX */
	__u8 data[FILTER_PATH_BYTES_MAX];
};

/* Cookie of the programs of net_connect and ssl_op: enum connect_function or ssl_function, and these bits. */
enum call_cookie {
	CALL_COOKIE_FUNCTION = 0xff, /* mask */
	CALL_COOKIE_EXIT = 1 << 8, /* a RET of the function; its program is an _exit one */
	CALL_COOKIE_ENTRY_ONLY = 1 << 9, /* the function's exits are not known: its entry is the event */
	CALL_COOKIE_RETURNED = 1 << 10, /* with CALL_COOKIE_EXIT: a uretprobe, which runs after the RET */
};

/* In which surroundings a function's first call is the only one reported. */
enum once_scope {
	ONCE_OFF = 0,
	ONCE_PROCESS = 1,
	ONCE_CONTAINER = 2, /* a cgroup: the one that the process is in itself */
};

/* Read-only data of function_call, set before load. */
struct function_config {
	__u32 stack_depth_max; /* <= FUNCTION_STACK_DEPTH_MAX; 0: no stacks */
	__u32 once; /* enum once_scope */
	__u64 rate_limit_per_second; /* per attach point; 0: none */
};

/* One entry per possible CPU; see frame.h for the law the counters obey. */
struct cpu_counters {
	struct probe_counters probes[PROBE_COUNT];
} __attribute__((aligned(CACHE_LINE_BYTES)));

/*
 * Written by the reader: 1 before it goes to sleep on a ring. The program that emits next swaps it back to 0
 * and wakes the reader.
 */
struct reader_state {
	__u32 events_asleep;
	__u32 exec_events_asleep;
};

#endif
