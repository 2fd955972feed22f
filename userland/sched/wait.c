// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waiting in a queue, with or without a deadline, as wait.h describes it.
 *
 * Three may end a wait: a waker, who takes the waiter out of its queue; the
 * timeout, which does the same under the same lock; nobody else. Whoever of
 * them takes it out makes the goroutine ready. It comes back, takes the timeout
 * back, and so waits for one that fires at this moment: after that nobody looks
 * at the waiter or at the lock any more, and what they lie in may go.
 */
#include <errno.h>
#include <stddef.h>

#include "sched.h"

static void expire(struct burrow_thread *self, struct burrow_timeout *timeout)
{
	struct goroutine *g =
		(struct goroutine *)((char *)timeout -
				     offsetof(struct goroutine, timeout));
	struct burrow_waiter *w = &g->waiter;
	struct burrow_lock *lock = w->lock;
	bool waits;

	burrow_lock_take(lock);
	waits = w->queue;
	if (waits) {
		burrow_waitq_remove(w->queue, w);
		w->result = -ETIMEDOUT;
	}
	burrow_lock_drop(lock);
	if (waits)
		burrow_ready_last(self, g);
}

int burrow_wait_queued(struct burrow_thread **self, struct burrow_lock *lock,
		       enum goroutine_reason why, int64_t deadline)
{
	struct goroutine *g = (*self)->current;
	struct burrow_waiter *w = &g->waiter;

	w->g = g;
	w->lock = lock;
	w->result = 0;
	w->select = false;
	if (deadline != BURROW_FOREVER) {
		g->timeout.fire = expire;
		if (burrow_timeout_set(*self, &g->timeout, deadline)) {
			burrow_waitq_remove(w->queue, w);
			burrow_lock_drop(lock);
			return -ENOMEM;
		}
	}
	*self = burrow_park(*self, why, lock);
	if (deadline != BURROW_FOREVER)
		burrow_timeout_cancel(&g->timeout);
	return w->result;
}

int burrow_wait(struct burrow_thread **self, struct burrow_lock *lock,
		struct burrow_waitq *queue, enum goroutine_reason why,
		int64_t deadline)
{
	burrow_waitq_push(queue, &(*self)->current->waiter);
	return burrow_wait_queued(self, lock, why, deadline);
}

void burrow_wake(struct burrow_thread *self, struct burrow_waiter *w,
		 int result)
{
	burrow_waitq_remove(w->queue, w);
	w->result = result;
	burrow_ready(self, w->g);
}
