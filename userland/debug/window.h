/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a tool finds the runtime's state in a process that it may read: a table of
 * addresses and of offsets of fields, in a section of its own, which is there in
 * stripped programs too. So a tool understands the library of another release; and
 * who is looked at does nothing for it and is not stopped.
 *
 * What is read is what was there at some moment, each word at another one.
 */
#ifndef BURROW_WINDOW_H
#define BURROW_WINDOW_H

#include <stdint.h>

#define BURROW_WINDOW_SECTION ".burrow.window"
#define BURROW_WINDOW_MAGIC "burrow1"

/* Name, struct, field. Others are added at the end; none goes. */
#define BURROW_WINDOW_FIELDS(FIELD)                           \
	FIELD(RUNTIME_RUNNING, burrow_runtime, running)       \
	FIELD(RUNTIME_CREATED, burrow_runtime, created)       \
	FIELD(RUNTIME_QUEUED, burrow_runtime, queued)         \
	FIELD(RUNTIME_PROCS, burrow_runtime, procs)           \
	FIELD(RUNTIME_NR_PROCS, burrow_runtime, nr_procs)     \
	FIELD(RUNTIME_NR_THREADS, burrow_runtime, nr_threads) \
	FIELD(RUNTIME_STARTED_AT, burrow_runtime, started_at) \
	FIELD(RUNTIME_SLABS, burrow_runtime, slabs)           \
	FIELD(RUNTIME_HEAP, burrow_runtime, heap)             \
	FIELD(PROC_CREATED, burrow_proc, created)             \
	FIELD(PROC_ENDED, burrow_proc, ended)                 \
	FIELD(PROC_NEXT, burrow_proc, next)                   \
	FIELD(PROC_HEAD, burrow_proc, head)                   \
	FIELD(PROC_TAIL, burrow_proc, tail)                   \
	FIELD(PROC_FRESH_HEAD, burrow_proc, fresh.head)       \
	FIELD(PROC_FRESH_TAIL, burrow_proc, fresh.tail)       \
	FIELD(SLAB_NEXT, burrow_slab, next)                   \
	FIELD(SLAB_USED, burrow_slab, used)                   \
	FIELD(SLAB_G, burrow_slab, g[0])                      \
	FIELD(G_ID, goroutine, id)                            \
	FIELD(G_STATE, goroutine, state)                      \
	FIELD(G_REASON, goroutine, reason)                    \
	FIELD(G_PARKED_AT, goroutine, parked_at)              \
	FIELD(G_NAME, goroutine, name)                        \
	FIELD(G_SITE, goroutine, site)                        \
	FIELD(G_ARENA, goroutine, stack.arena)                \
	FIELD(G_SLOT, goroutine, stack.slot)                  \
	FIELD(ARENA_BASE, burrow_stack_arena, base)           \
	FIELD(ARENA_STRIDE, burrow_stack_arena, stride)       \
	FIELD(ARENA_GUARD, burrow_stack_arena, guard)         \
	FIELD(HEAP_IN_USE, burrow_heap, in_use)               \
	FIELD(HEAP_LIVE, burrow_heap, live)                   \
	FIELD(HEAP_FREE_0, burrow_heap, half[0].free_pages)   \
	FIELD(HEAP_FREE_1, burrow_heap, half[1].free_pages)   \
	FIELD(COLLECTOR_BEGUN, burrow_collector, begun)       \
	FIELD(COLLECTOR_DONE, burrow_collector, done)

#define BURROW_FIELD_ENUM(name, of, field) BURROW_FIELD_##name,

enum burrow_field { BURROW_WINDOW_FIELDS(BURROW_FIELD_ENUM) BURROW_FIELDS };

/**
 * struct burrow_window - the table
 * @magic:	BURROW_WINDOW_MAGIC
 * @runs:	how often a runtime was started, 0: there has been none
 * @nr_fields:	length of @fields as the library knows it
 * @runtime:	the struct burrow_runtime
 * @collector:	the struct burrow_collector
 * @heap_shift:	free pages of the heap are so many bytes, as a power of two
 * @fields:	where each is in its struct, and how long
 */
struct burrow_window {
	char magic[8];
	uint32_t runs;
	uint32_t nr_fields;
	const void *runtime;
	const void *collector;
	uint64_t heap_shift;
	struct {
		uint32_t at;
		uint32_t bytes;
	} fields[BURROW_FIELDS];
};

/* With runtime.lock: a runtime starts. */
void burrow_window_run(void);

#endif /* BURROW_WINDOW_H */
