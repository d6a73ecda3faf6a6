/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * filter.h - which events are wanted.
 *
 * An event passes when its value is included in every dimension that has includes, and excluded in none.
 * Dimensions that are not used are dead code to the verifier and are removed at load.
 */
#ifndef RUNTIME_EVIDENCE_FILTER_H
#define RUNTIME_EVIDENCE_FILTER_H

static __always_inline bool uses(enum filter_dimension dimension)
{
	return (filter_config.include | filter_config.exclude) & dimension;
}

static __always_inline bool flags_pass(enum filter_dimension dimension, __u8 flags)
{
	if ((filter_config.include & dimension) && !(flags & FILTER_INCLUDE))
		return false;
	return !(flags & FILTER_EXCLUDE);
}

static __always_inline __u8 flags_of(void *map, const void *key)
{
	__u8 *flags = bpf_map_lookup_elem(map, key);

	return flags ? *flags : 0;
}

static __always_inline bool value_passes(enum filter_dimension dimension, void *map, const void *key)
{
	return !uses(dimension) || flags_pass(dimension, flags_of(map, key));
}

/* The cheapest checks, which turn most away: before anything else is read of the process. */
static __always_inline bool process_passes(__u32 pid, __u8 tree_flags)
{
	if (bpf_map_lookup_elem(&own_processes, &pid))
		return false;
	if (!value_passes(FILTER_PID, &filter_pids, &pid))
		return false;
	return !uses(FILTER_TREE) || flags_pass(FILTER_TREE, tree_flags);
}

static __always_inline __u8 tree_flags_of(__u32 pid)
{
	return uses(FILTER_TREE) ? flags_of(&filter_trees, &pid) : 0;
}

static __always_inline bool identity_passes(const struct identity *identity)
{
	return value_passes(FILTER_UID, &filter_uids, &identity->uid) &&
	       value_passes(FILTER_CGROUP, &filter_cgroups, &identity->cgroup_id) &&
	       value_passes(FILTER_COMM, &filter_comms, identity->comm);
}

/* Whether events of the current process are wanted, without a frame to keep its identity in. */
static __always_inline bool current_passes(void)
{
	struct task_struct *current = current_task();
	__u32 pid = current_pid(current);
	struct identity identity;

	if (!process_passes(pid, tree_flags_of(pid)))
		return false;
	if (!uses(FILTER_UID) && !uses(FILTER_CGROUP) && !uses(FILTER_COMM))
		return true;
	identify(&identity, current);
	return identity_passes(&identity);
}

#endif
