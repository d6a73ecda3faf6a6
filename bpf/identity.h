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

/* Loads through BTF pointers: most of these would be a helper call each, and they run for every event. */
static __always_inline void follow_task(struct identity *identity, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct pid *pid = leader->thread_pid;
	__u32 level = pid->level;

	identity->pid = task->tgid;
	identity->tid = task->pid;
	identity->uid = task->cred->uid.val;
	identity->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	identity->start_boot_ns = leader->start_boottime;
	identity->namespace_pid = level == 0 ? identity->pid : innermost_pid(pid, level);
}

/* The same for kernels before 5.11. */
static __always_inline void copy_from_task(struct identity *identity, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 level = BPF_CORE_READ(pid, level);

	identity->pid = pid_tgid >> 32;
	identity->tid = pid_tgid;
	identity->uid = bpf_get_current_uid_gid();
	identity->cgroup_id = bpf_get_current_cgroup_id();
	identity->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	identity->namespace_pid = level == 0 ? identity->pid : innermost_pid(pid, level);
}

/* Fills in all of the current task. The branch that this kernel does not take is removed at load. */
static __always_inline void identify_current(struct identity *identity)
{
	if (can_follow_task())
		follow_task(identity, bpf_get_current_task_btf());
	else
		copy_from_task(identity, (void *)bpf_get_current_task());
	/* Not read from the task: before Linux 5.17 its bytes after the NUL are not cleared. */
	bpf_get_current_comm(identity->comm, sizeof(identity->comm));
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
