// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mutexes for many readers or one writer.
 *
 * It is handed over: who leaves decides who is next, and marks it as theirs
 * before they run. While a writer waits new readers queue up behind it; when a
 * writer leaves, all readers that wait by then go first. So nobody waits for
 * more than those who came before him, one writer and one batch of readers.
 *
 * Rejected: readers counted by processor. Entering would be cheaper where many
 * processors read at once, but a writer would have to look at all of them, and
 * the object could not lie anywhere in 56 bytes.
 */
#include "sync.h"

/**
 * struct rwmutex - what a struct burrow_rwmutex is
 * @lock:	over all of it
 * @writing:	a writer has it
 * @run:	in which somebody waited last
 * @reading:	so many readers have it
 * @readers:	those who wait: while a writer has it or waits
 * @writers:	those who wait: while anybody has it
 */
struct rwmutex {
	struct burrow_lock lock;
	bool writing;
	uint32_t run;
	int64_t reading;
	struct burrow_waitq readers;
	struct burrow_waitq writers;
} __attribute__((may_alias));

SYNC_LAYOUT(struct rwmutex, struct burrow_rwmutex);

static void take_lock(struct rwmutex *rw)
{
	burrow_lock_take(&rw->lock);
	if (burrow_unlikely(burrow_run_is_another(&rw->run))) {
		rw->readers = (struct burrow_waitq){ 0 };
		rw->writers = (struct burrow_waitq){ 0 };
	}
}

/* With the lock. */
static void admit_readers(struct rwmutex *rw, struct burrow_woken *woken)
{
	struct burrow_waiter *w;

	while ((w = burrow_waitq_pop(&rw->readers))) {
		rw->reading++;
		burrow_woken_add(woken, w, 0);
	}
}

/* With the lock. Nobody has it. */
static void admit_writer(struct rwmutex *rw, struct burrow_woken *woken)
{
	struct burrow_waiter *w = burrow_waitq_pop(&rw->writers);

	if (w) {
		rw->writing = true;
		burrow_woken_add(woken, w, 0);
	}
}

static bool readers_may(const struct rwmutex *rw)
{
	return !rw->writing && !rw->writers.first;
}

static bool writer_may(const struct rwmutex *rw)
{
	return !rw->writing && !rw->reading;
}

static int take_shared(struct burrow_thread **self, struct rwmutex *rw,
		       int64_t deadline)
{
	take_lock(rw);
	if (burrow_unlikely(!readers_may(rw)))
		return burrow_wait(self, &rw->lock, &rw->readers,
				   GOROUTINE_RWMUTEX_READ, deadline);
	rw->reading++;
	burrow_lock_drop(&rw->lock);
	return 0;
}

/* A writer has given up: it may have been all that readers waited for. */
static void give_up(struct burrow_thread *self, struct rwmutex *rw)
{
	struct burrow_woken woken = { 0 };

	take_lock(rw);
	if (readers_may(rw))
		admit_readers(rw, &woken);
	burrow_lock_drop(&rw->lock);
	burrow_woken_ready(self, &woken);
}

static int take(struct burrow_thread **self, struct rwmutex *rw,
		int64_t deadline)
{
	int ret;

	take_lock(rw);
	if (burrow_likely(writer_may(rw))) {
		rw->writing = true;
		burrow_lock_drop(&rw->lock);
		return 0;
	}
	ret = burrow_wait(self, &rw->lock, &rw->writers,
			  GOROUTINE_RWMUTEX_WRITE, deadline);
	if (ret == -ETIMEDOUT)
		give_up(*self, rw);
	return ret;
}

void burrow_rwmutex_rlock(struct burrow_rwmutex *rw)
{
	struct burrow_thread *self = burrow_enter("burrow_rwmutex_rlock");

	take_shared(&self, (struct rwmutex *)rw, BURROW_FOREVER);
	burrow_leave(self);
}

int burrow_rwmutex_rlock_deadline(struct burrow_rwmutex *rw, int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_rwmutex_rlock_deadline");
	int ret;

	if (!self)
		return -EPERM;
	ret = take_shared(&self, (struct rwmutex *)rw, deadline);
	burrow_leave(self);
	return ret;
}

int burrow_rwmutex_tryrlock(struct burrow_rwmutex *m)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_rwmutex_tryrlock");
	struct rwmutex *rw = (struct rwmutex *)m;
	bool may;

	if (!self)
		return -EPERM;
	take_lock(rw);
	may = readers_may(rw);
	rw->reading += may;
	burrow_lock_drop(&rw->lock);
	burrow_leave(self);
	return may ? 0 : -EBUSY;
}

void burrow_rwmutex_runlock(struct burrow_rwmutex *m)
{
	struct burrow_thread *self = burrow_enter("burrow_rwmutex_runlock");
	struct rwmutex *rw = (struct rwmutex *)m;
	struct burrow_woken woken = { 0 };

	take_lock(rw);
	if (burrow_unlikely(!rw->reading))
		burrow_misuse("burrow_rwmutex_runlock", "no reader has it");
	if (!--rw->reading)
		admit_writer(rw, &woken);
	burrow_lock_drop(&rw->lock);
	burrow_woken_ready(self, &woken);
	burrow_leave(self);
}

void burrow_rwmutex_lock(struct burrow_rwmutex *rw)
{
	struct burrow_thread *self = burrow_enter("burrow_rwmutex_lock");

	take(&self, (struct rwmutex *)rw, BURROW_FOREVER);
	burrow_leave(self);
}

int burrow_rwmutex_lock_deadline(struct burrow_rwmutex *rw, int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_rwmutex_lock_deadline");
	int ret;

	if (!self)
		return -EPERM;
	ret = take(&self, (struct rwmutex *)rw, deadline);
	burrow_leave(self);
	return ret;
}

int burrow_rwmutex_trylock(struct burrow_rwmutex *m)
{
	struct burrow_thread *self = burrow_enter_try("burrow_rwmutex_trylock");
	struct rwmutex *rw = (struct rwmutex *)m;
	bool may;

	if (!self)
		return -EPERM;
	take_lock(rw);
	may = writer_may(rw);
	rw->writing |= may;
	burrow_lock_drop(&rw->lock);
	burrow_leave(self);
	return may ? 0 : -EBUSY;
}

void burrow_rwmutex_unlock(struct burrow_rwmutex *m)
{
	struct burrow_thread *self = burrow_enter("burrow_rwmutex_unlock");
	struct rwmutex *rw = (struct rwmutex *)m;
	struct burrow_woken woken = { 0 };

	take_lock(rw);
	if (burrow_unlikely(!rw->writing))
		burrow_misuse("burrow_rwmutex_unlock", "no writer has it");
	rw->writing = false;
	if (rw->readers.first)
		admit_readers(rw, &woken);
	else
		admit_writer(rw, &woken);
	burrow_lock_drop(&rw->lock);
	burrow_woken_ready(self, &woken);
	burrow_leave(self);
}
