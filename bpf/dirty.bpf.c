// SPDX-License-Identifier: GPL-2.0
/*
 * How much is written between harvests: every burrow_heap_dirty, a step of a
 * harvest that found something, is counted in three maps
 * (Documentation/bpf.rst). A step without a written page is no event.
 */
#include "module.h"
#include "count.h"

/**
 * struct dirty_total - all that was seen
 * @events:	steps of harvests
 * @bytes:	that were found written
 * @looked_at:	bytes of the ranges of these steps
 * @lost:	times that one of the other maps had no room for a step
 */
struct dirty_total {
	__u64 events;
	__u64 bytes;
	__u64 looked_at;
	__u64 lost;
};

TOTAL(dirty_total, struct dirty_total);
LOG2(dirty_log2, struct sum); /* by what one step found */
BY_PROCESS(dirty_by_process, struct sum);

SEC("raw_tp/burrow_heap_dirty")
int BPF_PROG(heap_dirty, struct burrow_arena *arena, __u64 first_page,
	     __u64 pages, __u64 dirty)
{
	struct dirty_total *total = total_of(&dirty_total);
	__u64 bytes = PAGE_BYTES(dirty);
	__u32 pid = arena_pid(arena), log2 = log2_of(bytes);
	__u64 lost = 0;

	if (!total)
		return 0;
	add(&total->events, 1);
	add(&total->bytes, bytes);
	add(&total->looked_at, PAGE_BYTES(pages));
	lost += sum_add(&dirty_log2, &log2, bytes);
	lost += sum_add(&dirty_by_process, &pid, bytes);
	if (lost)
		add(&total->lost, lost);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
