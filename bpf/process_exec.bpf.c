// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * process_exec.bpf.c - programs that were executed.
 *
 * The tracepoint fires when the exec has succeeded: the task already has its new memory, comm and
 * credentials, and, if another thread called execve, the pid of the process. For a script the filename is the
 * script's and argv[0] that of the interpreter.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"

char LICENSE[] SEC("license") = "GPL";

/* One more than the string with its NUL, so that a longer one shows. */
#define FILENAME_READ_BYTES (FRAME_PATH_BYTES_MAX + 2)
#define ARGV0_READ_BYTES (FRAME_ARGV0_BYTES_MAX + 2)

struct exec_frame {
	struct frame_header header;
	struct process_exec_body body;
	/* argv[0] follows the filename at once; zeroes follow up to the next multiple of FRAME_ALIGN. */
	char strings[FILENAME_READ_BYTES + ARGV0_READ_BYTES + FRAME_ALIGN];
};

/* Per CPU: tracepoints run their programs with preemption off. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_frame);
} exec_scratch SEC(".maps");

/* Reads the filename to the start of the strings. Returns its bytes without NUL. */
static __always_inline __u32 read_filename(struct exec_frame *frame, const char *filename)
{
	long bytes = bpf_probe_read_kernel_str(frame->strings, FILENAME_READ_BYTES, filename);

	if (bytes <= 0)
		return 0;
	if (bytes >= FILENAME_READ_BYTES) {
		frame->header.flags |= FRAME_F_TRUNCATED;
		return FRAME_PATH_BYTES_MAX;
	}
	return bytes - 1;
}

/* Reads argv[0] from the new memory to `strings + at`. Returns its bytes without NUL. */
static __always_inline __u32 read_argv0(struct exec_frame *frame, __u32 at, struct task_struct *task,
					int argc)
{
	struct mm_struct *mm = task->mm;
	long bytes = -1;

	if (mm && argc > 0)
		bytes = bpf_probe_read_user_str(frame->strings + at, ARGV0_READ_BYTES, (void *)mm->arg_start);
	if (bytes <= 0) {
		frame->header.flags |= FRAME_F_ARGV0_ABSENT;
		return 0;
	}
	if (bytes >= ARGV0_READ_BYTES) {
		frame->header.flags |= FRAME_F_TRUNCATED;
		return FRAME_ARGV0_BYTES_MAX;
	}
	return bytes - 1;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct probe_counters *counters = counters_of(PROBE_PROCESS_EXEC);
	__u32 only = 0, filename_length, argv0_length, bytes;
	struct exec_frame *frame = bpf_map_lookup_elem(&exec_scratch, &only);

	if (!counters || !frame)
		return 0;
	count(&counters->seen);
	if (!process_passes(task->tgid, tree_flags_of(task->tgid))) {
		count(&counters->filtered);
		return 0;
	}
	identify(identity_in(&frame->header), current_task());
	if (!identity_passes(identity_in(&frame->header))) {
		count(&counters->filtered);
		return 0;
	}
	frame->header.kind = FRAME_PROCESS_EXEC;
	frame->header.probe = PROBE_PROCESS_EXEC;
	frame->header.flags = 0;
	frame->header.boot_ns = bpf_ktime_get_boot_ns();
	filename_length = read_filename(frame, bprm->filename);
	argv0_length = read_argv0(frame, filename_length, task, bprm->argc);
	frame->body.ppid = task->real_parent->tgid;
	frame->body.filename_length = filename_length;
	frame->body.argv0_length = argv0_length;
	__builtin_memset(frame->strings + filename_length + argv0_length, 0, FRAME_ALIGN);
	bytes = frame_bytes(offsetof(struct exec_frame, strings) + filename_length + argv0_length);
	frame->header.length = bytes;
	emit_exec_event(frame, bytes, counters);
	return 0;
}
