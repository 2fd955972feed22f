// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program sets and asks of the collector while it runs. From any
 * thread; under the collector's lock.
 */
#include <errno.h>
#include <limits.h>

#include "../include/burrow.h"
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
				 bytes ? limit : gc->pacer.limit);
		burrow_collector_set_trigger();
	}
	pthread_mutex_unlock(&gc->lock);
	return old;
}

void burrow_gc_read_stats(struct burrow_stats *stats)
{
	struct burrow_heap_counts counts;

	pthread_mutex_lock(&gc->lock);
	if (gc->heap) {
		burrow_heap_count(gc->heap, &counts);
		stats->heap_live = gc->live;
		stats->heap_bytes = counts.in_use + counts.free;
		stats->gc_cycles = gc->done;
		stats->gc_pause_max_ns = gc->pause_max;
		stats->gc_pause_total_ns = gc->pause_total;
		stats->gc_cpu_ns = gc->cpu;
	}
	pthread_mutex_unlock(&gc->lock);
}
