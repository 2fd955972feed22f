// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cycles by who allocates.
 *
 * Where little lives a cycle takes some twenty microseconds, less than it takes to
 * wake the collector's thread, which may have to wait for a CPU besides, while the
 * heap grows. So the goroutine that has brought the heap to its trigger runs it on
 * its own stack. If more lives than was thought, it hands the cycle over to the
 * collector's thread in the middle; so it does where it can't stop the world at
 * once.
 */
#include "../sched/sched.h"
#include "collector.h"
#include "weak.h"

#define EVERY 16 /* one is the thread's, which tidies up after it */

static struct burrow_collector *const gc = &burrow_collector;

/* Under the lock. */
static bool may_try(void)
{
	return gc->ready && !gc->quit && !gc->tidying && gc->tracker &&
	       gc->begun == gc->done && gc->wanted == gc->done &&
	       gc->begun % EVERY;
}

/* Under the lock. */
static struct burrow_gc_waiter *finish(struct burrow_cycle *c,
				       enum burrow_cycle_try how)
{
	struct burrow_gc_waiter *woken = NULL;

	gc->elsewhere = false;
	if (how == CYCLE_ENDED) {
		woken = burrow_collector_end(c);
		/* To start a goroutine is not for who is inside. */
		gc->cleanups = burrow_weak_due();
	} else if (how == CYCLE_BEGUN) {
		gc->cycle = *c;
		gc->handed = true;
	} else {
		gc->begun--;
		/* It may have forgotten what was old. */
		gc->full = gc->full > c->number ? gc->full : c->number;
	}
	if (gc->stands_by || gc->wanted > gc->done || gc->cleanups || gc->quit)
		pthread_cond_signal(&gc->wake);
	return woken;
}

bool burrow_collector_try(struct burrow_thread *self)
{
	struct burrow_gc_waiter *woken;
	enum burrow_cycle_try how;
	struct burrow_cycle c = { .quick = false };

	pthread_mutex_lock(&gc->lock);
	if (may_try())
		burrow_collector_plan(&c);
	if (!c.quick) {
		pthread_mutex_unlock(&gc->lock);
		return false;
	}
	gc->elsewhere = true;
	gc->wanted = gc->begun + 1;
	burrow_collector_begin(&c);
	pthread_mutex_unlock(&gc->lock);
	how = burrow_cycle_try(self, &c, gc->tracker);
	pthread_mutex_lock(&gc->lock);
	woken = finish(&c, how);
	pthread_mutex_unlock(&gc->lock);
	burrow_collector_wake(woken);
	return true;
}
