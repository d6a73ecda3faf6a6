// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * process_tree.bpf.c - keeps filter_trees up to date: children inherit the flags of the process that forked
 * them. It is needed only while there is a filter by process tree.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"

char LICENSE[] SEC("license") = "GPL";

/* Forks that found filter_trees full; the child counts as outside of the tree. Only ever grows. */
__u64 tree_overflow;

/* Fires before the child runs for the first time, so nothing it does is missed. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 from = parent->tgid, to = child->tgid;
	__u8 *flags;

	if (from == to) /* a thread */
		return 0;
	flags = bpf_map_lookup_elem(&filter_trees, &from);
	if (flags && bpf_map_update_elem(&filter_trees, &to, flags, BPF_ANY))
		__sync_fetch_and_add(&tree_overflow, 1);
	return 0;
}

/*
 * do_exit() counts signal->live down before this tracepoint: it is 0 for the last thread. The files are
 * closed after it; what that does to sockets is still told by the flags that tcp_state remembers with their
 * owner.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u32 pid = task->tgid;

	if (task->signal->live.counter == 0)
		bpf_map_delete_elem(&filter_trees, &pid);
	return 0;
}
