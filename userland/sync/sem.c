// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Semaphores that are strictly first in, first out: what is there goes to the
 * one that has waited longest, or to nobody. One that wants much is not starved
 * by those that want little (as golang.org/x/sync/semaphore).
 */
#include "sync.h"

/**
 * struct sem - what a struct burrow_sem is
 * @lock:	over all of it
 * @run:	in which somebody waited last
 * @count:	what is there
 * @queue:	those who wait; elem of a waiter is how much it wants, which for
 *		the first one is more than @count
 */
struct sem {
	struct burrow_lock lock;
	uint32_t run;
	int64_t count;
	struct burrow_waitq queue;
} __attribute__((may_alias));

SYNC_LAYOUT(struct sem, struct burrow_sem);

void burrow_sem_init(struct burrow_sem *s, int64_t n)
{
	if (n < 0)
		burrow_misuse("burrow_sem_init", "the count is negative");
	*(struct sem *)s = (struct sem){ .count = n };
}

static void take_lock(struct sem *s)
{
	burrow_lock_take(&s->lock);
	if (burrow_unlikely(burrow_run_is_another(&s->run)))
		s->queue = (struct burrow_waitq){ 0 };
}

/* With the lock. */
static void grant(struct sem *s, struct burrow_woken *woken)
{
	struct burrow_waiter *w;

	while ((w = s->queue.first) && (intptr_t)w->elem <= s->count) {
		s->count -= (intptr_t)w->elem;
		burrow_waitq_remove(&s->queue, w);
		burrow_woken_add(woken, w, 0);
	}
}

/* With the lock. True: it was there. */
static bool take_now(struct sem *s, int64_t n)
{
	if (s->queue.first || s->count < n)
		return false;
	s->count -= n;
	return true;
}

static int take(struct burrow_thread **self, struct sem *s, int64_t n,
		int64_t deadline, const char *call)
{
	struct burrow_woken woken = { 0 };
	int ret;

	if (burrow_unlikely(n < 0))
		burrow_misuse(call, "the count is negative");
	take_lock(s);
	if (burrow_likely(take_now(s, n))) {
		burrow_lock_drop(&s->lock);
		return 0;
	}
	(*self)->current->waiter.elem = (void *)(intptr_t)n;
	ret = burrow_wait(self, &s->lock, &s->queue, GOROUTINE_SEM, deadline);
	if (ret != -ETIMEDOUT)
		return ret;
	/* There may be enough for those who stood behind us. */
	take_lock(s);
	grant(s, &woken);
	burrow_lock_drop(&s->lock);
	burrow_woken_ready(*self, &woken);
	return ret;
}

void burrow_sem_acquire(struct burrow_sem *s, int64_t n)
{
	struct burrow_thread *self = burrow_enter("burrow_sem_acquire");

	take(&self, (struct sem *)s, n, BURROW_FOREVER, "burrow_sem_acquire");
	burrow_leave(self);
}

int burrow_sem_acquire_deadline(struct burrow_sem *s, int64_t n,
				int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_sem_acquire_deadline");
	int ret;

	if (!self)
		return -EPERM;
	ret = take(&self, (struct sem *)s, n, deadline,
		   "burrow_sem_acquire_deadline");
	burrow_leave(self);
	return ret;
}

int burrow_sem_tryacquire(struct burrow_sem *sem, int64_t n)
{
	struct burrow_thread *self = burrow_enter_try("burrow_sem_tryacquire");
	struct sem *s = (struct sem *)sem;
	bool taken;

	if (!self)
		return -EPERM;
	if (n < 0)
		burrow_misuse("burrow_sem_tryacquire", "the count is negative");
	take_lock(s);
	taken = take_now(s, n);
	burrow_lock_drop(&s->lock);
	burrow_leave(self);
	return taken ? 0 : -EBUSY;
}

void burrow_sem_release(struct burrow_sem *sem, int64_t n)
{
	struct burrow_thread *self = burrow_enter("burrow_sem_release");
	struct sem *s = (struct sem *)sem;
	struct burrow_woken woken = { 0 };

	if (burrow_unlikely(n < 0))
		burrow_misuse("burrow_sem_release", "the count is negative");
	take_lock(s);
	if (burrow_unlikely(__builtin_add_overflow(s->count, n, &s->count)))
		burrow_misuse("burrow_sem_release", "the count overflows");
	grant(s, &woken);
	burrow_lock_drop(&s->lock);
	burrow_woken_ready(self, &woken);
	burrow_leave(self);
}
