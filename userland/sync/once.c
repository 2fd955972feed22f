// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Once: the first caller runs the function, others wait until it has.
 *
 * Asked again it reads two words and writes none. Both must be read: who ran the
 * function says so under the lock and then drops that, and until then the object
 * must not go.
 */
#include "sync.h"

enum once_state {
	ONCE_NEW,
	ONCE_RUNNING,
	ONCE_DONE,
};

/**
 * struct once - what a struct burrow_once is
 * @lock:	over all of it
 * @state:	enum once_state; read without the lock too
 * @run:	in which it was first called
 * @runner:	who runs the function
 * @queue:	those who wait
 */
struct once {
	struct burrow_lock lock;
	uint32_t state;
	uint32_t run;
	struct goroutine *runner;
	struct burrow_waitq queue;
} __attribute__((may_alias));

SYNC_LAYOUT(struct once, struct burrow_once);

static bool is_done(const struct once *o)
{
	/* Pairs with the release in finish(); then with burrow_lock_drop(). */
	return __atomic_load_n(&o->state, __ATOMIC_ACQUIRE) == ONCE_DONE &&
	       !__atomic_load_n(&o->lock.held, __ATOMIC_ACQUIRE);
}

static void finish(struct burrow_thread *self, struct once *o)
{
	struct burrow_woken woken = { 0 };

	burrow_lock_take(&o->lock);
	__atomic_store_n(&o->state, ONCE_DONE, __ATOMIC_RELEASE);
	burrow_woken_add_all(&woken, &o->queue, 0);
	burrow_lock_drop(&o->lock);
	burrow_woken_ready(self, &woken);
}

/* True: it is for us to run the function. */
static bool begin(struct burrow_thread **self, struct once *o)
{
	burrow_lock_take(&o->lock);
	if (o->state == ONCE_NEW) {
		WRITE_ONCE(o->state, ONCE_RUNNING);
		o->run = burrow_runtime.run;
		o->runner = (*self)->current;
		burrow_lock_drop(&o->lock);
		return true;
	}
	if (o->state == ONCE_DONE) {
		burrow_lock_drop(&o->lock);
		return false;
	}
	if (o->run != burrow_runtime.run)
		burrow_misuse("burrow_once_do",
			      "the function was cut off by the end of a run");
	if (o->runner == (*self)->current)
		burrow_misuse("burrow_once_do",
			      "called again by the function that it runs");
	burrow_wait(self, &o->lock, &o->queue, GOROUTINE_ONCE, BURROW_FOREVER);
	return false;
}

void burrow_once_do(struct burrow_once *once, void (*fn)(void *arg), void *arg)
{
	struct burrow_thread *self = burrow_enter("burrow_once_do");
	struct once *o = (struct once *)once;

	if (burrow_unlikely(!is_done(o)) && begin(&self, o)) {
		burrow_leave(self);
		fn(arg);
		self = burrow_enter("burrow_once_do");
		finish(self, o);
	}
	burrow_leave(self);
}
