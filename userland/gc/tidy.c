// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the collector's thread does between cycles: it sweeps, trims stacks, has memory
 * ready for a heap that grows, and gives what has been free for a while to the system.
 */
#include <time.h>

#include "../debug/probe.h"
#include "../sched/sched.h"
#include "collector.h"
#include "trim.h"

#define SWEEP_BYTES (1UL << 20) /* between looks for a request */
#define SCAVENGE_NS 100000000L
#define MS 1000000L
#define REST_NS 500000000L /* without a cycle */
/* What will be needed within that is kept: touched anew it would cost some 2 % of it. */
#define SOON_NS 16000000000L
#define SCAVENGE_PART 4 /* of what is too much, each time */
#define KEEP_PART 10 /* of the goal that is kept free beyond it */

static struct burrow_collector *const gc = &burrow_collector;

/*
 * How much memory the heap has beyond what it will grow to; resting: beyond what
 * lives, of a program that may not need more for long.
 */
static uint64_t too_much(bool resting)
{
	struct burrow_heap_counts counts;
	uint64_t goal = gc->pacer.goal, have;

	burrow_heap_count(gc->heap, &counts);
	if (goal == UINT64_MAX)
		goal = gc->live * 2;
	if (resting && gc->live < goal)
		goal = gc->live > BURROW_PACER_MINIMUM ? gc->live :
							 BURROW_PACER_MINIMUM;
	goal += goal / KEEP_PART;
	have = counts.in_use + counts.free - counts.holes;
	return have > goal ? have - goal : 0;
}

/*
 * Under the lock, which is dropped meanwhile. No goroutine begins a cycle then: what
 * is looked at would not be swept. False: there was nothing.
 */
static bool scavenge(uint64_t bytes)
{
	uint64_t done;

	gc->tidying = true;
	pthread_mutex_unlock(&gc->lock);
	done = burrow_heap_scavenge(gc->heap, bytes);
	if (done < bytes)
		done += burrow_heap_scavenge_holes(gc->heap, bytes - done);
	pthread_mutex_lock(&gc->lock);
	gc->tidying = false;
	return done;
}

void burrow_gc_swept(void)
{
	uint64_t done = __atomic_load_n(&gc->done, __ATOMIC_RELAXED);
	struct burrow_heap_counts counts;

	/* By the thread, and by a goroutine that begins the next cycle. */
	if (__atomic_exchange_n(&gc->swept, done, __ATOMIC_RELAXED) == done)
		return;
	burrow_heap_count(gc->heap, &counts);
	BURROW_PROBE(gc_sweep_done, done,
		     __atomic_load_n(&gc->dead, __ATOMIC_RELAXED),
		     counts.in_use);
}

/* Without the lock. False: that is all. */
static bool sweep_or_trim(int64_t *pause)
{
	*pause = 0;
	if (burrow_heap_sweep_some(gc->heap, SWEEP_BYTES))
		return true;
	burrow_gc_swept();
	return burrow_trim_some(pause);
}

/* Under the lock, which is dropped meanwhile. True: somebody asked. */
static bool wait_for(int64_t ns)
{
	struct timespec until;

	/* While the lock was dropped. */
	if (burrow_collector_called())
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	return !pthread_cond_timedwait(&gc->wake, &gc->lock, &until);
}

/* False: nothing came of it. */
static bool give_back(uint64_t bytes)
{
	if (wait_for(SCAVENGE_NS) || gc->elsewhere)
		return true;
	return scavenge(bytes / SCAVENGE_PART + SWEEP_BYTES);
}

/* What it takes is so little that @bytes will last for long. Begins to look anew. */
static bool rests(uint64_t bytes)
{
	struct burrow_heap_counts counts;
	int64_t now = burrow_now(), ns = now - gc->rest_at;
	uint64_t taken;

	burrow_heap_count(gc->heap, &counts);
	taken = counts.allocated - gc->rest_from;
	gc->rest_from = counts.allocated;
	gc->rest_at = now;
	return taken * (SOON_NS / MS) / (ns / MS) < bytes;
}

/*
 * What the heap will not grow to; then, if the program rests, what it would. False:
 * there is nothing to give back.
 */
static bool give_back_some(void)
{
	uint64_t bytes = too_much(false);
	int64_t wait;

	if (bytes && gc->scavenged != gc->done) {
		/* All that there is has been looked at. */
		if (!give_back(bytes))
			gc->scavenged = gc->done;
		return true;
	}
	bytes = too_much(true);
	if (!bytes || gc->rested == gc->done)
		return false;
	wait = gc->rest_at + REST_NS - burrow_now();
	if (wait > 0)
		wait_for(wait);
	else if (rests(bytes) && !scavenge(bytes / 2 + SWEEP_BYTES))
		gc->rested = gc->done;
	return true;
}

/*
 * Under the lock, which is dropped meanwhile: one block, if the heap will grow beyond
 * what it has, before it is collected.
 */
static void stock(void)
{
	struct burrow_heap_counts counts;
	bool may, more;

	burrow_heap_count(gc->heap, &counts);
	may = counts.in_use + counts.free + BURROW_HEAP_BLOCK <= gc->pacer.goal;
	gc->stock = false;
	gc->tidying = true;
	pthread_mutex_unlock(&gc->lock);
	more = burrow_heap_stock(gc->heap, may);
	pthread_mutex_lock(&gc->lock);
	gc->tidying = false;
	gc->stock |= more;
}

bool burrow_collector_tidy(void)
{
	int64_t pause;
	bool more;

	if (gc->stock) {
		stock();
		return true;
	}

	pthread_mutex_unlock(&gc->lock);
	more = sweep_or_trim(&pause);
	pthread_mutex_lock(&gc->lock);
	/* It does nothing but work in that stop. */
	burrow_collector_paused(pause, &(struct burrow_pause){ pause, pause });
	if (more || gc->elsewhere)
		return true;
	if (gc->release) {
		gc->release = false;
		scavenge(SIZE_MAX);
	}
	return give_back_some();
}
