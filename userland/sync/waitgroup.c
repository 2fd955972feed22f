// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waitgroups: a number, and those who wait until it is 0.
 */
#include "sync.h"

/**
 * struct waitgroup - what a struct burrow_waitgroup is
 * @lock:	over all of it
 * @run:	in which somebody waited last
 * @count:	what remains to be done
 * @queue:	those who wait; only while @count is not 0
 */
struct waitgroup {
	struct burrow_lock lock;
	uint32_t run;
	int64_t count;
	struct burrow_waitq queue;
} __attribute__((may_alias));

SYNC_LAYOUT(struct waitgroup, struct burrow_waitgroup);

static void take_lock(struct waitgroup *wg)
{
	burrow_lock_take(&wg->lock);
	if (burrow_unlikely(burrow_run_is_another(&wg->run)))
		wg->queue = (struct burrow_waitq){ 0 };
}

static void add(struct burrow_thread *self, struct waitgroup *wg, int64_t n,
		const char *call)
{
	struct burrow_woken woken = { 0 };

	take_lock(wg);
	if (burrow_unlikely(__builtin_add_overflow(wg->count, n, &wg->count)))
		burrow_misuse(call, "the counter overflows");
	if (burrow_unlikely(wg->count < 0))
		burrow_misuse(call, "the counter is negative");
	if (!wg->count)
		burrow_woken_add_all(&woken, &wg->queue, 0);
	burrow_lock_drop(&wg->lock);
	burrow_woken_ready(self, &woken);
}

void burrow_waitgroup_add(struct burrow_waitgroup *wg, int64_t n)
{
	struct burrow_thread *self = burrow_enter("burrow_waitgroup_add");

	add(self, (struct waitgroup *)wg, n, "burrow_waitgroup_add");
	burrow_leave(self);
}

void burrow_waitgroup_done(struct burrow_waitgroup *wg)
{
	struct burrow_thread *self = burrow_enter("burrow_waitgroup_done");

	add(self, (struct waitgroup *)wg, -1, "burrow_waitgroup_done");
	burrow_leave(self);
}

static int wait_until(struct burrow_thread **self, struct waitgroup *wg,
		      int64_t deadline)
{
	take_lock(wg);
	if (wg->count)
		return burrow_wait(self, &wg->lock, &wg->queue,
				   GOROUTINE_WAITGROUP, deadline);
	burrow_lock_drop(&wg->lock);
	return 0;
}

void burrow_waitgroup_wait(struct burrow_waitgroup *wg)
{
	struct burrow_thread *self = burrow_enter("burrow_waitgroup_wait");

	wait_until(&self, (struct waitgroup *)wg, BURROW_FOREVER);
	burrow_leave(self);
}

int burrow_waitgroup_wait_deadline(struct burrow_waitgroup *wg,
				   int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_waitgroup_wait_deadline");
	int ret;

	if (!self)
		return -EPERM;
	ret = wait_until(&self, (struct waitgroup *)wg, deadline);
	burrow_leave(self);
	return ret;
}
