// SPDX-License-Identifier: GPL-2.0
/*
 * What trims take from stacks: every burrow_stack_trim is counted in three maps
 * (Documentation/bpf.rst).
 */
#include "module.h"
#include "count.h"

/**
 * struct trim_total - all that was seen
 * @events:	stacks that were made smaller
 * @bytes:	that were taken from them
 * @emptied:	of @events, those that lost all
 * @lost:	times that one of the other maps had no room for a trim
 */
struct trim_total {
	__u64 events;
	__u64 bytes;
	__u64 emptied;
	__u64 lost;
};

TOTAL(trim_total, struct trim_total);
LOG2(trim_log2, struct sum); /* by what was taken */
BY_PROCESS(trim_by_process, struct sum);

SEC("raw_tp/burrow_stack_trim")
int BPF_PROG(stack_trim, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long old_pages, unsigned long new_pages)
{
	struct trim_total *total = total_of(&trim_total);
	__u64 bytes = PAGE_BYTES(old_pages - new_pages);
	__u32 pid = arena_pid(arena), log2 = log2_of(bytes);
	__u64 lost = 0;

	if (!total)
		return 0;
	add(&total->events, 1);
	add(&total->bytes, bytes);
	if (!new_pages)
		add(&total->emptied, 1);
	lost += sum_add(&trim_log2, &log2, bytes);
	lost += sum_add(&trim_by_process, &pid, bytes);
	if (lost)
		add(&total->lost, lost);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
