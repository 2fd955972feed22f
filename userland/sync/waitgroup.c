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

static inline void forget_old(struct waitgroup *wg)
{
	if (burrow_unlikely(burrow_run_is_another(&wg->run)))
		wg->queue = (struct burrow_waitq){ 0 };
}

/* Under the lock: a number that is refused is no more. */
static inline void count(struct waitgroup *wg, int64_t n, const char *call)
{
	if (burrow_unlikely(__builtin_add_overflow(wg->count, n, &wg->count)))
		burrow_misuse(call, "the counter overflows");
	if (burrow_unlikely(wg->count < 0))
		burrow_misuse(call, "the counter is negative");
}

/* Under the lock, which is dropped: the count is 0. Leaves the runtime. */
static __attribute__((noinline)) void release(struct burrow_thread *self,
					      struct waitgroup *wg)
{
	struct burrow_woken woken = { 0 };

	forget_old(wg);
	burrow_woken_add_all(&woken, &wg->queue, 0);
	burrow_lock_drop(&wg->lock);
	burrow_woken_ready(self, &woken);
	burrow_leave(self);
}

/* Under the lock. Leaves the runtime. */
static inline void settle(struct burrow_thread *self, struct waitgroup *wg)
{
	if (!wg->count && wg->queue.first) {
		release(self, wg);
		return;
	}
	burrow_lock_drop(&wg->lock);
	burrow_leave(self);
}

static __attribute__((noinline)) void add_slow(struct waitgroup *wg, int64_t n,
					       const char *call)
{
	struct burrow_thread *self = burrow_enter(call);

	burrow_lock_take(&wg->lock);
	count(wg, n, call);
	settle(self, wg);
}

static inline void add(struct waitgroup *wg, int64_t n, const char *call)
{
	struct burrow_thread *self = burrow_enter_quick();

	if (burrow_unlikely(!self || !burrow_lock_try(&wg->lock))) {
		add_slow(wg, n, call);
		return;
	}
	count(wg, n, call);
	settle(self, wg);
}

void burrow_waitgroup_add(struct burrow_waitgroup *wg, int64_t n)
{
	add((struct waitgroup *)wg, n, "burrow_waitgroup_add");
}

void burrow_waitgroup_done(struct burrow_waitgroup *wg)
{
	add((struct waitgroup *)wg, -1, "burrow_waitgroup_done");
}

static int wait_until(struct burrow_thread **self, struct waitgroup *wg,
		      int64_t deadline)
{
	burrow_lock_take(&wg->lock);
	forget_old(wg);
	if (wg->count)
		return burrow_wait(self, &wg->lock, &wg->queue,
				   GOROUTINE_WAITGROUP, deadline);
	burrow_lock_drop(&wg->lock);
	return 0;
}

static __attribute__((noinline)) void wait_slow(struct waitgroup *wg)
{
	struct burrow_thread *self = burrow_enter("burrow_waitgroup_wait");

	wait_until(&self, wg, BURROW_FOREVER);
	burrow_leave(self);
}

void burrow_waitgroup_wait(struct burrow_waitgroup *wg)
{
	struct burrow_thread *self = burrow_enter_quick();
	struct waitgroup *w = (struct waitgroup *)wg;

	if (burrow_unlikely(!self || !burrow_lock_try(&w->lock))) {
		wait_slow(w);
		return;
	}
	forget_old(w);
	if (w->count)
		self = burrow_wait_in(self, &w->lock, &w->queue,
				      GOROUTINE_WAITGROUP);
	else
		burrow_lock_drop(&w->lock);
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
