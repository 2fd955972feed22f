// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The program's timers: functions that run at a time, each on a goroutine of its
 * own, and channels that get one.
 *
 * A timer is a timeout and what to do then. It fires inside the runtime, where
 * it starts the goroutine, or puts the time into the channel. Where no goroutine
 * can be had it tries again a little later: what was promised is late, not lost.
 *
 * A timer is an object of the collected heap, allocated outside of the runtime. The
 * heap of timeouts keeps it as long as it has an entry there, so a pending one needs
 * no reference, and one that nobody has goes when it has fired.
 *
 * Lock: @lock is over setting and taking back, by several goroutines at once,
 * and firing takes it to tell whether it was set again meanwhile.
 */
#include <errno.h>

#include "../chan/chan.h"
#include "sched.h"

#define RETRY_NS 1000000LL

/**
 * struct burrow_timer - one of them
 * @timeout:	when
 * @lock:	over the rest, and over setting @timeout
 * @period:	nanoseconds between runs, 0: it runs once
 * @stopped:	taken back, while it fired perhaps
 * @due:	the time it was set for: the next one is a period later
 * @fn:		what runs, NULL: @chan gets the time
 * @arg:	its argument
 * @chan:	of burrow_after()
 */
struct burrow_timer {
	struct burrow_timeout timeout;
	struct burrow_lock lock;
	int64_t period;
	bool stopped;
	int64_t due;
	void (*fn)(void *arg);
	void *arg;
	struct burrow_chan *chan;
};

static int64_t after(int64_t from, int64_t ns)
{
	int64_t when;

	if (ns < 0)
		ns = 0;
	if (__builtin_add_overflow(from, ns, &when))
		when = BURROW_FOREVER - 1;
	return when;
}

/* When it runs again, 0: never. A run that was missed is not made up for. */
static int64_t next_time(struct burrow_timer *t, bool failed)
{
	int64_t now = burrow_now();

	if (failed)
		return now + RETRY_NS;
	if (!t->period)
		return 0;
	t->due = after(t->due, t->period);
	if (t->due <= now)
		t->due += (now - t->due) / t->period * t->period + t->period;
	return t->due;
}

static void fire(struct burrow_thread *self, struct burrow_timeout *timeout)
{
	struct burrow_timer *t = (struct burrow_timer *)timeout;
	int64_t now = burrow_now(), next;
	bool failed = false;

	if (t->fn)
		failed = burrow_spawn(self, burrow_runtime.class, NULL, t->fn,
				      t->arg, t->fn);
	else
		burrow_chan_offer(self, t->chan, &now);
	burrow_lock_take(&t->lock);
	next = t->stopped || READ_ONCE(timeout->when) ? 0 :
							next_time(t, failed);
	/* There is room: our entry was taken out a moment ago. */
	if (next)
		burrow_timeout_set_of_object(self, timeout, next);
	burrow_lock_drop(&t->lock);
}

/* Outside of the runtime; NULL: no memory, or no goroutine. */
static struct burrow_timer *timer_new(int64_t ns, int64_t period)
{
	struct burrow_timer *t = NULL;

	if (burrow_self())
		t = burrow_try_alloc(sizeof(*t));
	if (!t)
		return NULL;
	t->timeout.fire = fire;
	t->period = period > 0 ? period : 0;
	t->due = after(burrow_now(), ns);
	return t;
}

struct burrow_timer *burrow_timer_new(int64_t ns, int64_t period_ns,
				      void (*fn)(void *arg), void *arg)
{
	struct burrow_timer *t = timer_new(ns, period_ns);
	struct burrow_thread *self = burrow_enter("burrow_timer_new");

	if (t) {
		t->fn = fn;
		t->arg = arg;
		if (burrow_timeout_set_of_object(self, &t->timeout, t->due))
			t = NULL;
	}
	burrow_leave(self);
	return t;
}

int burrow_timer_stop(struct burrow_timer *t)
{
	struct burrow_thread *self = burrow_enter_try("burrow_timer_stop");
	bool was_set;

	if (!self)
		return -EPERM;
	burrow_lock_take(&t->lock);
	t->stopped = true;
	was_set = burrow_timeout_take_back(&t->timeout);
	burrow_lock_drop(&t->lock);
	burrow_leave(self);
	return was_set;
}

int burrow_timer_reset(struct burrow_timer *t, int64_t ns)
{
	struct burrow_thread *self = burrow_enter_try("burrow_timer_reset");
	bool was_set;
	int ret;

	if (!self)
		return -EPERM;
	burrow_lock_take(&t->lock);
	was_set = burrow_timeout_take_back(&t->timeout);
	t->stopped = false;
	t->due = after(burrow_now(), ns);
	ret = burrow_timeout_set_of_object(self, &t->timeout, t->due);
	burrow_lock_drop(&t->lock);
	burrow_leave(self);
	return ret ? ret : was_set;
}

struct burrow_chan *burrow_after(int64_t ns)
{
	struct burrow_timer *t = timer_new(ns, 0);
	struct burrow_chan *chan = NULL;
	struct burrow_thread *self;

	if (t)
		chan = burrow_chan_make(sizeof(int64_t), 1);
	self = burrow_enter("burrow_after");
	if (chan) {
		t->chan = chan;
		if (burrow_timeout_set_of_object(self, &t->timeout, t->due))
			chan = NULL;
	}
	burrow_leave(self);
	return chan;
}
