// SPDX-License-Identifier: GPL-2.0
/*
 * What hibernates, what that saves, and for how long: every
 * burrow_stack_hibernate and burrow_stack_restore is counted
 * (Documentation/bpf.rst).
 */
#include "module.h"
#include "count.h"

#define SLOTS_MAX 131072

/**
 * struct hibernate_total - all that was seen
 * @events:	stacks that were hibernated
 * @bytes:	that were saved of them
 * @freed:	bytes of their pages
 * @restores:	stacks that were put back
 * @restored:	bytes that were saved of these
 * @untimed:	of @restores, those that are not in hibernate_time_log2
 * @lost:	times that one of the other maps had no room for an event
 */
struct hibernate_total {
	__u64 events;
	__u64 bytes;
	__u64 freed;
	__u64 restores;
	__u64 restored;
	__u64 untimed;
	__u64 lost;
};

struct slot_key {
	__u64 slot;
	__u32 pid;
	__u32 arena;
};

TOTAL(hibernate_total, struct hibernate_total);
LOG2(hibernate_log2, struct sum); /* by what was saved */
LOG2(hibernate_time_log2, struct sum); /* by nanoseconds; their sum as bytes */
BY_PROCESS(hibernate_by_process, struct sum);

/* Since when; whoever hibernates for ever, or is no more, makes room for others. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLOTS_MAX);
	__type(key, struct slot_key);
	__type(value, __u64);
} hibernate_since SEC(".maps");

static __always_inline struct slot_key key_of(struct burrow_arena *arena,
					      unsigned long slot)
{
	struct slot_key key = { .slot = slot, .pid = arena_pid(arena) };

	if (bpf_core_field_exists(arena->id))
		key.arena = BPF_CORE_READ(arena, id);
	return key;
}

SEC("raw_tp/burrow_stack_hibernate")
int BPF_PROG(stack_hibernate, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned int live, unsigned long old_pages,
	     unsigned long new_pages)
{
	struct hibernate_total *total = total_of(&hibernate_total);
	const struct slot_key key = key_of(arena, slot);
	const __u64 now = bpf_ktime_get_ns();
	__u32 pid = key.pid, log2 = log2_of(live);
	__u64 lost = 0;

	if (!total)
		return 0;
	add(&total->events, 1);
	add(&total->bytes, live);
	add(&total->freed, PAGE_BYTES(old_pages - new_pages));
	bpf_map_update_elem(&hibernate_since, &key, &now, BPF_ANY);
	lost += sum_add(&hibernate_log2, &log2, live);
	lost += sum_add(&hibernate_by_process, &pid, live);
	if (lost)
		add(&total->lost, lost);
	return 0;
}

/* How long it was, or 1 if that is not known, or the map had no room for it. */
static __always_inline __u64 count_time(const struct slot_key *key)
{
	__u64 *since = bpf_map_lookup_elem(&hibernate_since, key);
	__u64 ns;
	__u32 log2;

	if (!since)
		return 1;
	ns = bpf_ktime_get_ns() - *since;
	log2 = log2_of(ns);
	bpf_map_delete_elem(&hibernate_since, key);
	return sum_add(&hibernate_time_log2, &log2, ns);
}

SEC("raw_tp/burrow_stack_restore")
int BPF_PROG(stack_restore, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned int live)
{
	struct hibernate_total *total = total_of(&hibernate_total);
	const struct slot_key key = key_of(arena, slot);

	if (!total)
		return 0;
	add(&total->restores, 1);
	add(&total->restored, live);
	if (count_time(&key))
		add(&total->untimed, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
