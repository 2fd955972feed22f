// SPDX-License-Identifier: GPL-2.0
/*
 * What goroutines of a process do, for burrow trace, stat and top: the library's
 * probes, the module's events and long system calls of goroutines, as a stream of
 * events. What the ring buffer has no room for is counted.
 *
 * The tool sets what stands under "settings", loads, and attaches each program
 * where there is something to attach to: a library without a probe, or a machine
 * without the module, has the events of the others.
 */
#include <asm/ptrace.h>
#include <stdbool.h>

#include "module.h"
#include "runtime.h"

#include <bpf/usdt.bpf.h>

#define THREADS_MAX 16384
#define RING_BYTES (1 << 24)

/* ---- settings ------------------------------------------------------------------- */

const volatile __u32 only_pid; /* 0: all that it is attached to */
const volatile __u64 syscall_ns = 10000; /* shorter ones are not told */

/* ---- what is kept --------------------------------------------------------------- */

__u64 dropped; /* events that found no room */
bool told_first;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} events SEC(".maps");

/**
 * struct thread - one that runs goroutines
 * @goroutine:	which it runs, 0: none
 * @entered_ns:	when it went into a system call, 0: it is in none
 * @call:	that call's number
 */
struct thread {
	__u64 goroutine;
	__u64 entered_ns;
	__u64 call;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, THREADS_MAX);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

/* ---- telling -------------------------------------------------------------------- */

/*
 * The tool looks by itself every now and then: to wake it up for each event would
 * cost more than all the rest. It is woken for the first one, to look at the program
 * while that is there, and when the buffer fills.
 */
static __always_inline void submit(struct runtime_event *e)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	if (!told_first) {
		told_first = true;
		waiting = RING_BYTES;
	}
	bpf_ringbuf_submit(e, waiting > RING_BYTES / 4 ? BPF_RB_FORCE_WAKEUP :
							 BPF_RB_NO_WAKEUP);
}

/* One to fill and submit; NULL: no room. */
static __always_inline struct runtime_event *begin(__u32 kind, __u64 goroutine)
{
	struct runtime_event *e;
	__u64 id;

	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&dropped, 1);
		return NULL;
	}
	id = bpf_get_current_pid_tgid();
	e->time_ns = bpf_ktime_get_ns();
	e->goroutine = goroutine;
	e->kind = kind;
	e->pid = id >> 32;
	e->tid = id;
	e->cpu = bpf_get_smp_processor_id();
	e->text[0] = 0;
	return e;
}

static __always_inline void tell(__u32 kind, __u64 goroutine, __u64 a, __u64 b,
				 __u64 c, const char *text)
{
	struct runtime_event *e = begin(kind, goroutine);

	if (!e)
		return;
	e->a = a;
	e->b = b;
	e->c = c;
	if (text)
		bpf_probe_read_user_str(e->text, sizeof(e->text), text);
	submit(e);
}

static __always_inline void runs(__u64 goroutine)
{
	struct thread thread = { .goroutine = goroutine };
	__u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&threads, &tid, &thread, BPF_ANY);
}

/* ---- the library's probes -------------------------------------------------------- */

SEC("usdt")
int BPF_USDT(go_create, __u64 goroutine, __u64 parent, __u64 site, char *name)
{
	tell(EVENT_GO_CREATE, goroutine, parent, site, 0, name);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_start, __u64 goroutine, __u64 proc)
{
	runs(goroutine);
	tell(EVENT_GO_START, goroutine, proc, 0, 0, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_park, __u64 goroutine, __u64 reason, char *text)
{
	runs(0);
	tell(EVENT_GO_PARK, goroutine, reason, 0, 0, text);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_ready, __u64 goroutine, __u64 by)
{
	tell(EVENT_GO_READY, goroutine, by, 0, 0, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(go_end, __u64 goroutine)
{
	runs(0);
	tell(EVENT_GO_END, goroutine, 0, 0, 0, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(stack_shrink, __u64 goroutine, __u64 bytes, __u64 stacks)
{
	tell(EVENT_STACK_SHRINK, goroutine, bytes, stacks, 0, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_start, __u64 cycle, char *why, __u64 bytes)
{
	tell(EVENT_GC_START, 0, cycle, bytes, 0, why);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_mark_done, __u64 cycle, __u64 bytes, __u64 help_ns)
{
	tell(EVENT_GC_MARK_DONE, 0, cycle, bytes, help_ns, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_sweep_done, __u64 cycle, __u64 freed, __u64 bytes)
{
	tell(EVENT_GC_SWEEP_DONE, 0, cycle, freed, bytes, NULL);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_stw_begin, __u64 cycle, char *why)
{
	tell(EVENT_GC_STW_BEGIN, 0, cycle, 0, 0, why);
	return 0;
}

SEC("usdt")
int BPF_USDT(gc_stw_end, __u64 cycle, __u64 ns)
{
	tell(EVENT_GC_STW_END, 0, cycle, ns, 0, NULL);
	return 0;
}

/* ---- system calls of goroutines --------------------------------------------------- */

SEC("raw_tp/sys_enter")
int BPF_PROG(sys_enter, struct pt_regs *regs, long call)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);

	if (thread && thread->goroutine) {
		thread->call = call;
		thread->entered_ns = bpf_ktime_get_ns();
	}
	return 0;
}

SEC("raw_tp/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);
	__u64 ns;

	if (!thread || !thread->entered_ns)
		return 0;
	ns = bpf_ktime_get_ns() - thread->entered_ns;
	thread->entered_ns = 0;
	if (ns >= syscall_ns)
		tell(EVENT_SYSCALL, thread->goroutine, thread->call, ns, 0,
		     NULL);
	return 0;
}

/* ---- the module's events ----------------------------------------------------------- */

static __always_inline void tell_module(__u32 kind, struct burrow_arena *arena,
					__u64 goroutine, __u64 a, __u64 b,
					__u64 c)
{
	__u32 pid = arena_pid(arena);
	struct runtime_event *e;

	if (only_pid && pid != only_pid)
		return;
	e = begin(kind, goroutine);
	if (!e)
		return;
	e->pid = pid;
	e->a = a;
	e->b = b;
	e->c = c;
	submit(e);
}

SEC("raw_tp/burrow_stack_grow")
int BPF_PROG(stack_grow, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long old_pages, unsigned long new_pages,
	     unsigned long recycled)
{
	tell_module(EVENT_STACK_GROW, arena, goroutine, PAGE_BYTES(old_pages),
		    PAGE_BYTES(new_pages), PAGE_BYTES(recycled));
	return 0;
}

SEC("raw_tp/burrow_stack_trim")
int BPF_PROG(stack_trim, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long old_pages, unsigned long new_pages)
{
	tell_module(EVENT_STACK_TRIM, arena, goroutine, PAGE_BYTES(old_pages),
		    PAGE_BYTES(new_pages), 0);
	return 0;
}

SEC("raw_tp/burrow_stack_hibernate")
int BPF_PROG(stack_hibernate, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned int live, unsigned long old_pages,
	     unsigned long new_pages)
{
	tell_module(EVENT_STACK_HIBERNATE, arena, goroutine,
		    PAGE_BYTES(old_pages), PAGE_BYTES(new_pages), live);
	return 0;
}

SEC("raw_tp/burrow_stack_restore")
int BPF_PROG(stack_restore, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned int live, unsigned long old_pages,
	     unsigned long new_pages)
{
	tell_module(EVENT_STACK_RESTORE, arena, goroutine,
		    PAGE_BYTES(old_pages), PAGE_BYTES(new_pages), live);
	return 0;
}

SEC("raw_tp/burrow_stack_overflow")
int BPF_PROG(stack_overflow, struct burrow_arena *arena, unsigned long slot,
	     __u64 goroutine, unsigned long address)
{
	__u64 limit = 0;

	if (bpf_core_field_exists(arena->limit))
		limit = PAGE_BYTES(BPF_CORE_READ(arena, limit));
	tell_module(EVENT_STACK_OVERFLOW, arena, goroutine, address, limit, 0);
	return 0;
}

SEC("raw_tp/burrow_heap_dirty")
int BPF_PROG(heap_dirty, struct burrow_arena *arena, __u64 first_page,
	     __u64 pages, __u64 dirty)
{
	tell_module(EVENT_HEAP_DIRTY, arena, 0, PAGE_BYTES(pages),
		    PAGE_BYTES(dirty), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
