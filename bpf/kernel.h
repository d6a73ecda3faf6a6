/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * kernel.h - the few kernel types and fields that the programs read.
 *
 * Kept by hand instead of a generated vmlinux.h: it lists what we depend on, and nothing else. Each struct
 * is partial; preserve_access_index makes libbpf replace every offset by that of the running kernel (CO-RE),
 * so only names and types matter here, not order or gaps. No system header is included, so that the objects
 * build the same on every host and for every target.
 */
#ifndef RUNTIME_EVIDENCE_KERNEL_H
#define RUNTIME_EVIDENCE_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef signed short __s16;
typedef unsigned int __u32;
typedef signed int __s32;
typedef unsigned long long __u64;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#define bool _Bool
#define true 1
#define false 0

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

enum {
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_CLONE = 1 << 9,
	BPF_F_MMAPABLE = 1 << 10,
};

enum {
	BPF_SK_STORAGE_GET_F_CREATE = 1 << 0,
};

enum {
	BPF_RB_NO_WAKEUP = 1 << 0,
	BPF_RB_FORCE_WAKEUP = 1 << 1,
};

enum {
	BPF_RB_AVAIL_DATA = 0,
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

#undef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)

/* include/linux/socket.h */
#define AF_INET 2
#define AF_INET6 10
/* include/uapi/linux/in.h */
#define IPPROTO_TCP 6
/* include/net/tcp_states.h: the states, and the first number beyond them that user space can see */
#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7
#define TCP_NEW_SYN_RECV 12
/* include/linux/sched.h: a kernel thread, which is nobody's process */
#define PF_KTHREAD 0x00200000

/* What a syscall tracepoint is given: struct syscall_trace_enter and _exit of kernel/trace/trace.h. */
struct syscall_enter {
	__u64 common;
	__u64 number;
	__u64 args[6];
};

struct syscall_exit {
	__u64 common;
	__u64 number;
	__s64 ret;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/linux/pid.h */
struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

typedef struct {
	int counter;
} atomic_t;

/* include/linux/sched/signal.h */
struct signal_struct {
	atomic_t live;
};

/* include/linux/mm_types.h */
struct mm_struct {
	unsigned long arg_start;
};

/* include/linux/fdtable.h */
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* include/linux/cred.h */
typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

/* include/linux/kernfs.h; one u64 since Linux 5.5 */
struct kernfs_node {
	__u64 id;
};

/* include/linux/cgroup-defs.h */
struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

/* include/linux/sched.h; start_boottime is of Linux 5.5 */
struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred *cred;
	struct css_set *cgroups;
	char comm[16];
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
};

/* include/linux/binfmts.h */
struct linux_binprm {
	int argc;
	const char *filename;
};

/* include/linux/fs.h */
struct file {
	void *private_data;
};

/* include/linux/net.h */
struct socket {
	struct file *file;
	struct sock *sk;
};

struct in6_addr {
	__u8 bytes[16];
};

/* include/net/sock.h; skc_v6_* are there with CONFIG_IPV6 only */
struct sock_common {
	__be32 skc_daddr;
	unsigned int skc_hash;
	__be16 skc_dport;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
};

/* include/net/inet_sock.h */
struct inet_sock {
	__be32 inet_saddr;
	__be16 inet_sport;
};

#pragma clang attribute pop

/* include/uapi/linux/bpf.h; BPF_FUNC_get_current_task_btf is of Linux 5.11 */
enum bpf_func_id___newer {
	BPF_FUNC_get_current_task_btf___newer = 158,
};

#endif
