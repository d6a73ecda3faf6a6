/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * user_stack.h - the return addresses of a function that has just been entered.
 *
 * bpf_get_stack walks the same chain of frame pointers, but at the first instruction of a function that chain
 * begins with the caller's frame: the return address on top of the stack is in none. Linux adds it
 * since 6.11, on x86-64 only, and where the function begins with endbr64 or push. So the chain is walked
 * here. It is exact where every function on it keeps frame pointers, and ends early, or goes astray, where
 * one does not.
 */
#ifndef RUNTIME_EVIDENCE_USER_STACK_H
#define RUNTIME_EVIDENCE_USER_STACK_H

/* What a frame pointer points to, on x86-64 and arm64 alike. */
struct stack_frame {
	__u64 next;
	__u64 return_address;
};

/* User space ends below, on both with the usual page tables; arm64 signs pointers in the bits above. */
#define USER_ADDRESS_BITS 48

static __always_inline __u64 plain_address(__u64 address)
{
#if defined(__TARGET_ARCH_arm64)
	return address & ((1ull << USER_ADDRESS_BITS) - 1);
#else
	return address;
#endif
}

/* Where the function returns to; 0 when that can't be read. Valid at its first instruction only. */
static __always_inline __u64 return_address_at_entry(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_arm64)
	return plain_address(PT_REGS_RET(ctx));
#else
	__u64 address = 0;

	bpf_probe_read_user(&address, sizeof(address), (void *)PT_REGS_SP(ctx));
	return address;
#endif
}

/*
 * Writes at most depth_max (a constant to the verifier, <= FUNCTION_STACK_DEPTH_MAX) return addresses,
 * innermost first, and returns how many. A page that is not resident ends the walk.
 */
static __always_inline __u32 walk_user_stack(struct pt_regs *ctx, bool is_at_entry, __u64 *addresses,
					     __u32 depth_max)
{
	__u64 pointer = PT_REGS_FP(ctx), below = PT_REGS_SP(ctx);
	__u32 skip = is_at_entry ? 1 : 0, depth;

	if (depth_max == 0)
		return 0;
	if (skip) {
		addresses[0] = return_address_at_entry(ctx);
		if (!addresses[0])
			return 0;
	}
	for (depth = skip; depth < FUNCTION_STACK_DEPTH_MAX; depth++) {
		struct stack_frame frame;

		if (depth >= depth_max)
			break;
		/* Frames follow each other upwards, and a frame pointer that is something else rarely does.
		 */
		if (pointer < below || pointer % sizeof(__u64) ||
		    bpf_probe_read_user(&frame, sizeof(frame), (void *)pointer))
			break;
		frame.return_address = plain_address(frame.return_address);
		if (!frame.return_address || frame.return_address >> USER_ADDRESS_BITS)
			break;
		addresses[depth] = frame.return_address;
		below = pointer + sizeof(frame);
		pointer = frame.next;
	}
	return depth;
}

#endif
