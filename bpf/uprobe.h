/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * uprobe.h - what the programs on functions of user space have in common.
 *
 * They are of section "uprobe.multi", which names no target: the loader attaches them to files and offsets.
 * Linux runs them with migration disabled but preemption on, so another thread may run the same program on
 * this CPU before one has finished. Nothing here keeps state per CPU; what a call leaves for its return is
 * found by thread and stack pointer.
 *
 * The stack pointer names a call exactly. It holds the same value at the first instruction of a function and
 * at its RET, and the calls that a thread is in at one time have different ones: recursion, a signal handler
 * that interrupts a call, fibers with stacks of their own. A call that is left without RET (longjmp, a
 * cancelled thread, an exception) leaves an entry behind. It is overwritten by the next call at the same
 * place, and goes with its thread; no other return takes it for its own. A tail call to another probed
 * function overwrites it, too: the call is one, and counts as that of the function that returns.
 *
 * Attach entries before exits, and detach exits before entries: then a call in flight is not taken for one
 * whose beginning was lost.
 */
#ifndef RUNTIME_EVIDENCE_UPROBE_H
#define RUNTIME_EVIDENCE_UPROBE_H

/* arch/x86/include/uapi/asm/ptrace.h, arch/arm64/include/uapi/asm/ptrace.h: what a program is given. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	unsigned long rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};
#endif

/* x86-64's RET has taken the return address off the stack when a uretprobe runs; arm64 keeps it in a
 * register. */
#if defined(__TARGET_ARCH_x86)
#define RETURNED_BYTES 8
#else
#define RETURNED_BYTES 0
#endif

/* What the stack pointer was at the first instruction of the function that returns. */
static __always_inline __u64 stack_pointer_at_entry(struct pt_regs *ctx, __u64 cookie)
{
	return cookie & CALL_COOKIE_RETURNED ? PT_REGS_SP(ctx) - RETURNED_BYTES : PT_REGS_SP(ctx);
}

/* Calls of one probe that a thread can be in at one time. With one more, the oldest is given up. */
#define CALLS_PER_THREAD_MAX 4

struct call_key {
	__u64 pid_tgid;
	__u32 slot; /* below CALLS_PER_THREAD_MAX */
	__u32 reserved;
};

/* What every entry of a map of calls begins with. */
struct call {
	__u64 stack_pointer; /* at the function's first instruction */
	__u64 boot_ns;
};

/* Entries in other slots than the first. It is nearly always 0, and then the others need no look. */
__u64 deeper_calls;

/* A thread sees its own entries counted; those of others only make it look in vain. */
static __always_inline __u32 slots_in_use(void)
{
	return *(volatile __u64 *)&deeper_calls ? CALLS_PER_THREAD_MAX : 1;
}

static __always_inline struct call_key first_call_of_thread(void)
{
	struct call_key key = {.pid_tgid = bpf_get_current_pid_tgid()};

	return key;
}

/*
 * Remembers a call of the current thread. `call` points to a value of the map `calls`, which begins with a
 * struct call. Nobody else touches the entries of a thread. When the map is full the call is not
 * remembered, and its return will count it.
 */
static __always_inline void remember_call(void *calls, const struct call *call)
{
	struct call_key key = first_call_of_thread();
	__u64 oldest_ns = ~0ull;
	__u32 slot, oldest = 0;
	bool is_new = false;

	for (slot = 0; slot < CALLS_PER_THREAD_MAX; slot++) {
		const struct call *other;

		key.slot = slot;
		other = bpf_map_lookup_elem(calls, &key);
		is_new = !other;
		if (is_new || other->stack_pointer == call->stack_pointer)
			break;
		if (other->boot_ns < oldest_ns) {
			oldest_ns = other->boot_ns;
			oldest = slot;
		}
	}
	if (slot == CALLS_PER_THREAD_MAX)
		key.slot = oldest;
	if (!bpf_map_update_elem(calls, &key, call, BPF_ANY) && is_new && key.slot > 0)
		__sync_fetch_and_add(&deeper_calls, 1);
}

/* Deletes an entry of the current thread, if there is one. */
static __always_inline void forget_call(void *calls, const struct call_key *key)
{
	if (!bpf_map_delete_elem(calls, key) && key->slot > 0)
		__sync_fetch_and_add(&deeper_calls, -1);
}

/*
 * Finds the call that returns with this stack pointer, and leaves its key in `key`. The entry stays: its
 * owner copies what it needs and deletes it.
 */
static __always_inline void *find_call(void *calls, struct call_key *key, __u64 stack_pointer)
{
	__u32 slot, slots = slots_in_use();

	*key = first_call_of_thread();
	for (slot = 0; slot < slots; slot++) {
		struct call *call;

		key->slot = slot;
		call = bpf_map_lookup_elem(calls, key);
		if (call && call->stack_pointer == stack_pointer)
			return call;
	}
	return NULL;
}

/* The call of the current thread that began last: the one that it is in, as no call outlives a later one. */
static __always_inline void *innermost_call(void *calls)
{
	struct call_key key = first_call_of_thread();
	struct call *innermost = NULL;
	__u32 slot, slots = slots_in_use();

	for (slot = 0; slot < slots; slot++) {
		struct call *call;

		key.slot = slot;
		call = bpf_map_lookup_elem(calls, &key);
		if (call && (!innermost || call->boot_ns > innermost->boot_ns))
			innermost = call;
	}
	return innermost;
}

/* Forgets what the current thread, which exits, will not return from any more. */
static __always_inline void forget_calls(void *calls)
{
	struct call_key key = first_call_of_thread();
	__u32 slot, slots = slots_in_use();

	for (slot = 0; slot < slots; slot++) {
		key.slot = slot;
		forget_call(calls, &key);
	}
}

#endif
