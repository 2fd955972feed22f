// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The collector's share of the CPUs.
 *
 * Where a processor is idle, or there are more CPUs than processors, or somebody
 * waits for the cycle, or the program allocates faster than we mark, the collector
 * works on. Otherwise it takes a
 * quarter of what the processors have: it sleeps between slices of work. Where
 * there is much to do and nobody to do it for, others work beside it (workers.c).
 */
#define _GNU_SOURCE
#include <time.h>

#include "../sched/sched.h"
#include "assist.h"
#include "work.h"
#include "workers.h"

#define ALONE_BYTES (1UL << 20) /* scanned before others are called */
#define SLICE_BYTES (128UL << 10) /* scanned between looks at the clock */
#define SLICE_NS 500000LL /* worked between sleeps */
#define LOOK_NS 20000 /* between looks at those who help */
#define SHARE 4 /* a part of all processors' time */

/* Nobody is kept from running by our working on. */
static bool may_go_on(const struct burrow_cycle *cycle)
{
	return cycle->forced || cycle->cleaning || cycle->cpus ||
	       burrow_gc_is_late() ||
	       __atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED);
}

/* So long that what was worked is a quarter of what all processors had. */
static void rest(int64_t worked)
{
	int procs = burrow_runtime.nr_procs;
	struct timespec ts = { 0 };
	int64_t ns;

	if (procs >= SHARE)
		return;
	ns = worked * (SHARE - procs) / procs;
	ts.tv_sec = ns / 1000000000;
	ts.tv_nsec = ns % 1000000000;
	nanosleep(&ts, NULL);
}

/* Nothing is shared, but those who help may yet share what they have in hand. */
static bool is_through(const struct burrow_marker *m)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };

	if (!burrow_assist_busy() && burrow_workers_through(m->heap))
		return true;
	if (!burrow_mark_shared(m->heap))
		nanosleep(&look, NULL);
	return false;
}

/* A slice of work; false: there is nothing to do in hand, nor shared. */
static bool drain(struct burrow_marker *m)
{
	if (!burrow_mark_drain(m, SLICE_BYTES))
		return false;
	if (burrow_workers_hungry(m->heap))
		burrow_mark_share_half(m);
	return true;
}

void burrow_work_rest(struct burrow_marker *m, const struct burrow_cycle *cycle,
		      int64_t *from)
{
	int64_t worked;

	if (may_go_on(cycle))
		return;
	worked = burrow_now() - *from;
	if (worked < SLICE_NS)
		return;
	/* Those who allocate may help meanwhile. */
	burrow_mark_share(m);
	rest(worked);
	*from = burrow_now();
}

static void work_beside(struct burrow_marker *m,
			const struct burrow_cycle *cycle)
{
	int64_t from = burrow_now();
	uint64_t told = m->bytes;

	while (drain(m) || !is_through(m)) {
		burrow_assist_marked(m->bytes - told);
		told = m->bytes;
		burrow_work_rest(m, cycle, &from);
	}
}

void burrow_work_beside(struct burrow_marker *m,
			const struct burrow_cycle *cycle)
{
	uint64_t before = m->bytes;
	bool more = burrow_mark_drain(m, ALONE_BYTES);

	burrow_assist_marked(m->bytes - before);
	if (more &&
	    __atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED) > 1)
		burrow_workers_begin(m->heap, true);
	work_beside(m, cycle);
	burrow_workers_end();
}

void burrow_work_stopped(struct burrow_marker *m)
{
	if (!burrow_mark_drain(m, ALONE_BYTES) && !burrow_mark_shared(m->heap))
		return;
	burrow_workers_begin(m->heap, false);
	while (drain(m) || !burrow_workers_through(m->heap))
		;
	burrow_workers_end();
}
