// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * function_call.bpf.c - calls of the functions that the user chose, and their stacks.
 *
 * The event is the entry; returns are never probed. Which calls are reported can be limited to the first one
 * per process or container, and to a number per second and attach point; the others are filtered.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"
#include "uprobe.h"
#include "user_stack.h"

char LICENSE[] SEC("license") = "GPL";

#define SECOND_NS 1000000000ull
/* Threads that may be preempted in the program on one CPU while another runs it there. */
#define SCRATCHES_PER_CPU 4

const volatile struct function_config function_config;

struct function_frame {
	struct frame_header header;
	struct function_call_body body;
	__u64 stack[FUNCTION_STACK_DEPTH_MAX];
};

_Static_assert(offsetof(struct function_frame, stack) % FRAME_ALIGN == 0, "a stack needs no padding");

struct function_scratch {
	__u64 users; /* more than 1 for a moment, when one comes in vain */
	struct function_frame frame;
};

/* Too large for the program's stack; uprobes run with preemption on, so one per CPU would not do. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES_PER_CPU);
	__type(key, __u32);
	__type(value, struct function_scratch);
} function_scratches SEC(".maps");

/* Whose first call it is: a process, or a container when pid is 0. */
struct first_call_key {
	__u64 scope; /* start of the process (boot time, ns), or id of the cgroup */
	__u32 pid;
	__u32 attach_point;
};

/*
 * Used with function_config.once only. Those that were looked for longest ago fall out when it is full, so
 * entries of processes that have ended go first; a function whose entry fell out is reported once more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct first_call_key);
	__type(value, __u8);
} first_calls SEC(".maps");

struct function_rate {
	__u64 second; /* since boot */
	__u64 calls; /* in that second */
};

/*
 * Used with function_config.rate_limit_per_second only. Key: attach point. It has room for more than can be
 * attached at one time, so only points that were detached fall out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct function_rate);
} function_rates SEC(".maps");

static __always_inline bool is_first_call(const struct first_call_key *key)
{
	return !bpf_map_lookup_elem(&first_calls, key);
}

/* False when another thread was faster. */
static __always_inline bool claim_first_call(const struct first_call_key *key)
{
	__u8 present = 1;

	return !bpf_map_update_elem(&first_calls, key, &present, BPF_NOEXIST);
}

/*
 * At most so many calls in each second of the clock. Two CPUs that begin a second at the same time may let as
 * many more pass as they counted meanwhile.
 */
static __always_inline bool rate_allows(__u32 attach_point, __u64 boot_ns)
{
	volatile struct function_rate *rate;
	struct function_rate first = {.second = boot_ns / SECOND_NS};

	if (!function_config.rate_limit_per_second)
		return true;
	rate = bpf_map_lookup_elem(&function_rates, &attach_point);
	if (!rate) {
		bpf_map_update_elem(&function_rates, &attach_point, &first, BPF_NOEXIST);
		rate = bpf_map_lookup_elem(&function_rates, &attach_point);
		if (!rate)
			return true;
	}
	if (rate->second != first.second) {
		rate->second = first.second;
		rate->calls = 0;
	}
	count((__u64 *)&rate->calls);
	return rate->calls <= function_config.rate_limit_per_second;
}

/*
 * A scratch that nobody else uses. It is counted up before it is looked at, so two can't both take it; both
 * may give way. NULL when all are taken.
 */
static __always_inline struct function_scratch *take_scratch(void)
{
	__u32 index;

	for (index = 0; index < SCRATCHES_PER_CPU; index++) {
		struct function_scratch *scratch = bpf_map_lookup_elem(&function_scratches, &index);

		if (!scratch)
			return NULL;
		__sync_fetch_and_add(&scratch->users, 1);
		if (*(volatile __u64 *)&scratch->users == 1)
			return scratch;
		__sync_fetch_and_add(&scratch->users, -1);
	}
	return NULL;
}

static __always_inline void leave_scratch(struct function_scratch *scratch)
{
	__sync_fetch_and_add(&scratch->users, -1);
}

/* Fills in the rest and emits; the identity is there. */
static __always_inline void emit_call(struct function_frame *frame, struct pt_regs *ctx, __u64 cookie,
				      struct probe_counters *counters)
{
	bool is_at_entry = !(cookie >> FUNCTION_COOKIE_INSIDE_BIT & 1);
	__u32 depth_max = function_config.stack_depth_max;
	__u32 bytes = offsetof(struct function_frame, stack);

	frame->body.stack_count = walk_user_stack(ctx, is_at_entry, frame->stack, depth_max);
	bytes += (frame->body.stack_count & FUNCTION_STACK_DEPTH_MAX) * sizeof(__u64);
	frame->header.length = bytes;
	frame->header.kind = FRAME_FUNCTION_CALL;
	frame->header.probe = PROBE_FUNCTION_CALL;
	frame->body.address = PT_REGS_IP(ctx);
	frame->body.attach_point = cookie;
	emit_event(frame, bytes, counters);
}

/* Whether `once` and the rate limit let this call pass; if so it is remembered as the first. */
static __always_inline bool limits_allow(const struct identity *identity, __u32 attach_point, __u64 boot_ns)
{
	struct first_call_key key = {.attach_point = attach_point};

	if (function_config.once == ONCE_OFF)
		return rate_allows(attach_point, boot_ns);
	if (function_config.once == ONCE_PROCESS) {
		key.scope = identity->start_boot_ns;
		key.pid = identity->pid;
	} else {
		key.scope = identity->cgroup_id;
	}
	/* A call that the rate limit leaves out must not be the only one. */
	return is_first_call(&key) && rate_allows(attach_point, boot_ns) && claim_first_call(&key);
}

SEC("uprobe.multi")
int function_entry(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_FUNCTION_CALL);
	struct task_struct *current = current_task();
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 pid = current_pid(current);
	struct function_scratch *scratch;
	struct frame_header header = {};

	if (!counters)
		return 0;
	count(&counters->seen);
	if (!process_passes(pid, tree_flags_of(pid))) {
		count(&counters->filtered);
		return 0;
	}
	identify(identity_in(&header), current);
	header.boot_ns = bpf_ktime_get_boot_ns();
	if (!identity_passes(identity_in(&header)) ||
	    !limits_allow(identity_in(&header), cookie, header.boot_ns)) {
		count(&counters->filtered);
		return 0;
	}
	scratch = take_scratch();
	if (!scratch) {
		count(&counters->lost[LOST_RECURSION]);
		return 0;
	}
	scratch->frame.header = header;
	emit_call(&scratch->frame, ctx, cookie, counters);
	leave_scratch(scratch);
	return 0;
}
