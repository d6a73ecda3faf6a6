/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * socket_owner.h - which process a TCP socket belongs to.
 *
 * A socket changes state in two ways. A process does it (connect, listen, close, or packets that waited while
 * it held the socket): then it has locked the socket, sk_lock.owned is 1, and it is the current task. Or a
 * softirq does it (a packet or a timer), while any task may be current: the kernel never does that to a
 * socket with owned == 1, but lets the packet wait (tcp_v4_rcv and tcp_write_timer in net/ipv4). So `owned`
 * tells the two apart on every kernel and architecture, even when a softirq interrupts the owner itself.
 *
 * The last process that acted is remembered in the socket's own storage. A listener's children start with a
 * copy of it (BPF_F_CLONE); who accepts one is learnt at the end of accept, if those hooks are attached.
 * Sockets that are older than the capture get the process that holds them at its start, if that iterator
 * runs. Needs Linux 5.11: bpf_sk_storage_get in tracing programs.
 */
#ifndef RUNTIME_EVIDENCE_SOCKET_OWNER_H
#define RUNTIME_EVIDENCE_SOCKET_OWNER_H

struct socket_owner {
	struct identity identity;
	/* enum filter_flag of its tree while it lived: it outlives the process's entry in filter_trees. */
	__u8 tree_flags;
	__u8 reserved[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_owner);
} socket_owners SEC(".maps");

/* Who accepted a socket that has not changed state since. */
struct accepted_socket {
	struct socket_owner owner;
	/* What the socket's address must still hold: socket memory is used again. */
	__u32 hash;
	__u32 remote_port; /* network order */
};

/*
 * Key: address of the struct sock. When it is full, those longest unused fall out, and their sockets count as
 * the listener's again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct accepted_socket);
} accepted_sockets SEC(".maps");

static __always_inline void identify_owner(struct socket_owner *owner)
{
	identify(&owner->identity, current_task());
	owner->tree_flags = tree_flags_of(owner->identity.pid);
}

/* Whether the current task is a process that holds this socket, and thus makes the change itself. */
static __always_inline bool is_changed_by_current(struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return sk->sk_lock.owned && task->tgid != 0 && !(task->flags & PF_KTHREAD);
}

/* Moves what accept learnt about the socket into `owner`. */
static __always_inline bool take_accepted(struct sock *sk, struct socket_owner *owner)
{
	__u64 key = (__u64)sk;
	struct accepted_socket *accepted = bpf_map_lookup_elem(&accepted_sockets, &key);
	bool same;

	if (!accepted)
		return false;
	same = accepted->hash == sk->__sk_common.skc_hash &&
	       accepted->remote_port == sk->__sk_common.skc_dport;
	if (same)
		*owner = accepted->owner;
	bpf_map_delete_elem(&accepted_sockets, &key);
	return same;
}

/* Makes the current process the owner. An exiting process has left filter_trees already: its flags stay. */
static __always_inline void become_owner(struct socket_owner *owner)
{
	__u32 earlier_pid = owner->identity.pid;
	__u64 earlier_start = owner->identity.start_boot_ns;
	__u8 earlier_flags = owner->tree_flags;

	identify_owner(owner);
	if (owner->identity.pid == earlier_pid && owner->identity.start_boot_ns == earlier_start)
		owner->tree_flags |= earlier_flags;
}

/*
 * Fills in the process that a change of state belongs to and remembers it. `owner` is all zero at first.
 * Returns an enum socket_attribution, or -1 when no process is known: the socket is older than the capture,
 * no process that the iterator sees held it then, and nobody has acted on it since.
 */
static __always_inline int find_owner(struct sock *sk, struct socket_owner *owner)
{
	bool by_current = is_changed_by_current(sk);
	bool is_known = take_accepted(sk, owner);
	__u64 create = by_current || is_known ? BPF_SK_STORAGE_GET_F_CREATE : 0;
	struct socket_owner *stored = bpf_sk_storage_get(&socket_owners, sk, NULL, create);

	if (!is_known && stored) {
		*owner = *stored;
		is_known = owner->identity.pid != 0; /* else it was created just now */
	}
	if (by_current)
		become_owner(owner);
	else if (!is_known)
		return -1;
	if (stored)
		*stored = *owner;
	return by_current ? ATTRIBUTION_CURRENT : ATTRIBUTION_OWNER;
}

/*
 * Remembers the current process as the one that accepted the socket behind `fd`. It is read without a lock
 * (see socket_file.h); state and hash tell a socket from memory that is something else by now.
 */
static __always_inline void remember_accepted(__s64 fd)
{
	struct sock *sk = socket_of_descriptor(fd);
	struct accepted_socket accepted = {};
	__u64 key = (__u64)sk;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return;
	/* After CLOSE there will be no change of state that would take the entry away. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		return;
	accepted.hash = BPF_CORE_READ(sk, __sk_common.skc_hash);
	accepted.remote_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	identify_owner(&accepted.owner);
	bpf_map_update_elem(&accepted_sockets, &key, &accepted, BPF_ANY);
}

/*
 * Makes `task` the owner of the socket behind one of its files, unless there is an owner already: one that
 * acted since the hooks were attached, or another holder that came first. The storage is created with its
 * value, so that a change of state at the same moment sees an owner or none, never half of one.
 */
static __always_inline void adopt(struct file *file, struct task_struct *task)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct socket_owner owner = {};
	struct sock *sk;

	if (!socket)
		return;
	sk = socket->sk;
	/* Protocols of other families have numbers of their own. */
	if (!sk || sk->sk_protocol != IPPROTO_TCP ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return;
	follow_task(&owner.identity, task);
	owner.tree_flags = tree_flags_of(owner.identity.pid);
	bpf_sk_storage_get(&socket_owners, sk, &owner, BPF_SK_STORAGE_GET_F_CREATE);
}

#endif
