// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program sets and asks of the collector while it runs. From any
 * thread; under the collector's lock.
 */
#include <errno.h>
#include <limits.h>

#include "../include/burrow.h"
#include "../sched/sched.h"
#include "collector.h"

static struct burrow_collector *const gc = &burrow_collector;

int burrow_gc_percent(int percent)
{
	int old = -ESRCH;

	if (percent < -1)
		return -EINVAL;
	pthread_mutex_lock(&gc->lock);
	if (gc->heap) {
		old = gc->pacer.percent;
		burrow_pacer_set(&gc->pacer, percent ? percent : old,
				 gc->pacer.limit);
		burrow_collector_set_trigger();
	}
	pthread_mutex_unlock(&gc->lock);
	return old;
}

int64_t burrow_memory_limit(size_t bytes)
{
	uint64_t limit = bytes == SIZE_MAX ? 0 : bytes;
	int64_t old = -ESRCH;

	pthread_mutex_lock(&gc->lock);
	if (gc->heap) {
		old = gc->pacer.limit && gc->pacer.limit <= INT64_MAX ?
			      (int64_t)gc->pacer.limit :
			      INT64_MAX;
		burrow_pacer_set(&gc->pacer, gc->pacer.percent,
				 bytes ? burrow_heap_limit(gc->heap, limit) :
					 gc->pacer.limit);
		burrow_collector_set_trigger();
		burrow_stack_limit_rest(burrow_runtime.pool, gc->pacer.limit);
	}
	pthread_mutex_unlock(&gc->lock);
	return old;
}

/*
 * Under the lock. What was given back since the last cycle had not been live when
 * it ended: cleanups do that. The goal falls with it, or each cycle would see what
 * the last one left to its cleanups, and wait for twice as much.
 */
static void set_external(uint64_t bytes)
{
	__atomic_store_n(&gc->external, bytes, __ATOMIC_RELAXED);
	if (bytes < gc->external_low) {
		gc->external_low = bytes;
		burrow_pacer_less(&gc->pacer, gc->live + bytes);
	}
	burrow_collector_set_trigger();
	if (!gc->config.stress && burrow_collector_heap() >= gc->pacer.trigger)
		burrow_collector_start();
}

int64_t burrow_external_memory(int64_t bytes)
{
	int64_t now = -ESRCH;

	pthread_mutex_lock(&gc->lock);
	if (gc->heap) {
		if (__builtin_add_overflow((int64_t)gc->external, bytes,
					   &now) ||
		    now < 0)
			now = -EINVAL;
		else
			set_external(now);
	}
	pthread_mutex_unlock(&gc->lock);
	return now;
}

void burrow_gc_read_stats(struct burrow_stats *stats)
{
	struct burrow_heap_counts counts;

	pthread_mutex_lock(&gc->lock);
	if (gc->heap) {
		burrow_heap_count(gc->heap, &counts);
		stats->heap_live = gc->live;
		stats->heap_bytes = counts.in_use + counts.kept + counts.free -
				    counts.holes;
		stats->heap_external = gc->external;
		stats->gc_cycles = gc->done;
		stats->gc_pause_max_ns = gc->pause_max;
		stats->gc_pause_total_ns = gc->pause_total;
		stats->gc_pause_cpu_max_ns = gc->pause_cpu_max;
		stats->gc_cpu_ns = gc->cpu;
	}
	pthread_mutex_unlock(&gc->lock);
}
