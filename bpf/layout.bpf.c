// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * layout.bpf.c - puts every type of the contracts into the BTF of one object.
 *
 * It holds no program and is never loaded: generate-layout.ts reads it and writes the offsets that
 * TypeScript and Rust use. A compiler keeps only the types that something refers to, and preprocessor
 * constants not at all; so each type is a member below, and each constant is repeated as an enumerator.
 */
#include "kernel.h"
#include "frame.h"
#include "shared_memory.h"

#define AS_ENUMERATOR(name) LAYOUT_##name = name

enum frame_constant {
	AS_ENUMERATOR(FRAME_MAGIC),
	AS_ENUMERATOR(FRAME_PROTOCOL_VERSION),
	AS_ENUMERATOR(FRAME_ALIGN),
	AS_ENUMERATOR(FRAME_PATH_BYTES_MAX),
	AS_ENUMERATOR(FRAME_ARGV0_BYTES_MAX),
	AS_ENUMERATOR(FRAME_COMM_BYTES),
};

enum shared_memory_constant {
	AS_ENUMERATOR(FILTER_PATH_BYTES_MAX),
	AS_ENUMERATOR(FUNCTION_STACK_DEPTH_MAX),
	AS_ENUMERATOR(FUNCTION_COOKIE_INSIDE_BIT),
};

/* All of frame.h, in its order. The layout hash covers exactly what is reachable from here. */
struct frame_layout {
	enum frame_constant frame_constant;
	enum frame_kind frame_kind;
	enum probe_id probe_id;
	enum loss_reason loss_reason;
	enum frame_flag frame_flag;
	enum open_hook open_hook;
	enum connect_function connect_function;
	enum ssl_function ssl_function;
	enum process_runtime process_runtime;
	enum socket_attribution socket_attribution;
	struct frame_header frame_header;
	struct file_open_body file_open_body;
	struct process_exec_body process_exec_body;
	struct tcp_state_body tcp_state_body;
	struct net_connect_body net_connect_body;
	struct ssl_op_body ssl_op_body;
	struct function_call_body function_call_body;
	struct attach_point_body attach_point_body;
	struct process_runtime_body process_runtime_body;
	struct symbol_body symbol_body;
	struct hello_body hello_body;
	struct clock_body clock_body;
	struct probe_counters probe_counters;
	struct counters_body counters_body;
};

/* All of shared_memory.h, in its order. */
struct shared_memory_layout {
	enum shared_memory_constant shared_memory_constant;
	enum filter_flag filter_flag;
	enum filter_dimension filter_dimension;
	struct filter_config filter_config;
	struct filter_path_key filter_path_key;
	enum call_cookie call_cookie;
	enum once_scope once_scope;
	struct function_config function_config;
	struct cpu_counters cpu_counters;
	struct reader_state reader_state;
};

struct frame_layout frame_layout;
struct shared_memory_layout shared_memory_layout;
