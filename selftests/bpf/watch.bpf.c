// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what the library's probes say, for probes.c: how often each fired, the
 * sums of two of its arguments, and how often a goroutine parked for each reason,
 * a collection began, and the world was stopped.
 */
#include <linux/bpf.h>

#include <asm/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

#include "watch.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBES);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, char[REASON_LEN]);
	__type(value, __u64);
} reasons SEC(".maps");

static __always_inline void count(__u32 probe, __u64 first, __u64 second)
{
	struct seen *s = bpf_map_lookup_elem(&seen, &probe);

	if (!s)
		return;
	__sync_fetch_and_add(&s->times, 1);
	__sync_fetch_and_add(&s->first, first);
	__sync_fetch_and_add(&s->second, second);
}

static __always_inline void count_reason(const char *text)
{
	char key[REASON_LEN] = {};
	__u64 one = 1, *n;

	bpf_probe_read_user_str(key, sizeof(key), text);
	n = bpf_map_lookup_elem(&reasons, key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&reasons, key, &one, BPF_ANY);
}

SEC("usdt")
int BPF_USDT(go_create, __u64 goroutine, __u64 parent, void *site, char *name)
{
	count(GO_CREATE, goroutine, parent);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_start, __u64 goroutine, __u64 proc)
{
	count(GO_START, goroutine, proc);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_park, __u64 goroutine, long reason, char *text)
{
	count(GO_PARK, goroutine, reason);
	count_reason(text);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_ready, __u64 goroutine, __u64 by)
{
	count(GO_READY, goroutine, by);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_end, __u64 goroutine)
{
	count(GO_END, goroutine, 0);
	return 0;
}

SEC("usdt")
int BPF_USDT(stack_shrink, __u64 goroutine, __u64 bytes, __u64 stacks)
{
	count(STACK_SHRINK, bytes, stacks);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_start, __u64 cycle, char *why, __u64 bytes)
{
	count(GC_START, cycle, bytes);
	count_reason(why);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_mark_done, __u64 cycle, __u64 bytes, __u64 help_ns)
{
	count(GC_MARK_DONE, bytes, help_ns);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_sweep_done, __u64 cycle, __u64 freed, __u64 bytes)
{
	count(GC_SWEEP_DONE, freed, bytes);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_stw_begin, __u64 cycle, char *why)
{
	count(GC_STW_BEGIN, cycle, 0);
	count_reason(why);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_stw_end, __u64 cycle, __u64 ns)
{
	count(GC_STW_END, cycle, ns);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
