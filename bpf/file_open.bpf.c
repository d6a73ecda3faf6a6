// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * file_open.bpf.c - open, openat, openat2 and creat, as the program passed them.
 *
 * The path is read at sys_enter, before the kernel reads it. Its page may not be resident there, and a
 * tracepoint may not wait for it; then the call is remembered and the path read at sys_exit, when the kernel
 * has faulted it in. Opens through io_uring and 32-bit system calls on 64-bit pass none of these hooks.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"

char LICENSE[] SEC("license") = "GPL";

/* include/uapi/asm-generic/fcntl.h; the same on x86-64 and arm64 */
#define O_WRONLY 01
#define O_CREAT 0100
#define O_TRUNC 01000

/* One more than a path with its NUL, so that a longer one shows. */
#define PATH_READ_BYTES (FRAME_PATH_BYTES_MAX + 2)

/* The first fields of include/uapi/linux/openat2.h; later versions only append. */
struct open_how {
	__u64 flags;
	__u64 mode;
};

struct open_call {
	__u64 boot_ns;
	__u64 path_address;
	__u64 how_address; /* of a struct open_how; NULL is an address like any other, and not readable */
	__u64 open_flags;
	__s32 dfd;
	__u32 mode;
	__u32 hook; /* enum open_hook */
	__u32 how_is_unread; /* whether flags and mode must still be read from how_address */
};

struct open_frame {
	struct frame_header header;
	struct file_open_body body;
	/* Room for the read, and for zeroes up to the next multiple of FRAME_ALIGN. */
	char path[PATH_READ_BYTES + FRAME_ALIGN];
};

struct open_scratch {
	struct open_frame frame;
	struct filter_path_key key;
};

/* Per CPU: syscall tracepoints run their programs with preemption off. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_scratch);
} open_scratch SEC(".maps");

/* Key: pid_tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct open_call);
} pending_opens SEC(".maps");

/* Entries of pending_opens. It is nearly always 0, and then sys_exit costs one load. */
__u64 pending_open_count;

/*
 * Has `path_length` bytes to compare at most FILTER_PATH_BYTES_MAX. What follows the path in the buffer is
 * not compared, because prefix_bits ends before it.
 */
static __always_inline bool path_passes(struct open_scratch *scratch, __u32 path_length)
{
	__u32 bytes = path_length < FILTER_PATH_BYTES_MAX ? path_length : FILTER_PATH_BYTES_MAX;

	if (!uses(FILTER_PATH))
		return true;
	scratch->key.prefix_bits = bytes * 8;
	__builtin_memcpy(scratch->key.data, scratch->frame.path, FILTER_PATH_BYTES_MAX);
	return flags_pass(FILTER_PATH, flags_of(&filter_paths, &scratch->key));
}

/* Reads what is behind the pointers of a call. Returns the path's bytes with NUL, or an error. */
static __always_inline long read_call(struct open_call *call, struct open_frame *frame)
{
	if (call->how_is_unread) {
		struct open_how how;
		long error = bpf_probe_read_user(&how, sizeof(how), (void *)call->how_address);

		if (error)
			return error;
		call->open_flags = how.flags;
		call->mode = how.mode; /* the kernel refuses more than 07777 */
		call->how_is_unread = false;
	}
	return bpf_probe_read_user_str(frame->path, PATH_READ_BYTES, (void *)call->path_address);
}

/* Finishes the frame, whose identity and path are there, and emits it. */
static __always_inline void emit_open(struct open_scratch *scratch, const struct open_call *call,
				      __u32 path_length, __u16 flags, struct probe_counters *counters)
{
	struct open_frame *frame = &scratch->frame;
	__u32 bytes;

	/* A path that long has no NUL within PATH_MAX; the kernel will refuse it with ENAMETOOLONG. */
	if (path_length > FRAME_PATH_BYTES_MAX) {
		path_length = FRAME_PATH_BYTES_MAX;
		flags |= FRAME_F_TRUNCATED;
	}
	if (!path_passes(scratch, path_length)) {
		count(&counters->filtered);
		return;
	}
	/* What an earlier path left behind does not leave the kernel as padding. */
	__builtin_memset(frame->path + path_length, 0, FRAME_ALIGN);
	bytes = frame_bytes(offsetof(struct open_frame, path) + path_length);
	frame->header.length = bytes;
	frame->header.kind = FRAME_FILE_OPEN;
	frame->header.probe = PROBE_FILE_OPEN;
	frame->header.flags = flags;
	frame->header.boot_ns = call->boot_ns;
	frame->body.open_flags = call->open_flags;
	frame->body.dfd = call->dfd;
	frame->body.mode = call->mode;
	frame->body.hook = call->hook;
	frame->body.path_length = path_length;
	emit_event(frame, bytes, counters);
}

static __always_inline struct open_scratch *scratch_of_cpu(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&open_scratch, &only);
}

/* Takes the remembered call of this thread, if there is one. */
static __always_inline bool take_pending(struct open_call *call)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct open_call *pending = bpf_map_lookup_elem(&pending_opens, &pid_tgid);

	if (!pending)
		return false;
	*call = *pending;
	bpf_map_delete_elem(&pending_opens, &pid_tgid);
	__sync_fetch_and_add(&pending_open_count, -1);
	return true;
}

static __always_inline void remember(const struct open_call *call, struct probe_counters *counters)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	if (bpf_map_update_elem(&pending_opens, &pid_tgid, call, BPF_NOEXIST))
		count(&counters->lost[LOST_PENDING_FULL]);
	else
		__sync_fetch_and_add(&pending_open_count, 1);
}

static __always_inline int enter(struct open_call *call)
{
	struct probe_counters *counters = counters_of(PROBE_FILE_OPEN);
	struct open_scratch *scratch = scratch_of_cpu();
	struct task_struct *current = current_task();
	__u32 pid = current_pid(current);
	struct open_call unfinished;
	long path_bytes;

	if (!counters || !scratch)
		return 0;
	count(&counters->seen);
	/* Its sys_exit was skipped; it must not be taken for the exit of this call. */
	if (pending_open_count && take_pending(&unfinished))
		count(&counters->lost[LOST_UNFINISHED]);
	if (!process_passes(pid, tree_flags_of(pid))) {
		count(&counters->filtered);
		return 0;
	}
	identify(identity_in(&scratch->frame.header), current);
	if (!identity_passes(identity_in(&scratch->frame.header))) {
		count(&counters->filtered);
		return 0;
	}
	call->boot_ns = bpf_ktime_get_boot_ns();
	path_bytes = read_call(call, &scratch->frame);
	if (path_bytes > 0 && path_bytes <= PATH_READ_BYTES)
		emit_open(scratch, call, path_bytes - 1, 0, counters);
	else
		remember(call, counters);
	return 0;
}

static __always_inline int leave(void)
{
	struct probe_counters *counters;
	struct open_scratch *scratch;
	struct open_call call;
	long path_bytes;

	if (!pending_open_count)
		return 0;
	counters = counters_of(PROBE_FILE_OPEN);
	scratch = scratch_of_cpu();
	if (!counters || !scratch || !take_pending(&call))
		return 0;
	identify(identity_in(&scratch->frame.header), current_task());
	path_bytes = read_call(&call, &scratch->frame);
	if (path_bytes > 0 && path_bytes <= PATH_READ_BYTES)
		emit_open(scratch, &call, path_bytes - 1, FRAME_F_PATH_AT_EXIT, counters);
	else
		count(&counters->lost[LOST_READ_FAULT]);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int enter_openat(struct syscall_enter *ctx)
{
	struct open_call call = {
		.hook = OPEN_HOOK_OPENAT,
		.dfd = ctx->args[0],
		.path_address = ctx->args[1],
		.open_flags = (__u32)ctx->args[2],
		.mode = ctx->args[3],
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_enter_openat2")
int enter_openat2(struct syscall_enter *ctx)
{
	struct open_call call = {
		.hook = OPEN_HOOK_OPENAT2,
		.dfd = ctx->args[0],
		.path_address = ctx->args[1],
		.how_address = ctx->args[2],
		.how_is_unread = true,
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_enter_open")
int enter_open(struct syscall_enter *ctx)
{
	struct open_call call = {
		.hook = OPEN_HOOK_OPEN,
		.path_address = ctx->args[0],
		.open_flags = (__u32)ctx->args[1],
		.mode = ctx->args[2],
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_enter_creat")
int enter_creat(struct syscall_enter *ctx)
{
	struct open_call call = {
		.hook = OPEN_HOOK_CREAT,
		.path_address = ctx->args[0],
		.open_flags = O_CREAT | O_WRONLY | O_TRUNC,
		.mode = ctx->args[1],
	};

	return enter(&call);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int exit_openat(struct syscall_exit *ctx)
{
	return leave();
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int exit_openat2(struct syscall_exit *ctx)
{
	return leave();
}

SEC("tracepoint/syscalls/sys_exit_open")
int exit_open(struct syscall_exit *ctx)
{
	return leave();
}

SEC("tracepoint/syscalls/sys_exit_creat")
int exit_creat(struct syscall_exit *ctx)
{
	return leave();
}
