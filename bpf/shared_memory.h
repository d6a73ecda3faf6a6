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
