// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Conditions.
 *
 * Who waits is in the queue before it unlocks the mutex, and keeps the lock of
 * the condition until nobody runs on its stack: a signal that comes after the
 * unlocking finds it. Locks: the condition's, then the mutex's.
 */
#include "sync.h"

/**
 * struct cond - what a struct burrow_cond is
 * @lock:	over the queue
 * @run:	in which they do
 * @queue:	those who wait
 */
struct cond {
	struct burrow_lock lock;
	uint32_t run;
	struct burrow_waitq queue;
} __attribute__((may_alias));

SYNC_LAYOUT(struct cond, struct burrow_cond);

static void take_lock(struct cond *cond)
{
	burrow_lock_take(&cond->lock);
	if (burrow_unlikely(burrow_run_is_another(&cond->run)))
		cond->queue = (struct burrow_waitq){ 0 };
}

static int wait_on(struct burrow_thread **self, struct burrow_cond *c,
		   struct burrow_mutex *m, int64_t deadline, const char *call)
{
	struct cond *cond = (struct cond *)c;
	struct goroutine *next;
	int ret;

	take_lock(cond);
	if (!burrow_mutex_give(m, &next))
		burrow_misuse(call, "the mutex is not locked");
	if (next)
		burrow_ready(*self, next);
	ret = burrow_wait(self, &cond->lock, &cond->queue, GOROUTINE_COND,
			  deadline);
	burrow_mutex_take(self, m, BURROW_FOREVER);
	return ret;
}

void burrow_cond_wait(struct burrow_cond *c, struct burrow_mutex *m)
{
	struct burrow_thread *self = burrow_enter("burrow_cond_wait");

	wait_on(&self, c, m, BURROW_FOREVER, "burrow_cond_wait");
	burrow_leave(self);
}

int burrow_cond_wait_deadline(struct burrow_cond *c, struct burrow_mutex *m,
			      int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_cond_wait_deadline");
	int ret;

	if (!self)
		return -EPERM;
	ret = wait_on(&self, c, m, deadline, "burrow_cond_wait_deadline");
	burrow_leave(self);
	return ret;
}

void burrow_cond_signal(struct burrow_cond *c)
{
	struct burrow_thread *self = burrow_enter("burrow_cond_signal");
	struct cond *cond = (struct cond *)c;
	struct burrow_waiter *w;

	take_lock(cond);
	w = burrow_waitq_pop(&cond->queue);
	if (w)
		w->result = 0;
	burrow_lock_drop(&cond->lock);
	if (w)
		burrow_ready(self, w->g);
	burrow_leave(self);
}

void burrow_cond_broadcast(struct burrow_cond *c)
{
	struct burrow_thread *self = burrow_enter("burrow_cond_broadcast");
	struct cond *cond = (struct cond *)c;
	struct burrow_woken woken = { 0 };

	take_lock(cond);
	burrow_woken_add_all(&woken, &cond->queue, 0);
	burrow_lock_drop(&cond->lock);
	burrow_woken_ready(self, &woken);
	burrow_leave(self);
}
