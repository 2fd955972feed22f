// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks that met their limit: the last 256 burrow_stack_overflow, each with who
 * and where, and how many there were (Documentation/bpf.rst).
 */
#include "module.h"
#include "count.h"

#define LOG_LEN 256 /* a power of two */
#define COMM_LEN 16

/**
 * struct overflow_total - all that was seen
 * @events:	overflows; those before the last 256 are not in the log any more
 */
struct overflow_total {
	__u64 events;
};

/**
 * struct overflow - one of them
 * @number:	the how manieth it is, from 1; 0: none is here yet
 * @time_ns:	when, by CLOCK_MONOTONIC
 * @goroutine:	whose stack, 0 for nobody's
 * @slot:	of it
 * @address:	that was touched
 * @limit:	bytes that the stack may have
 * @pid:	process that owns the arena
 * @arena:	its number
 * @tid:	thread that touched it
 * @comm:	that thread's name
 */
struct overflow {
	__u64 number;
	__u64 time_ns;
	__u64 goroutine;
	__u64 slot;
	__u64 address;
	__u64 limit;
	__u32 pid;
	__u32 arena;
	__u32 tid;
	char comm[COMM_LEN];
};

TOTAL(overflow_total, struct overflow_total);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOG_LEN);
	__type(key, __u32);
	__type(value, struct overflow);
} overflow_log SEC(".maps");

static __always_inline void locate(struct overflow *o,
				   struct burrow_arena *arena)
{
	o->pid = arena_pid(arena);
	if (!bpf_core_field_exists(arena->limit))
		return;
	o->arena = BPF_CORE_READ(arena, id);
	o->limit = PAGE_BYTES(BPF_CORE_READ(arena, limit));
}

SEC("raw_tp/burrow_stack_overflow")
int BPF_PROG(stack_overflow, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long address)
{
	struct overflow_total *total = total_of(&overflow_total);
	struct overflow o = {
		.time_ns = bpf_ktime_get_ns(),
		.goroutine = goroutine,
		.slot = slot,
		.address = address,
		.tid = (__u32)bpf_get_current_pid_tgid(),
	};
	__u32 at;

	if (!total)
		return 0;
	o.number = __sync_fetch_and_add(&total->events, 1) + 1;
	locate(&o, arena);
	bpf_get_current_comm(o.comm, sizeof(o.comm));
	at = (o.number - 1) % LOG_LEN;
	bpf_map_update_elem(&overflow_log, &at, &o, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
