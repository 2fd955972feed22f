/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the collector's thread share: collector.c (cycles), request.c
 * (who wants one), settings.c (what the program sets and asks), tidy.c (between
 * cycles).
 */
#ifndef BURROW_COLLECTOR_STATE_H
#define BURROW_COLLECTOR_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../sched/lock.h"
#include "gc.h"

struct burrow_tracker;
struct goroutine;

/**
 * struct burrow_gc_waiter - a goroutine that waits for a cycle, on its stack
 * @next:	of the list
 * @g:		who
 * @ticket:	for which
 * @full:	that is to be a full one
 * @fd:		where to write a heap dump to; -1: none is wanted
 * @result:	of that
 * @next_dump:	of those who want one of the same cycle
 */
struct burrow_gc_waiter {
	struct burrow_gc_waiter *next;
	struct goroutine *g;
	uint64_t ticket;
	bool full;
	int fd;
	int result;
	struct burrow_gc_waiter *next_dump;
};

/**
 * struct burrow_collector - all of it
 * @lock:	over what follows, but where it says otherwise
 * @wake:	something is wanted
 * @config:	of this run; percent and limit may change
 * @pacer:	when the next cycle begins
 * @manned:	the thread is there
 * @ready:	and knows how writes are tracked
 * @elsewhere:	a goroutine runs a cycle
 * @handed:	it has begun one that the thread is to go on with: @cycle
 * @cleanups:	some are due, of one that a goroutine ran
 * @tidying:	and looks at spans that none may sweep meanwhile
 * @quit:	it is to end
 * @cpus:	that the process may use
 * @wanted:	number of the last cycle that is wanted
 * @begun:	number of the last that began
 * @full:	cycles up to this number are full
 * @done:	number of the last that is complete
 * @stands_by:	the thread waits until @elsewhere is over
 * @stock:	the heap grows and wants some memory ready
 * @release:	after the next one all free memory goes to the system
 * @waiters:	goroutines
 * @pause_max:	longest stop so far
 * @pause_total: all stops
 * @pause_cpu_max: most CPU time of the collector in one
 * @cpu:	nanoseconds of the thread's CPU time
 * @live:	bytes of heap after the last cycle
 * @marked:	of these by the last cycle
 * @allocated:	heap's count of bytes allocated then; both atomic
 * @external:	bytes that the program says it has outside; atomic
 * @external_low: the least that was since the last cycle
 * @goal:	of the pacer; atomic
 * @trigger:	of the pacer; atomic
 * @cycle:	one that was handed over
 * @refills:	counted under stress; atomic
 * @heap:	what is collected; NULL: no run
 * @dead:	bytes that the last cycle found dead; atomic
 * @rest_at:	burrow_now() when the last cycle was complete, or since it was looked
 *		whether the program rests
 * @rest_from:	bytes that had been allocated then
 * @scavenged:	the last cycle after which nothing more could be given back
 * @rested:	the same, of what is kept for no more than a while
 * @swept:	the last cycle of which all is swept; atomic
 * @tracker:	of writes, or NULL; the thread's
 * @thread:	itself
 */
struct burrow_collector {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct burrow_gc_config config;
	struct burrow_pacer pacer;
	bool manned;
	bool ready;
	bool elsewhere;
	bool handed;
	bool cleanups;
	bool tidying;
	bool quit;
	int cpus;
	uint64_t wanted;
	uint64_t begun;
	uint64_t full;
	uint64_t done;
	bool stands_by;
	bool stock;
	bool release;
	struct burrow_gc_waiter *waiters;
	uint64_t pause_max;
	uint64_t pause_total;
	uint64_t pause_cpu_max;
	uint64_t cpu;
	uint64_t live;
	uint64_t marked;
	uint64_t allocated;
	uint64_t external;
	uint64_t external_low;
	uint64_t goal;
	uint64_t trigger;
	struct burrow_cycle cycle;
	uint32_t refills;
	struct burrow_heap *heap;
	uint64_t dead;
	int64_t rest_at;
	uint64_t rest_from;
	uint64_t scavenged;
	uint64_t rested;
	uint64_t swept;
	const struct burrow_tracker *tracker;
	pthread_t thread;
};

extern struct burrow_collector burrow_collector BURROW_HIDDEN;

/* collector.c: what the pacer counts as heap, now. */
uint64_t burrow_collector_heap(void);

/*
 * request.c, under the lock: a cycle is wanted if none is under way. Who wants a
 * dump of the one of this number, which begins; those who waited for one that is
 * through, no longer on the list.
 */
void burrow_collector_start(void);
struct burrow_gc_waiter *burrow_collector_dumps(uint64_t number);
struct burrow_gc_waiter *burrow_collector_waiters(void);

/* collector.c, under the lock: the thread has something to do that can't wait. */
bool burrow_collector_called(void);

/* collector.c, under the lock: the heap is to tell when it is at the trigger. */
void burrow_collector_set_trigger(void);

/* plan.c, under the lock: how the next cycle is to be. */
void burrow_collector_plan(struct burrow_cycle *cycle);

/*
 * collector.c, under the lock: a cycle begins; it is complete: those who waited for
 * it, who are to be woken without the lock (request.c).
 */
void burrow_collector_begin(struct burrow_cycle *cycle);
struct burrow_gc_waiter *burrow_collector_end(struct burrow_cycle *cycle);
void burrow_collector_wake(struct burrow_gc_waiter *waiters);

/*
 * place.c: a goroutine, inside, whose heap has come to its trigger, runs the cycle
 * itself where that is quicker. False: somebody is to be asked.
 */
bool burrow_collector_try(struct burrow_thread *self);

/*
 * Under the lock: the program was stopped for @ns altogether; the longest of these
 * stops took so long, and so much of the collector's CPU.
 */
void burrow_collector_paused(int64_t ns, const struct burrow_pause *longest);

/*
 * tidy.c, under the lock, which is dropped meanwhile. False: nothing is to be done
 * until somebody asks.
 */
bool burrow_collector_tidy(void);

#endif /* BURROW_COLLECTOR_STATE_H */
