/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues of goroutines that wait for something.
 *
 * A waiter lies in its goroutine's descriptor (select takes more of them from
 * the processor), never on a stack: whoever works on a queue touches no stack
 * but that of the goroutine it wakes. A queue is under the lock of the object
 * that it belongs to; a goroutine parks with that lock held, and it is dropped
 * when nobody runs on its stack any more. Who finds a waiter in a queue under
 * the lock may wake it, and takes it out first.
 */
#ifndef BURROW_WAIT_H
#define BURROW_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

struct goroutine;
struct burrow_thread;
struct burrow_waitq;

/**
 * struct burrow_waiter - one goroutine in one queue
 * @next:	behind it
 * @prev:	before it
 * @queue:	that it is in, NULL: in none; all three under the queue's lock
 * @lock:	that lock
 * @g:		who waits
 * @elem:	what is handed over, for whoever wakes it
 * @index:	free for the owner of the queue (select: which case)
 * @result:	set by whoever wakes it
 * @select:	one of several: it must be claimed with burrow_waiter_claim()
 */
struct burrow_waiter {
	struct burrow_waiter *next;
	struct burrow_waiter *prev;
	struct burrow_waitq *queue;
	struct burrow_lock *lock;
	struct goroutine *g;
	void *elem;
	uint32_t index;
	int16_t result;
	bool select;
};

/**
 * struct burrow_waitq - first in, first out
 *
 * Zero is an empty one.
 */
struct burrow_waitq {
	struct burrow_waiter *first;
	struct burrow_waiter *last;
};

static inline void burrow_waitq_push(struct burrow_waitq *q,
				     struct burrow_waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	w->queue = q;
	if (q->last)
		q->last->next = w;
	else
		q->first = w;
	q->last = w;
}

static inline void burrow_waitq_push_front(struct burrow_waitq *q,
					   struct burrow_waiter *w)
{
	w->prev = NULL;
	w->next = q->first;
	w->queue = q;
	if (q->first)
		q->first->prev = w;
	else
		q->last = w;
	q->first = w;
}

static inline void burrow_waitq_remove(struct burrow_waitq *q,
				       struct burrow_waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->queue = NULL;
}

static inline struct burrow_waiter *burrow_waitq_pop(struct burrow_waitq *q)
{
	struct burrow_waiter *w = q->first;

	if (w)
		burrow_waitq_remove(q, w);
	return w;
}

#endif /* BURROW_WAIT_H */
