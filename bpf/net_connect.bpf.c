// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * net_connect.bpf.c - connect, accept and accept4 of any libc, as the program called them.
 *
 * The event is the return, and its time that of the return. The remote address of a connect is read from the
 * caller's memory at entry, or at exit when its page was not resident; that of an accept from the memory the
 * kernel filled in, or from the new socket when the caller gave none or too little. A failed accept has no
 * remote: address and port are 0, the family is the listener's.
 *
 * errno lies in thread-local storage, whose place differs per libc. What libc stores there is what its system
 * call returned, so that is noted at sys_exit. An event with neither success nor error is of a call that
 * failed before any system call, or one whose sys_exit hook is off.
 *
 * Where the exits are not known the entry is the event (FRAME_F_ENTRY_ONLY): fd and address are as passed,
 * success and error mean nothing.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"
#include "socket_file.h"
#include "socket_address.h"
#include "uprobe.h"

char LICENSE[] SEC("license") = "GPL";

/* include/uapi/asm-generic/errno-base.h and errno.h */
#define EINTR 4
#define EINPROGRESS 115
/* include/linux/errno.h: ERESTARTSYS .. ERESTART_RESTARTBLOCK; the program sees EINTR, or nothing at all */
#define ERESTART_FIRST 512
#define ERESTART_LAST 516
#define ERRNO_MAX 4095

struct connect_call {
	struct call call;
	__u64 address; /* of the caller's sockaddr, or 0 */
	__u64 length_address; /* accept: of the caller's socklen_t, or 0 */
	__u32 capacity; /* bytes of the caller's sockaddr */
	__s32 fd;
	__s32 error; /* errno of the last system call within, 0 for none */
	__u8 function; /* enum connect_function */
	__u8 is_read; /* connect: `remote` is there */
	__u8 reserved[2];
	struct socket_address remote;
	__u32 reserved_too;
};

struct connect_frame {
	struct frame_header header;
	struct net_connect_body body;
};

_Static_assert(sizeof(struct connect_frame) % FRAME_ALIGN == 0, "a frame of fixed size needs no padding");

/* Calls that have not returned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct call_key);
	__type(value, struct connect_call);
} connect_calls SEC(".maps");

/* Reads as much of the caller's sockaddr as there is. */
static __always_inline bool read_remote(struct connect_call *call, __u32 length)
{
	struct socket_address *remote = &call->remote;

	if (length < ADDRESS_FAMILY_BYTES)
		return true; /* nothing to read: the family stays 0 */
	if (length >= sizeof(*remote))
		return !bpf_probe_read_user(remote, sizeof(*remote), (void *)call->address);
	if (length >= ADDRESS_V6_BYTES)
		return !bpf_probe_read_user(remote, ADDRESS_V6_BYTES, (void *)call->address);
	if (length >= ADDRESS_V4_BYTES)
		return !bpf_probe_read_user(remote, ADDRESS_V4_BYTES, (void *)call->address);
	return !bpf_probe_read_user(remote, ADDRESS_FAMILY_BYTES, (void *)call->address);
}

/* The remote of an accept, from what the kernel filled in. False when that is not the whole address. */
static __always_inline bool copy_filled_remote(struct net_connect_body *body, struct connect_call *call)
{
	__u32 length = 0;

	if (!call->address || call->capacity < ADDRESS_V4_BYTES ||
	    bpf_probe_read_user(&length, sizeof(length), (void *)call->length_address))
		return false;
	if (length > call->capacity)
		length = call->capacity;
	if (!read_remote(call, length) || !is_inet(call->remote.family) ||
	    length < address_bytes(call->remote.family))
		return false;
	copy_remote(body, &call->remote);
	return true;
}

/* Adds who did it and emits. */
static __always_inline void emit_connect(struct connect_frame *frame, __u16 flags,
					 struct probe_counters *counters)
{
	frame->header.length = sizeof(*frame);
	frame->header.kind = FRAME_NET_CONNECT;
	frame->header.probe = PROBE_NET_CONNECT;
	frame->header.flags = flags;
	frame->header.boot_ns = bpf_ktime_get_boot_ns();
	identify(identity_in(&frame->header), current_task());
	emit_event(frame, sizeof(*frame), counters);
}

/* Emits a connect whose body lacks the address, or counts why it can't be. */
static __always_inline void emit_with_passed_remote(struct connect_frame *frame, struct connect_call *call,
						    __u16 flags, struct probe_counters *counters)
{
	if (!call->is_read && !read_remote(call, call->capacity)) {
		count(&counters->lost[LOST_READ_FAULT]);
		return;
	}
	if (!is_inet(call->remote.family)) {
		count(&counters->filtered);
		return;
	}
	if (call->capacity < address_bytes(call->remote.family)) {
		count(&counters->lost[LOST_UNREPRESENTABLE]);
		return;
	}
	copy_remote(&frame->body, &call->remote);
	emit_connect(frame, flags, counters);
}

static __always_inline void set_result(struct net_connect_body *body, __s32 result, __s32 error)
{
	if (result >= 0) {
		body->success = true;
		return;
	}
	body->error = error;
	/* The connection is under way; tcp_state tells how it ended. */
	body->success = body->function == CONNECT_FUNCTION_CONNECT && error == EINPROGRESS;
}

/* Emits an accept whose body is there; one of another family than IPv4 and IPv6 is filtered. */
static __always_inline void emit_accept(struct connect_frame *frame, __u16 flags,
					struct probe_counters *counters)
{
	if (frame->body.family)
		emit_connect(frame, flags, counters);
	else
		count(&counters->filtered);
}

/* Fills in what an accept returned. `call` is NULL when its beginning is not known. */
static __always_inline void finish_accept(struct net_connect_body *body, struct connect_call *call,
					  __s32 result)
{
	struct sock *sk;

	body->fd = result < 0 && call ? call->fd : result;
	set_result(body, result, call ? call->error : 0);
	if (result >= 0 && call && copy_filled_remote(body, call))
		return;
	sk = copy_family(body);
	if (result >= 0 && body->family)
		copy_socket_remote(body, sk);
}

/* Whether the call that begins is wanted; counts it otherwise. */
static __always_inline bool is_wanted(struct probe_counters *counters)
{
	if (current_passes())
		return true;
	count(&counters->seen);
	count(&counters->filtered);
	return false;
}

static __always_inline void remember(struct pt_regs *ctx, struct connect_call *call)
{
	call->call.stack_pointer = PT_REGS_SP(ctx);
	call->call.boot_ns = bpf_ktime_get_boot_ns();
	remember_call(&connect_calls, &call->call);
}

/* Takes what is known of the call that returns. */
static __always_inline bool take_call(struct pt_regs *ctx, __u64 cookie, struct connect_call *call)
{
	struct call_key key;
	struct connect_call *found = find_call(&connect_calls, &key, stack_pointer_at_entry(ctx, cookie));

	if (!found)
		return false;
	*call = *found;
	forget_call(&connect_calls, &key);
	return true;
}

SEC("uprobe.multi")
int connect_entry(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_NET_CONNECT);
	struct connect_frame frame = {};
	struct connect_call call = {
		.fd = PT_REGS_PARM1(ctx),
		.address = PT_REGS_PARM2(ctx),
		.capacity = PT_REGS_PARM3(ctx),
		.function = CONNECT_FUNCTION_CONNECT,
	};

	if (!counters || !is_wanted(counters))
		return 0;
	call.is_read = read_remote(&call, call.capacity);
	if (bpf_get_attach_cookie(ctx) & CALL_COOKIE_ENTRY_ONLY) {
		count(&counters->seen);
		frame.body.fd = call.fd;
		frame.body.function = call.function;
		emit_with_passed_remote(&frame, &call, FRAME_F_ENTRY_ONLY, counters);
		return 0;
	}
	remember(ctx, &call);
	return 0;
}

SEC("uprobe.multi")
int accept_entry(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_NET_CONNECT);
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct connect_frame frame = {};
	struct connect_call call = {
		.fd = PT_REGS_PARM1(ctx),
		.address = PT_REGS_PARM2(ctx),
		.length_address = PT_REGS_PARM3(ctx),
		.function = cookie & CALL_COOKIE_FUNCTION,
	};

	if (!counters || !is_wanted(counters))
		return 0;
	if (cookie & CALL_COOKIE_ENTRY_ONLY) {
		count(&counters->seen);
		frame.body.fd = call.fd;
		frame.body.function = call.function;
		copy_family(&frame.body);
		emit_accept(&frame, FRAME_F_ENTRY_ONLY, counters);
		return 0;
	}
	/* When it can't be read the socket is asked. */
	if (call.address)
		bpf_probe_read_user(&call.capacity, sizeof(call.capacity), (void *)call.length_address);
	remember(ctx, &call);
	return 0;
}

SEC("uprobe.multi")
int connect_exit(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_NET_CONNECT);
	struct connect_frame frame = {};
	struct connect_call call;

	if (!counters)
		return 0;
	if (!take_call(ctx, bpf_get_attach_cookie(ctx), &call)) {
		/* Filtered ones were counted at entry. */
		if (current_passes()) {
			count(&counters->seen);
			count(&counters->lost[LOST_PENDING_FULL]);
		}
		return 0;
	}
	count(&counters->seen);
	frame.body.fd = call.fd;
	frame.body.function = CONNECT_FUNCTION_CONNECT;
	set_result(&frame.body, PT_REGS_RC(ctx), call.error);
	emit_with_passed_remote(&frame, &call, 0, counters);
	return 0;
}

SEC("uprobe.multi")
int accept_exit(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_NET_CONNECT);
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__s32 result = PT_REGS_RC(ctx);
	struct connect_frame frame = {};
	struct connect_call call;
	bool is_known;

	if (!counters)
		return 0;
	is_known = take_call(ctx, cookie, &call);
	/* Filtered ones were counted at entry. */
	if (!is_known && !current_passes())
		return 0;
	count(&counters->seen);
	/* A server waits for its next connection most of the time: this call began before it was probed. */
	if (!is_known && result < 0) {
		count(&counters->lost[LOST_PENDING_FULL]);
		return 0;
	}
	frame.body.function = cookie & CALL_COOKIE_FUNCTION;
	finish_accept(&frame.body, is_known ? &call : NULL, result);
	emit_accept(&frame, 0, counters);
	return 0;
}

/* Notes how a system call ended within the innermost call of this thread; the last one counts. */
static __always_inline int note(__s64 result)
{
	struct connect_call *call = innermost_call(&connect_calls);

	if (!call)
		return 0;
	if (result >= 0)
		call->error = 0;
	else if (result <= -ERESTART_FIRST && result >= -ERESTART_LAST)
		call->error = EINTR;
	else if (result >= -ERRNO_MAX)
		call->error = -result;
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int note_connect(struct syscall_exit *ctx)
{
	return note(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept")
int note_accept(struct syscall_exit *ctx)
{
	return note(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int note_accept4(struct syscall_exit *ctx)
{
	return note(ctx->ret);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(forget_connects, struct task_struct *task)
{
	forget_calls(&connect_calls);
	return 0;
}
