/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiters that were taken out of a queue under its lock and are made ready, in
 * that order, when the lock has been dropped: what they waited in may lie on the
 * stack of one of them, and be gone as soon as that one runs. They are in no
 * queue meanwhile, so a timeout that comes up lets them be.
 */
#ifndef BURROW_WOKEN_H
#define BURROW_WOKEN_H

#include "../sched/sched.h"

/**
 * struct burrow_woken - list of waiters to make ready
 * @first:	linked by their @next
 * @last:	the last of them
 */
struct burrow_woken {
	struct burrow_waiter *first;
	struct burrow_waiter *last;
};

static inline void burrow_woken_add(struct burrow_woken *woken,
				    struct burrow_waiter *w, int result)
{
	w->result = result;
	w->next = NULL;
	if (woken->first)
		woken->last->next = w;
	else
		woken->first = w;
	woken->last = w;
}

/* Takes all out of a queue, under its lock. */
static inline void burrow_woken_add_all(struct burrow_woken *woken,
					struct burrow_waitq *queue, int result)
{
	struct burrow_waiter *w;

	while ((w = burrow_waitq_take(queue)))
		burrow_woken_add(woken, w, result);
}

/* Without the lock. One alone runs next; several would push each other out. */
static inline void burrow_woken_ready(struct burrow_thread *self,
				      struct burrow_woken *woken)
{
	struct burrow_waiter *w = woken->first, *next;

	if (w && w == woken->last) {
		burrow_ready(self, w->g);
		return;
	}
	for (; w; w = next) {
		next = w->next;
		burrow_ready_last(self, w->g);
	}
}

#endif /* BURROW_WOKEN_H */
