// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * ssl_op.bpf.c - SSL_read, SSL_write and their _ex forms, of libssl or of a copy linked into a program.
 *
 * The event is the return, and its time that of the return. Only pointers and counts are read, never what was
 * sent. Some libraries make one function of another (LibreSSL's SSL_read_ex calls SSL_read): the inner call
 * then is the event, under the name of the outermost one, and the outer ones are none.
 *
 * Where the exits are not known the entry is the event (FRAME_F_ENTRY_ONLY): bytes are those asked for.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"
#include "uprobe.h"

char LICENSE[] SEC("license") = "GPL";

/* A call this much deeper in the stack than another on the same session is part of it. */
#define NESTED_WITHIN_BYTES 4096

struct ssl_call {
	struct call call;
	__u64 ssl;
	__u64 moved_address; /* _ex: where the function stores the bytes it moved */
	__u8 function; /* enum ssl_function */
	__u8 is_reported; /* by a call within this one */
	__u8 reserved[6];
};

struct ssl_frame {
	struct frame_header header;
	struct ssl_op_body body;
};

_Static_assert(sizeof(struct ssl_frame) % FRAME_ALIGN == 0, "a frame of fixed size needs no padding");

/* Calls that have not returned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct call_key);
	__type(value, struct ssl_call);
} ssl_calls SEC(".maps");

static __always_inline bool is_ex(__u8 function)
{
	return function == SSL_FUNCTION_READ_EX || function == SSL_FUNCTION_WRITE_EX;
}

static __always_inline bool is_read(__u8 function)
{
	return function == SSL_FUNCTION_READ || function == SSL_FUNCTION_READ_EX;
}

/* Fills in the rest and emits; the body is there. */
static __always_inline void emit_op(struct ssl_frame *frame, __u16 flags, struct probe_counters *counters)
{
	if (!frame->body.bytes) {
		count(&counters->filtered);
		return;
	}
	frame->header.length = sizeof(*frame);
	frame->header.kind = FRAME_SSL_OP;
	frame->header.probe = PROBE_SSL_OP;
	frame->header.flags = flags;
	frame->header.boot_ns = bpf_ktime_get_boot_ns();
	identify(identity_in(&frame->header), current_task());
	emit_event(frame, sizeof(*frame), counters);
}

/*
 * Marks the calls that `inner` is a part of, so that they are not counted once more. Returns the function of
 * the outermost. One that was left by longjmp may be among them: it never returns, so its mark does no harm.
 */
static __always_inline __u8 mark_outer_calls(const struct ssl_call *inner)
{
	struct call_key key = first_call_of_thread();
	__u64 outermost = 0;
	__u8 function = inner->function;
	__u32 slot, slots = slots_in_use();

	for (slot = 0; slot < slots; slot++) {
		struct ssl_call *outer;
		__u64 depth;

		key.slot = slot;
		outer = bpf_map_lookup_elem(&ssl_calls, &key);
		if (!outer || outer->ssl != inner->ssl ||
		    is_read(outer->function) != is_read(inner->function))
			continue;
		/* One that is not outside of the inner one wraps to a large number. */
		depth = outer->call.stack_pointer - inner->call.stack_pointer;
		if (depth == 0 || depth > NESTED_WITHIN_BYTES)
			continue;
		outer->is_reported = true;
		if (depth > outermost) {
			outermost = depth;
			function = outer->function;
		}
	}
	return function;
}

/* The bytes that a call moved; a negative number when they could not be read. */
static __always_inline __s64 moved_bytes(const struct ssl_call *call, __s32 result)
{
	__u64 moved = 0;

	if (result <= 0)
		return 0;
	if (!is_ex(call->function))
		return result;
	if (bpf_probe_read_user(&moved, sizeof(moved), (void *)call->moved_address))
		return -1;
	/* No buffer is that large: nothing that SSL_read_ex itself has stored. */
	return (__s64)moved < 0 ? -1 : moved;
}

SEC("uprobe.multi")
int ssl_entry(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct probe_counters *counters = counters_of(PROBE_SSL_OP);
	struct ssl_frame frame = {};
	struct ssl_call call = {
		.call.stack_pointer = PT_REGS_SP(ctx),
		.call.boot_ns = bpf_ktime_get_boot_ns(),
		.ssl = PT_REGS_PARM1(ctx),
		.moved_address = PT_REGS_PARM4(ctx),
		.function = cookie & CALL_COOKIE_FUNCTION,
	};

	if (!counters)
		return 0;
	if (!current_passes()) {
		count(&counters->seen);
		count(&counters->filtered);
		return 0;
	}
	if (!(cookie & CALL_COOKIE_ENTRY_ONLY)) {
		remember_call(&ssl_calls, &call.call);
		return 0;
	}
	count(&counters->seen);
	frame.body.ssl_ptr = call.ssl;
	frame.body.function = call.function;
	if (is_ex(call.function))
		frame.body.bytes = PT_REGS_PARM3(ctx); /* size_t */
	else if ((__s32)PT_REGS_PARM3(ctx) > 0)
		frame.body.bytes = (__s32)PT_REGS_PARM3(ctx);
	emit_op(&frame, FRAME_F_ENTRY_ONLY, counters);
	return 0;
}

SEC("uprobe.multi")
int ssl_exit(struct pt_regs *ctx)
{
	struct probe_counters *counters = counters_of(PROBE_SSL_OP);
	struct ssl_frame frame = {};
	struct ssl_call call, *found;
	struct call_key key;
	__s64 moved;

	if (!counters)
		return 0;
	found = find_call(&ssl_calls, &key, stack_pointer_at_entry(ctx, bpf_get_attach_cookie(ctx)));
	if (!found) {
		/* Filtered ones were counted at entry. */
		if (current_passes()) {
			count(&counters->seen);
			count(&counters->lost[LOST_PENDING_FULL]);
		}
		return 0;
	}
	call = *found;
	forget_call(&ssl_calls, &key);
	if (call.is_reported)
		return 0;
	count(&counters->seen);
	frame.body.ssl_ptr = call.ssl;
	frame.body.function = mark_outer_calls(&call);
	moved = moved_bytes(&call, PT_REGS_RC(ctx));
	if (moved < 0) {
		count(&counters->lost[LOST_READ_FAULT]);
		return 0;
	}
	frame.body.bytes = moved;
	emit_op(&frame, 0, counters);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(forget_ssl_calls, struct task_struct *task)
{
	forget_calls(&ssl_calls);
	return 0;
}
