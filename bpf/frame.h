/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * frame.h - the wire contract between kernel programs, probe and exporter.
 *
 * A frame is one struct frame_header, one fixed body chosen by header.kind, then the body's strings,
 * each as raw bytes whose length stands in the body, in the order of their length fields, no NUL in
 * between. All integers are little-endian. header.length covers everything and is a multiple of
 * FRAME_ALIGN; the padding bytes after the last string have no meaning.
 *
 * Everything that crosses a process boundary is declared here and nowhere else. The offsets that
 * TypeScript and Rust use are generated from the BTF of the compiled object (see
 * docs/wire-format.md); a change of layout changes FRAME_LAYOUT_HASH and with it the hello frame, so
 * that a probe and an exporter of different builds refuse each other with a sentence.
 */
#ifndef RUNTIME_EVIDENCE_FRAME_H
#define RUNTIME_EVIDENCE_FRAME_H

/* "REVF" read as a little-endian u32. */
#define FRAME_MAGIC 0x46564552u
/* Raised when the meaning of a field changes; a change of layout alone is told by the layout hash. */
#define FRAME_PROTOCOL_VERSION 1
#define FRAME_ALIGN 8
/* PATH_MAX of include/uapi/linux/limits.h without its NUL: the kernel refuses longer paths. */
#define FRAME_PATH_BYTES_MAX 4095
/* argv[0] may be as long as MAX_ARG_STRLEN (128 KiB); this much of it is kept. */
#define FRAME_ARGV0_BYTES_MAX 4095
/* TASK_COMM_LEN of include/linux/sched.h, NUL included. */
#define FRAME_COMM_BYTES 16

enum frame_kind {
	FRAME_HELLO = 1, /* always the first frame of a stream */
	FRAME_CLOCK = 2, /* a new offset between boot time and wall clock */
	FRAME_COUNTERS = 3, /* totals since start, of every probe */
	FRAME_ATTACH_POINT = 4, /* what an attach point of function_call is; before its first event */
	FRAME_PROCESS_RUNTIME = 5, /* the runtime of a process image; before its first function_call */
	FRAME_SYMBOL = 6, /* what is at an address of a stack; before the first stack with it */
	FRAME_FILE_OPEN = 16,
	FRAME_PROCESS_EXEC = 17,
	FRAME_TCP_STATE = 18,
	FRAME_NET_CONNECT = 19,
	FRAME_SSL_OP = 20,
	FRAME_FUNCTION_CALL = 21,
};

/* One probe per observation; a probe may have several hooks. Index into the counters. */
enum probe_id {
	PROBE_FILE_OPEN = 0,
	PROBE_PROCESS_EXEC = 1,
	PROBE_TCP_STATE = 2,
	PROBE_NET_CONNECT = 3,
	PROBE_SSL_OP = 4,
	PROBE_FUNCTION_CALL = 5,
	PROBE_COUNT,
};

/* Why an event that a program saw was neither emitted nor filtered. Index into probe_counters.lost. */
enum loss_reason {
	LOST_RING_FULL = 0, /* the reader was slower than the events */
	LOST_READ_FAULT = 1, /* the path could be read neither at sys_enter nor at sys_exit */
	LOST_UNFINISHED = 2, /* the second read was due at sys_exit, which never came */
	/* No room to remember that a second read is due, or a call returned whose beginning is not known. */
	LOST_PENDING_FULL = 3,
	LOST_UNATTRIBUTED = 4, /* no process could be named with certainty */
	LOST_UNREPRESENTABLE = 5, /* a kernel value that Runtime Evidence v1 cannot hold */
	LOST_RECURSION = 6, /* the kernel skipped the program: it already ran on this CPU */
	LOST_COUNT,
};

enum frame_flag {
	FRAME_F_PATH_AT_EXIT = 1 << 0, /* file_open: the path was read at sys_exit */
	FRAME_F_TRUNCATED = 1 << 1, /* a string was longer than its limit */
	FRAME_F_ARGV0_ABSENT = 1 << 2, /* process_exec: argv[0] could not be read, or argc is 0 */
	FRAME_F_FINAL = 1 << 3, /* counters: the last frame of the stream */
	FRAME_F_ENTRY_ONLY = 1 << 4, /* uprobe events: the function's exits are not probed */
};

/* The hook that saw a file_open. */
enum open_hook {
	OPEN_HOOK_OPENAT = 0,
	OPEN_HOOK_OPENAT2 = 1,
	OPEN_HOOK_OPEN = 2,
	OPEN_HOOK_CREAT = 3,
};

/* The libc function of a net_connect. */
enum connect_function {
	CONNECT_FUNCTION_CONNECT = 0,
	CONNECT_FUNCTION_ACCEPT = 1,
	CONNECT_FUNCTION_ACCEPT4 = 2,
};

/* The OpenSSL function of an ssl_op. */
enum ssl_function {
	SSL_FUNCTION_READ = 0,
	SSL_FUNCTION_WRITE = 1,
	SSL_FUNCTION_READ_EX = 2,
	SSL_FUNCTION_WRITE_EX = 3,
};

/* Names of Runtime Evidence v1. */
enum process_runtime {
	RUNTIME_NATIVE = 0,
	RUNTIME_JVM = 1,
	RUNTIME_NODE = 2,
	RUNTIME_PYTHON = 3,
	RUNTIME_DOTNET = 4,
	RUNTIME_GO = 5,
	RUNTIME_RUBY = 6,
};

/* How the process of a tcp_state was found. */
enum socket_attribution {
	ATTRIBUTION_CURRENT = 0, /* the change was made in the context of the process itself */
	ATTRIBUTION_OWNER = 1, /* made in softirq; the process is the socket's remembered owner */
};

struct frame_header {
	__u32 length; /* bytes of the whole frame, this header included */
	__u8 kind; /* enum frame_kind */
	__u8 probe; /* enum probe_id; 0 for frames that are no event */
	__u16 flags; /* enum frame_flag */
	__u64 boot_ns; /* CLOCK_BOOTTIME when the event happened */
	__u64 cgroup_id; /* of the cgroup v2 hierarchy */
	__u32 pid; /* tgid in the initial pid namespace; 0 for frames that are no event */
	__u32 tid;
	__u64 start_boot_ns; /* CLOCK_BOOTTIME when the process started: (pid, start) is unique */
	__u32 namespace_pid; /* tgid in the process's own pid namespace */
	__u32 uid; /* real uid in the initial user namespace */
	char comm[FRAME_COMM_BYTES]; /* NUL-padded */
};

struct file_open_body {
	__u64 open_flags; /* as passed; the int of open(2) and openat(2) zero-extended */
	__s32 dfd; /* openat and openat2 only */
	__u32 mode; /* as passed; meaningful with O_CREAT or O_TMPFILE only */
	__u8 hook; /* enum open_hook */
	__u8 reserved[5];
	__u16 path_length;
};

struct process_exec_body {
	__u32 ppid; /* tgid of the real parent, 0 when it has none */
	__u16 filename_length;
	__u16 argv0_length;
};

struct tcp_state_body {
	__u8 oldstate; /* include/net/tcp_states.h: 1 ESTABLISHED .. 12 NEW_SYN_RECV */
	__u8 newstate;
	__u8 family; /* AF_INET 2, AF_INET6 10 */
	__u8 attribution; /* enum socket_attribution */
	__u16 sport; /* host order */
	__u16 dport; /* host order */
	__u8 saddr[16]; /* network order; AF_INET uses the first four bytes */
	__u8 daddr[16];
};

/* A connect or accept that returned; families other than IPv4 and IPv6 are filtered. */
struct net_connect_body {
	__s32 fd; /* connect: the socket; accept: the new one, or the listener when it failed */
	__s32 error; /* errno, 0 for none */
	__u8 function; /* enum connect_function */
	__u8 family; /* AF_INET 2, AF_INET6 10 */
	__u16 port; /* remote, host order */
	__u8 success;
	__u8 reserved[3];
	__u8 addr[16]; /* remote, network order; AF_INET uses the first four bytes */
};

/* A read or write that moved bytes; one that moved none is filtered. */
struct ssl_op_body {
	__u64 ssl_ptr;
	__u64 bytes; /* really moved; with FRAME_F_ENTRY_ONLY what was asked for */
	__u8 function; /* enum ssl_function */
	__u8 reserved[7];
};

/* Followed by stack_count return addresses of 8 bytes each, innermost first. */
struct function_call_body {
	__u64 address; /* of the function, in the process */
	__u32 attach_point; /* FRAME_ATTACH_POINT with this id came before */
	__u16 stack_count;
	__u16 reserved;
};

/* Followed by the symbol, the library and the node hash as text. */
struct attach_point_body {
	__u32 attach_point;
	__u16 symbol_length;
	__u16 library_length;
	__u16 node_hash_length;
	__u16 reserved[3];
};

/* For the process (header.pid, header.start_boot_ns). */
struct process_runtime_body {
	__u8 runtime; /* enum process_runtime */
	__u8 reserved[7];
};

/*
 * In the process (header.pid, header.start_boot_ns), until its next process_runtime. Followed by the text,
 * which is UTF-8.
 */
struct symbol_body {
	__u64 address; /* as in the stack of a function_call */
	__u16 text_length;
	__u16 reserved[3];
};

/* Followed by json_length bytes of UTF-8 JSON: kernel, architecture, hooks on or off and why. */
struct hello_body {
	__u32 magic; /* FRAME_MAGIC */
	__u16 protocol_version; /* FRAME_PROTOCOL_VERSION */
	__u16 header_size; /* sizeof(struct frame_header) */
	__u64 layout_hash; /* of this file's structs and enums */
	__s64 realtime_offset_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
	__u32 json_length;
	__u32 reserved;
};

struct clock_body {
	__s64 realtime_offset_ns;
};

/* Only ever grows. seen == emitted + filtered + sum(lost), at every moment without an event in flight. */
struct probe_counters {
	__u64 seen;
	__u64 emitted;
	__u64 filtered;
	__u64 lost[LOST_COUNT];
};

struct counters_body {
	struct probe_counters probes[PROBE_COUNT];
};

#endif
