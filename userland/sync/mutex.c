// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mutexes, in two modes as Go's (sync/mutex.go, since Go 1.9).
 *
 * In the normal mode an unlocked mutex belongs to whoever comes first. The one
 * that waited longest is woken to compete, one at a time; if a newcomer was
 * faster it goes back to the front of the queue. So a goroutine that locks and
 * unlocks without parking goes on doing so, which is far cheaper than a switch
 * for every turn. When one has competed for more than a millisecond in vain the
 * mutex becomes starving: it is handed over from one to the next in order, and
 * newcomers queue up. Whoever gets it having waited less than that, or as the
 * last, ends this mode.
 *
 * Who finds it taken looks at it for some more time before it parks if its
 * holder may be running on another processor.
 */
#include "../arch/arch.h"
#include "../sched/runq.h"
#include "sync.h"

#define STARVING_NS 1000000
#define SPINS 4
#define PAUSES 30 /* in a spin, as in Go */

/* What a waiter is told. */
#define COMPETE 0 /* the mutex is free, or was */
#define OWNED 1 /* it is yours */

/**
 * struct mutex - what a struct burrow_mutex is
 * @lock:	over all of it
 * @held:	somebody has it; a hint without the lock
 * @woken:	somebody was woken to compete and has not come yet
 * @starving:	it is handed over
 * @run:	in which somebody waited last
 * @queue:	those who wait; elem of a waiter is the time when it began
 */
struct mutex {
	struct burrow_lock lock;
	bool held;
	bool woken;
	bool starving;
	uint32_t run;
	struct burrow_waitq queue;
} __attribute__((may_alias));

SYNC_LAYOUT(struct mutex, struct burrow_mutex);

/* Whether who holds it may be running, and we have nothing better to do. */
static bool may_spin(struct burrow_thread *self)
{
	uint32_t idle =
		__atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED);

	return !burrow_solo && (int)idle + 1 < burrow_runtime.nr_procs &&
	       burrow_runq_empty(self->proc);
}

/* With the lock, before the queue is looked at: see sync.h. */
static void forget_old(struct mutex *mu)
{
	if (!burrow_run_is_another(&mu->run))
		return;
	mu->queue = (struct burrow_waitq){ 0 };
	mu->woken = false;
	mu->starving = false;
}

/* With the lock, which is dropped meanwhile. */
static void spin(struct burrow_thread *self, struct mutex *mu)
{
	int i, pause;

	for (i = 0; i < SPINS && mu->held && !mu->starving; i++) {
		if (!may_spin(self))
			return;
		burrow_lock_drop(&mu->lock);
		for (pause = 0; pause < PAUSES; pause++)
			burrow_arch_relax();
		burrow_lock_take(&mu->lock);
	}
}

/* With the lock, which is dropped. */
static int take_slow(struct burrow_thread **self, struct mutex *mu,
		     int64_t deadline)
{
	struct burrow_waiter *w = &(*self)->current->waiter;
	int64_t since = 0, now;
	int ret;

	forget_old(mu);
	spin(*self, mu);
	while (mu->held) {
		now = burrow_now();
		if (!since) {
			since = now;
			burrow_waitq_push(&mu->queue, w);
		} else {
			mu->starving |= now - since > STARVING_NS;
			burrow_waitq_push_front(&mu->queue, w);
		}
		w->elem = (void *)(intptr_t)since;
		ret = burrow_wait_queued(self, &mu->lock, GOROUTINE_MUTEX,
					 deadline);
		if (ret == OWNED)
			return 0;
		if (ret < 0)
			return ret;
		burrow_lock_take(&mu->lock);
		mu->woken = false;
	}
	mu->held = true;
	burrow_lock_drop(&mu->lock);
	return 0;
}

/* False: somebody has it, and the lock is kept. */
static inline bool take_now(struct mutex *mu)
{
	burrow_lock_take(&mu->lock);
	if (burrow_unlikely(mu->held))
		return false;
	mu->held = true;
	burrow_lock_drop(&mu->lock);
	return true;
}

int burrow_mutex_take(struct burrow_thread **self, struct burrow_mutex *m,
		      int64_t deadline)
{
	struct mutex *mu = (struct mutex *)m;

	return take_now(mu) ? 0 : take_slow(self, mu, deadline);
}

/* With the lock, which is dropped. Leaves the runtime. */
static __attribute__((noinline)) int
take_wait(struct burrow_thread *self, struct mutex *mu, int64_t deadline)
{
	int ret = take_slow(&self, mu, deadline);

	burrow_leave(self);
	return ret;
}

/* With the lock. Somebody waits, or did so in another run. */
static struct goroutine *give_next(struct mutex *mu)
{
	struct burrow_waiter *w;

	forget_old(mu);
	if (!mu->starving) {
		mu->held = false;
		if (mu->woken || !mu->queue.first)
			return NULL;
		mu->woken = true;
		w = burrow_waitq_pop(&mu->queue);
		w->result = COMPETE;
		return w->g;
	}
	w = burrow_waitq_pop(&mu->queue);
	w->result = OWNED;
	if (!mu->queue.first || burrow_now() - (intptr_t)w->elem < STARVING_NS)
		mu->starving = false;
	return w->g;
}

/*
 * With the lock. False: somebody waits, or it is not locked; nothing was done.
 * A mutex whose waiters have all timed out may stay starving; it does no harm.
 */
static inline bool give_now(struct mutex *mu)
{
	if (burrow_unlikely(!mu->held || mu->queue.first))
		return false;
	mu->held = false;
	burrow_lock_drop(&mu->lock);
	return true;
}

bool burrow_mutex_give(struct burrow_mutex *m, struct goroutine **next)
{
	struct mutex *mu = (struct mutex *)m;
	bool held;

	*next = NULL;
	burrow_lock_take(&mu->lock);
	if (give_now(mu))
		return true;
	held = mu->held;
	if (held)
		*next = give_next(mu);
	burrow_lock_drop(&mu->lock);
	return held;
}

/* With the lock, which is dropped. Leaves the runtime. */
static __attribute__((noinline)) void give_slow(struct burrow_thread *self,
						struct mutex *mu)
{
	struct goroutine *next;

	if (!mu->held)
		burrow_misuse("burrow_mutex_unlock", "it is not locked");
	next = give_next(mu);
	burrow_lock_drop(&mu->lock);
	if (next)
		burrow_ready(self, next);
	burrow_leave(self);
}

static __attribute__((noinline)) void lock_slow(struct mutex *mu)
{
	struct burrow_thread *self = burrow_enter("burrow_mutex_lock");

	if (!take_now(mu))
		take_wait(self, mu, BURROW_FOREVER);
	else
		burrow_leave(self);
}

static __attribute__((noinline)) void unlock_slow(struct mutex *mu)
{
	struct burrow_thread *self = burrow_enter("burrow_mutex_unlock");

	burrow_lock_take(&mu->lock);
	if (!give_now(mu))
		give_slow(self, mu);
	else
		burrow_leave(self);
}

void burrow_mutex_lock(struct burrow_mutex *m)
{
	struct burrow_thread *self = burrow_enter_quick();
	struct mutex *mu = (struct mutex *)m;

	if (burrow_unlikely(!self || !burrow_lock_try(&mu->lock))) {
		lock_slow(mu);
	} else if (burrow_unlikely(mu->held)) {
		take_wait(self, mu, BURROW_FOREVER);
	} else {
		mu->held = true;
		burrow_lock_drop(&mu->lock);
		burrow_leave(self);
	}
}

void burrow_mutex_unlock(struct burrow_mutex *m)
{
	struct burrow_thread *self = burrow_enter_quick();
	struct mutex *mu = (struct mutex *)m;

	if (burrow_unlikely(!self || !burrow_lock_try(&mu->lock)))
		unlock_slow(mu);
	else if (burrow_unlikely(!give_now(mu)))
		give_slow(self, mu);
	else
		burrow_leave(self);
}

int burrow_mutex_lock_deadline(struct burrow_mutex *m, int64_t deadline)
{
	struct burrow_thread *self =
		burrow_enter_try("burrow_mutex_lock_deadline");
	struct mutex *mu = (struct mutex *)m;

	if (!self)
		return -EPERM;
	if (burrow_unlikely(!take_now(mu)))
		return take_wait(self, mu, deadline);
	burrow_leave(self);
	return 0;
}

int burrow_mutex_trylock(struct burrow_mutex *m)
{
	struct burrow_thread *self = burrow_enter_try("burrow_mutex_trylock");
	struct mutex *mu = (struct mutex *)m;
	bool held;

	if (!self)
		return -EPERM;
	burrow_lock_take(&mu->lock);
	held = mu->held;
	mu->held = true;
	burrow_lock_drop(&mu->lock);
	burrow_leave(self);
	return held ? -EBUSY : 0;
}
