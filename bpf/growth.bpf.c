// SPDX-License-Identifier: GPL-2.0
/*
 * Who grows stacks, how often and by how much: every burrow_stack_grow is
 * counted in four maps. Their names and layouts are a promise to who reads them
 * (Documentation/bpf.rst).
 */
#include "module.h"
#include "count.h"

/**
 * struct growth_total - all that was seen
 * @events:	growths
 * @bytes:	by which stacks grew
 * @recycled:	bytes of these that came from a pool
 * @lost:	times that one of the other maps had no room for a growth
 */
struct growth_total {
	__u64 events;
	__u64 bytes;
	__u64 recycled;
	__u64 lost;
};

struct goroutine_key {
	__u64 goroutine;
	__u64 pid;
};

/**
 * struct goroutine_sum - of one goroutine
 * @events:	growths
 * @bytes:	by which its stack grew; with trims between, more than it ever had
 * @largest:	what its stack was at its largest
 */
struct goroutine_sum {
	__u64 events;
	__u64 bytes;
	__u64 largest;
};

TOTAL(growth_total, struct growth_total);
LOG2(growth_log2, struct sum); /* by the size that was grown to */
HASH(growth_by_goroutine, struct goroutine_key, struct goroutine_sum, 131072);
BY_PROCESS(growth_by_process, struct sum);

static __always_inline __u64 count_goroutine(__u32 pid, __u64 goroutine,
					     __u64 bytes, __u64 size)
{
	const struct goroutine_key key = { .goroutine = goroutine, .pid = pid };
	const struct goroutine_sum zero = {};
	struct goroutine_sum *growth;

	growth = value_at(&growth_by_goroutine, &key, &zero);
	if (!growth)
		return 1;
	add(&growth->events, 1);
	add(&growth->bytes, bytes);
	/* A stack grows in one fault at a time: nobody else writes this. */
	if (growth->largest < size)
		growth->largest = size;
	return 0;
}

SEC("raw_tp/burrow_stack_grow")
int BPF_PROG(stack_grow, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long old_pages, unsigned long new_pages,
	     unsigned long recycled)
{
	struct growth_total *total = total_of(&growth_total);
	__u64 bytes = PAGE_BYTES(new_pages - old_pages);
	__u64 size = PAGE_BYTES(new_pages);
	__u32 pid = arena_pid(arena), log2 = log2_of(size);
	__u64 lost = 0;

	if (!total)
		return 0;
	add(&total->events, 1);
	add(&total->bytes, bytes);
	add(&total->recycled, PAGE_BYTES(recycled));
	lost += sum_add(&growth_log2, &log2, bytes);
	lost += count_goroutine(pid, goroutine, bytes, size);
	lost += sum_add(&growth_by_process, &pid, bytes);
	if (lost)
		add(&total->lost, lost);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
