// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * tcp_state.bpf.c - every change of state of a TCP socket, and the process it belongs to (socket_owner.h).
 *
 * Ports and addresses are those that the tracepoint itself reports: at CLOSE the socket has often given its
 * local port back (skc_num is 0), while inet_sport still has it.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"
#include "maps.h"
#include "emit.h"
#include "identity.h"
#include "filter.h"
#include "socket_file.h"
#include "socket_owner.h"

char LICENSE[] SEC("license") = "GPL";

struct tcp_frame {
	struct frame_header header;
	struct tcp_state_body body;
};

_Static_assert(sizeof(struct tcp_frame) % FRAME_ALIGN == 0, "a frame of fixed size needs no padding");

/* kernel/bpf/task_iter.c: an open file of a task; both pointers are NULL after the last one. */
struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
} __attribute__((preserve_access_index));

static __always_inline void read_addresses(struct tcp_state_body *body, struct sock *sk)
{
	struct inet_sock *inet = (struct inet_sock *)sk;

	body->sport = bpf_ntohs(BPF_CORE_READ(inet, inet_sport));
	body->dport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (body->family == AF_INET) {
		__be32 local = BPF_CORE_READ(inet, inet_saddr), remote = sk->__sk_common.skc_daddr;

		__builtin_memcpy(body->saddr, &local, sizeof(local));
		__builtin_memcpy(body->daddr, &remote, sizeof(remote));
	} else if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		BPF_CORE_READ_INTO(&body->saddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&body->daddr, sk, __sk_common.skc_v6_daddr);
	}
}

static __always_inline bool is_representable(int state)
{
	return state >= TCP_ESTABLISHED && state <= TCP_NEW_SYN_RECV;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int oldstate, int newstate)
{
	struct tcp_frame frame = {};
	struct socket_owner owner = {};
	struct probe_counters *counters;
	int attribution;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	counters = counters_of(PROBE_TCP_STATE);
	if (!counters)
		return 0;
	count(&counters->seen);
	attribution = find_owner(sk, &owner);
	frame.body.family = sk->__sk_common.skc_family;
	if (!is_representable(oldstate) || !is_representable(newstate) ||
	    (frame.body.family != AF_INET && frame.body.family != AF_INET6)) {
		count(&counters->lost[LOST_UNREPRESENTABLE]);
		return 0;
	}
	if (attribution < 0) {
		count(&counters->lost[LOST_UNATTRIBUTED]);
		return 0;
	}
	if (!process_passes(owner.identity.pid, owner.tree_flags) || !identity_passes(&owner.identity)) {
		count(&counters->filtered);
		return 0;
	}
	frame.header.length = sizeof(frame);
	frame.header.kind = FRAME_TCP_STATE;
	frame.header.probe = PROBE_TCP_STATE;
	frame.header.boot_ns = bpf_ktime_get_boot_ns();
	*identity_in(&frame.header) = owner.identity;
	frame.body.oldstate = oldstate;
	frame.body.newstate = newstate;
	frame.body.attribution = attribution;
	read_addresses(&frame.body, sk);
	emit_event(&frame, sizeof(frame), counters);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int exit_accept(struct syscall_exit *ctx)
{
	if (ctx->ret >= 0)
		remember_accepted(ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int exit_accept4(struct syscall_exit *ctx)
{
	if (ctx->ret >= 0)
		remember_accepted(ctx->ret);
	return 0;
}

/*
 * Run once by the loader, when the hooks above are attached: gives the sockets that are older than the
 * capture an owner. The kernel goes through the processes of the loader's pid namespace by rising pid, so
 * the holder with the lowest pid owns a socket that several hold: as a rule the one that made it, before it
 * forked the others.
 */
SEC("iter/task_file")
int adopt_older_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (task && file && !(task->flags & PF_KTHREAD))
		adopt(file, task);
	return 0;
}
