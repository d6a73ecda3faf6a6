/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * socket_address.h - remote addresses of IPv4 and IPv6: what a program passes, and what a socket has.
 */
#ifndef RUNTIME_EVIDENCE_SOCKET_ADDRESS_H
#define RUNTIME_EVIDENCE_SOCKET_ADDRESS_H

/* include/uapi/linux/in.h and in6.h, both in one */
struct socket_address {
	__u16 family;
	__be16 port;
	__be32 v4; /* AF_INET6: flow information */
	__u8 v6[16];
	__u32 v6_scope;
};

#define ADDRESS_V4_BYTES 16 /* sizeof(struct sockaddr_in) */
#define ADDRESS_V6_BYTES 24 /* SIN6_LEN_RFC2133 of net/ipv6: the scope may be left out */
#define ADDRESS_FAMILY_BYTES 2

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

static __always_inline __u32 address_bytes(__u16 family)
{
	return family == AF_INET ? ADDRESS_V4_BYTES : ADDRESS_V6_BYTES;
}

static __always_inline void copy_remote(struct net_connect_body *body, const struct socket_address *remote)
{
	body->family = remote->family;
	body->port = bpf_ntohs(remote->port);
	if (remote->family == AF_INET)
		__builtin_memcpy(body->addr, &remote->v4, sizeof(remote->v4));
	else
		__builtin_memcpy(body->addr, remote->v6, sizeof(remote->v6));
}

/* The same from a socket, whose family is in the body already. */
static __always_inline void copy_socket_remote(struct net_connect_body *body, struct sock *sk)
{
	body->port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (body->family == AF_INET) {
		__be32 remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(body->addr, &remote, sizeof(remote));
	} else if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		BPF_CORE_READ_INTO(&body->addr, sk, __sk_common.skc_v6_daddr);
	}
}

/* Fills in the family of the socket behind body->fd; 0 when there is none. */
static __always_inline struct sock *copy_family(struct net_connect_body *body)
{
	struct sock *sk = socket_of_descriptor(body->fd);
	__u16 family = sk ? BPF_CORE_READ(sk, __sk_common.skc_family) : 0;

	body->family = is_inet(family) ? family : 0;
	return sk;
}

#endif
