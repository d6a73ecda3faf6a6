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
 * Start time and innermost pid of the current process. Loads through a BTF pointer cost a tenth of helper
 * calls and are allowed since Linux 5.11; the branch not taken is removed at load.
 */
static __always_inline void read_process(struct identity *identity)
{
	struct pid *pid;
	__u32 level;

	if (can_follow_task()) {
		struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

		identity->start_boot_ns = leader->start_boottime;
		pid = leader->thread_pid;
		level = pid->level;
	} else {
		struct task_struct *task = (void *)bpf_get_current_task();
		struct task_struct *leader = BPF_CORE_READ(task, group_leader);

		identity->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
		pid = BPF_CORE_READ(leader, thread_pid);
		level = BPF_CORE_READ(pid, level);
	}
	identity->namespace_pid = level == 0 ? identity->pid : innermost_pid(pid, level);
}

/* Fills in all of the current task. */
static __always_inline void identify_current(struct identity *identity)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	identity->pid = pid_tgid >> 32;
	identity->tid = pid_tgid;
	identity->cgroup_id = bpf_get_current_cgroup_id();
	identity->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(identity->comm, sizeof(identity->comm));
	read_process(identity);
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
