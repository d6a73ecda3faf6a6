/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * identity.h - who did it: the part of a frame header that names a process.
 */
#ifndef RUNTIME_EVIDENCE_IDENTITY_H
#define RUNTIME_EVIDENCE_IDENTITY_H

/* As in struct frame_header. */
struct identity {
	__u64 cgroup_id;
	__u32 pid;
	__u32 tid;
	__u64 start_boot_ns;
	__u32 namespace_pid;
	__u32 uid;
	char comm[FRAME_COMM_BYTES];
};

static __always_inline bool can_follow_task(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___newer, BPF_FUNC_get_current_task_btf___newer);
}

/* The pid in the process's own namespace: the last of the numbers that a struct pid holds. */
static __always_inline __u32 innermost_pid(struct pid *pid, __u32 level)
{
	__u32 number = 0;

	bpf_core_read(&number, sizeof(number),
		      (void *)&pid->numbers[0].nr + level * bpf_core_type_size(struct upid));
	return number;
}

/*
 * The current task, as a pointer whose fields can be loaded directly (since Linux 5.11), or one that only
 * bpf_probe_read_kernel can follow. Of each branch on can_follow_task() one side is removed at load. Direct
 * loads matter: these run for every event, and each helper call costs more than all of them.
 */
static __always_inline struct task_struct *current_task(void)
{
	return can_follow_task() ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
}

static __always_inline __u32 current_pid(struct task_struct *current)
{
	return can_follow_task() ? current->tgid : bpf_get_current_pid_tgid() >> 32;
}

/* Clears what follows the first NUL of eight characters (little-endian), and says whether there was one. */
static __always_inline bool clear_after_nul(__u64 *characters)
{
	__u64 nul = (*characters - 0x0101010101010101ull) & ~*characters & 0x8080808080808080ull;

	if (!nul)
		return false;
	*characters &= (nul ^ (nul - 1)) >> 8;
	return true;
}

/* Before Linux 5.17 the kernel leaves an earlier, longer name behind the NUL. */
static __always_inline void copy_comm(char *to, const struct task_struct *current)
{
	__u64 first = *(const __u64 *)&current->comm[0], second = *(const __u64 *)&current->comm[8];

	if (clear_after_nul(&first))
		second = 0;
	else
		clear_after_nul(&second);
	__builtin_memcpy(to, &first, sizeof(first));
	__builtin_memcpy(to + sizeof(first), &second, sizeof(second));
}

static __always_inline void follow_task(struct identity *identity, struct task_struct *current)
{
	struct task_struct *leader = current->group_leader;
	struct pid *pid = leader->thread_pid;
	__u32 level = pid->level;

	identity->pid = current->tgid;
	identity->tid = current->pid;
	identity->uid = current->cred->uid.val;
	identity->cgroup_id = current->cgroups->dfl_cgrp->kn->id;
	identity->start_boot_ns = leader->start_boottime;
	identity->namespace_pid = level == 0 ? identity->pid : innermost_pid(pid, level);
	copy_comm(identity->comm, current);
}

/* The same for kernels before 5.11. */
static __always_inline void copy_from_task(struct identity *identity, struct task_struct *current)
{
	struct task_struct *leader = BPF_CORE_READ(current, group_leader);
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 level = BPF_CORE_READ(pid, level);

	identity->pid = pid_tgid >> 32;
	identity->tid = pid_tgid;
	identity->uid = bpf_get_current_uid_gid();
	identity->cgroup_id = bpf_get_current_cgroup_id();
	identity->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	identity->namespace_pid = level == 0 ? identity->pid : innermost_pid(pid, level);
	bpf_get_current_comm(identity->comm, sizeof(identity->comm));
}

/* Fills in all of the current task, which is what current_task() returned. */
static __always_inline void identify(struct identity *identity, struct task_struct *current)
{
	if (can_follow_task())
		follow_task(identity, current);
	else
		copy_from_task(identity, current);
}

/* The identity as it stands in a frame header: struct identity repeats a run of its fields. */
static __always_inline struct identity *identity_in(struct frame_header *header)
{
	_Static_assert(offsetof(struct frame_header, comm) - offsetof(struct frame_header, cgroup_id) ==
			       offsetof(struct identity, comm),
		       "struct identity mirrors struct frame_header");
	return (struct identity *)&header->cgroup_id;
}

#endif
