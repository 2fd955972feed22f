/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The collector, to the rest of the runtime and among its own files.
 *
 * A thread of its own drives it (collector.c): it takes requests and runs one
 * cycle after another (cycle.c). It is no thread of the runtime: it holds no
 * processor and runs no goroutine. It is started by the monitor when the first
 * cycle is wanted.
 */
#ifndef BURROW_GC_GC_H
#define BURROW_GC_GC_H

#include "../heap/heap.h"
#include "config.h"
#include "pacer.h"
#include "roots.h"

struct burrow_stats;
struct burrow_thread;

/* What the heap is to call: collector.c. */
extern const struct burrow_heap_hooks burrow_gc_hooks;

/*
 * open: the heap is there. quit: the thread ends; who waits for a cycle waits
 * for ever. close: no goroutine runs any more.
 */
void burrow_gc_open(const struct burrow_gc_config *config,
		    struct burrow_heap *heap);
void burrow_gc_quit(void);
void burrow_gc_close(void);

/* By the monitor: starts the thread that somebody wants. */
void burrow_gc_man(void);

/* Around fork(), and in the child, which has no collector. */
void burrow_gc_fork(void);
void burrow_gc_fork_parent(void);
void burrow_gc_fork_child(void);

/* The collector's part; with runtime.lock. */
void burrow_gc_read_stats(struct burrow_stats *stats);

#define BURROW_CYCLE_ROUNDS 12 /* of cleaning, with a stop each at most */

/**
 * struct burrow_pause - one stop, or several
 * @ns:		how long the world was stopped
 * @cpu:	of the collector's threads in it
 */
struct burrow_pause {
	int64_t ns;
	int64_t cpu;
};

/**
 * struct burrow_cycle - one of them, and what it took
 * @heap:	what is collected
 * @config:	how
 * @number:	of the cycle, the first is 1
 * @young:	what was marked by the last one stays marked
 * @quick:	little is likely to be marked: all of it in the first stop
 * @forced:	somebody waits for it: no regard for others
 * @cpus:	the runtime's processors leave CPUs to us
 * @cleaning:	pages are cleaned: the sooner, the fewer there are next
 * @at:		burrow_now() when it began
 * @allocated:	bytes allocated while it ran
 * @mark_ns:	from the first stop to the last
 * @cpu_ns:	of the collector's threads
 * @stops:	how many it took
 * @first:	of them
 * @last:	of them, if there was more than one
 * @longest:	of all: either figure
 * @paused:	all of them together
 * @dirty:	pages that were scanned again in the last stop
 * @rounds:	of pre-cleaning beside the program
 * @passes:	and in stops, where it writes too fast
 * @before:	bytes of the heap when it began
 * @peak:	when it ended
 * @live:	bytes marked
 * @marked:	of these by this one
 * @by_workers:	bytes marked by others than the collector's thread and assists
 * @goal:	of the pacer when it began
 * @dumps:	who wants a heap dump at its end
 */
struct burrow_cycle {
	struct burrow_heap *heap;
	const struct burrow_gc_config *config;
	uint64_t number;
	bool young;
	bool quick;
	bool forced;
	bool cpus;
	bool cleaning;
	int64_t at;
	uint64_t allocated;
	int64_t mark_ns;
	int64_t cpu_ns;
	uint32_t stops;
	struct burrow_pause first;
	struct burrow_pause last;
	struct burrow_pause longest;
	int64_t paused;
	uint64_t dirty;
	uint32_t rounds;
	uint32_t passes;
	uint64_t before;
	uint64_t peak;
	uint64_t live;
	uint64_t marked;
	uint64_t by_workers;
	uint64_t goal;
	struct burrow_gc_waiter *dumps;
};

/* So many bytes of objects are marked in a quarter of a millisecond or so. */
#define BURROW_CYCLE_QUICK (256UL << 10)

/* cycle.c: on the collector's thread. @tracker: of writes, or NULL. */
struct burrow_tracker;

void burrow_cycle_run(struct burrow_cycle *cycle,
		      const struct burrow_tracker *tracker);

enum burrow_cycle_try {
	CYCLE_REFUSED, /* nothing was done: somebody was in the way */
	CYCLE_BEGUN, /* too much lives: it is to be gone on with */
	CYCLE_ENDED,
};

/* A quick one by a goroutine, inside, where it stands. */
enum burrow_cycle_try burrow_cycle_try(struct burrow_thread *self,
				       struct burrow_cycle *cycle,
				       const struct burrow_tracker *tracker);

/* On the collector's thread: what was begun so. */
void burrow_cycle_go_on(struct burrow_cycle *cycle,
			const struct burrow_tracker *tracker);

/* collector.c: the heap is as large as it should be when the cycle ends. */
bool burrow_gc_is_late(void);

/* tidy.c: all that the last cycle found dead is free. May be said twice. */
void burrow_gc_swept(void);

#endif /* BURROW_GC_GC_H */
