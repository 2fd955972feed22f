// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the collector's thread does between cycles: it sweeps, trims stacks, and
 * gives memory that has been free for a while to the system.
 */
#include <time.h>

#include "../debug/probe.h"
#include "../sched/sched.h"
#include "collector.h"
#include "trim.h"

#define SWEEP_BYTES (1UL << 20) /* between looks for a request */
#define SCAVENGE_NS 100000000L
#define REST_NS 500000000L /* without a cycle */
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

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	return !pthread_cond_timedwait(&gc->wake, &gc->lock, &until);
}

/* False: there is nothing to give back. */
static bool give_back(bool resting, uint64_t *scavenged)
{
	uint64_t bytes = too_much(resting);

	if (!bytes || *scavenged == gc->done)
		return false;
	if (wait_for(SCAVENGE_NS))
		return true;
	/* All that there is has been looked at. */
	if (!scavenge(bytes / SCAVENGE_PART + SWEEP_BYTES))
		*scavenged = gc->done;
	return true;
}

bool burrow_collector_tidy(void)
{
	int64_t pause, rest;
	bool more;

	pthread_mutex_unlock(&gc->lock);
	more = sweep_or_trim(&pause);
	pthread_mutex_lock(&gc->lock);
	/* It does nothing but work in that stop. */
	burrow_collector_paused(pause, pause);
	if (more)
		return true;
	if (gc->release) {
		gc->release = false;
		scavenge(SIZE_MAX);
	}
	if (give_back(false, &gc->scavenged))
		return true;
	rest = gc->ended + REST_NS - burrow_now();
	if (rest <= 0)
		return give_back(true, &gc->rested);
	if (!too_much(true) || gc->rested == gc->done)
		return false;
	wait_for(rest);
	return true;
}
