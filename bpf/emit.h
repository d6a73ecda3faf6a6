/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * emit.h - counting, and handing a frame to the reader.
 *
 * A program counts `seen` first and then, exactly once, one of emitted, filtered or lost[reason].
 */
#ifndef RUNTIME_EVIDENCE_EMIT_H
#define RUNTIME_EVIDENCE_EMIT_H

/*
 * A reader that is awake is told that wakeup_bytes wait for it: asking the ring costs a helper call, so only
 * one in WAKEUP_CHECK_EVERY events does, and there is a range above the limit in which the answer is yes. It
 * is wide enough for so many frames of any size, and narrow because each wake-up interrupts this CPU.
 */
#define WAKEUP_CHECK_EVERY 16
#define WAKEUP_SLACK_BYTES (WAKEUP_CHECK_EVERY * 4096)

static __always_inline struct probe_counters *counters_of(enum probe_id probe)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct cpu_counters *of_cpu = bpf_map_lookup_elem(&counters, &cpu);

	return of_cpu ? &of_cpu->probes[probe] : NULL;
}

/* Atomic, because a program in softirq may interrupt one in process context on the same CPU. */
static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/*
 * The reader says that it sleeps, then looks at the ring once more, then sleeps. Between its last look and
 * our output a wake-up can be missed; its own timeout (100 ms) bounds that. Two CPUs may both see the flag
 * and both wake: that does no harm, and spares an atomic exchange, which needs Linux 5.12.
 */
static __always_inline __u64 wakeup_flags(void *ring, volatile __u32 *asleep, __u64 emitted)
{
	__u64 waiting;

	if (*asleep) {
		*asleep = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (emitted % WAKEUP_CHECK_EVERY)
		return BPF_RB_NO_WAKEUP;
	waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	return waiting - wakeup_bytes < WAKEUP_SLACK_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Never NULL for the map's only entry, but the verifier wants to see it checked. */
static __always_inline struct reader_state *reader(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&reader_state, &only);
}

static __always_inline void count_output(long error, struct probe_counters *counters)
{
	count(error ? &counters->lost[LOST_RING_FULL] : &counters->emitted);
}

/* Copies a complete frame into the ring of events and counts it; `bytes` is a multiple of FRAME_ALIGN. */
static __always_inline void emit_event(void *frame, __u64 bytes, struct probe_counters *counters)
{
	struct reader_state *state = reader();
	__u64 flags = state ? wakeup_flags(&events, &state->events_asleep, counters->emitted) : 0;

	count_output(bpf_ringbuf_output(&events, frame, bytes, flags), counters);
}

/* The same for the ring of execs. */
static __always_inline void emit_exec_event(void *frame, __u64 bytes, struct probe_counters *counters)
{
	struct reader_state *state = reader();
	__u64 flags = state ? wakeup_flags(&exec_events, &state->exec_events_asleep, counters->emitted) : 0;

	count_output(bpf_ringbuf_output(&exec_events, frame, bytes, flags), counters);
}

static __always_inline __u32 frame_bytes(__u32 bytes)
{
	return (bytes + FRAME_ALIGN - 1) & ~(FRAME_ALIGN - 1);
}

#endif
