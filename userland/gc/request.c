// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who wants a cycle: the heap, at each refill from its trigger on, which calls the
 * hooks here; goroutines that ask for one and wait until it is through; those who
 * want a dump of the heap besides.
 *
 * Cycles are numbered, and a request is for the next one that has not begun. Who
 * waits is parked, or in burrow_blocking() looks now and then, and is woken by
 * whoever ends the cycle (collector.c, place.c). Under collector.lock.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "../sched/sched.h"
#include "assist.h"
#include "collector.h"
#include "gc.h"

static struct burrow_collector *const gc = &burrow_collector;

/* Under the lock. The number of a cycle that begins after this. */
static uint64_t ask(void)
{
	uint64_t ticket = gc->begun + 1;

	if (gc->wanted < ticket)
		gc->wanted = ticket;
	if (gc->manned)
		pthread_cond_signal(&gc->wake);
	else
		burrow_bell();
	return ticket;
}

void burrow_collector_start(void)
{
	if (gc->done == gc->begun)
		ask();
}

/* Once nobody runs on its stack: it may be woken by another thread at once. */
static void enlist(struct goroutine *g, void *arg)
{
	struct burrow_gc_waiter *w = arg;

	w->g = g;
	pthread_mutex_lock(&gc->lock);
	w->ticket = ask();
	if (w->full)
		gc->full = w->ticket;
	w->next = gc->waiters;
	gc->waiters = w;
	pthread_mutex_unlock(&gc->lock);
}

/* A cycle that begins after this. Inside. */
static struct burrow_thread *wait_with(struct burrow_thread *self,
				       struct burrow_gc_waiter *w)
{
	uint32_t *waiters = &burrow_runtime.waiters;

	__atomic_add_fetch(waiters, 1, __ATOMIC_SEQ_CST);
	self = burrow_park_call(self, GOROUTINE_GC, enlist, w);
	__atomic_sub_fetch(waiters, 1, __ATOMIC_SEQ_CST);
	return self;
}

static struct burrow_thread *wait_for_cycle(struct burrow_thread *self,
					    bool full)
{
	struct burrow_gc_waiter w = { .full = full, .fd = -1 };

	return wait_with(self, &w);
}

static bool is_blocking(const struct burrow_thread *self)
{
	return __atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
	       ATTENTION_BLOCKING;
}

/* A cycle is wanted, or under way. The thread that it comes back on. */
static struct burrow_thread *help(struct burrow_thread *self, size_t bytes)
{
	const struct burrow_pacer pacer = {
		.live = __atomic_load_n(&gc->live, __ATOMIC_RELAXED),
		.goal = __atomic_load_n(&gc->goal, __ATOMIC_RELAXED),
		.trigger = __atomic_load_n(&gc->trigger, __ATOMIC_RELAXED),
	};

	return burrow_assist(self, gc->heap, &pacer, burrow_collector_heap(),
			     bytes);
}

/*
 * The heap calls this at each refill from the trigger on, and at each while a
 * cycle runs. Under stress whoever comes with the right number waits for a
 * cycle.
 */
static struct burrow_thread *soon(struct burrow_thread *self, size_t bytes)
{
	uint32_t stress = gc->config.stress;

	if (stress) {
		if (__atomic_add_fetch(&gc->refills, 1, __ATOMIC_RELAXED) %
			    stress ||
		    is_blocking(self))
			return self;
		return wait_for_cycle(self, false);
	}
	if (__atomic_load_n(&gc->wanted, __ATOMIC_RELAXED) !=
	    __atomic_load_n(&gc->done, __ATOMIC_RELAXED))
		return help(self, bytes);
	if (!is_blocking(self) && burrow_collector_try(self))
		return self;
	pthread_mutex_lock(&gc->lock);
	burrow_collector_start();
	pthread_mutex_unlock(&gc->lock);
	return self;
}

/*
 * The same in burrow_blocking(), which has no goroutine to park: outside, where the
 * stop finds it. Seldom enough to look now and then.
 */
static bool wait_blocked(struct burrow_thread *self)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t ticket;
	bool gone;

	pthread_mutex_lock(&gc->lock);
	ticket = ask();
	gc->full = ticket;
	pthread_mutex_unlock(&gc->lock);
	burrow_leave(self);
	do {
		nanosleep(&ms, NULL);
		gone = __atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
		       ATTENTION_GONE;
	} while (!gone &&
		 __atomic_load_n(&gc->done, __ATOMIC_RELAXED) < ticket);
	burrow_reenter(self);
	return !gone;
}

/* Nothing is left, or the limit is met. */
static bool collect(struct burrow_thread **self, size_t bytes)
{
	(void)bytes;
	if (is_blocking(*self))
		return wait_blocked(*self);
	*self = wait_for_cycle(*self, true);
	return true;
}

/* The heap grows. Before the first cycle there is no thread to see to it. */
static void stock(void)
{
	pthread_mutex_lock(&gc->lock);
	gc->stock = true;
	if (gc->manned)
		pthread_cond_signal(&gc->wake);
	pthread_mutex_unlock(&gc->lock);
}

const struct burrow_heap_hooks burrow_gc_hooks = {
	.soon = soon,
	.collect = collect,
	.stock = stock,
};

static int wait_in_call(const char *call, bool release)
{
	struct burrow_thread *self = burrow_enter_try(call);

	if (!self)
		return -EPERM;
	if (release) {
		pthread_mutex_lock(&gc->lock);
		gc->release = true;
		pthread_mutex_unlock(&gc->lock);
	}
	burrow_leave(wait_for_cycle(self, true));
	return 0;
}

int burrow_gc(void)
{
	return wait_in_call("burrow_gc", false);
}

int burrow_release_memory(void)
{
	return wait_in_call("burrow_release_memory", true);
}

int burrow_heap_dump(int fd)
{
	struct burrow_thread *self = burrow_enter_try("burrow_heap_dump");
	struct burrow_gc_waiter w = { .full = true, .fd = fd };

	if (!self)
		return -EPERM;
	if (fd >= 0)
		self = wait_with(self, &w);
	burrow_leave(self);
	return fd < 0 ? -EBADF : w.result;
}

struct burrow_gc_waiter *burrow_collector_dumps(uint64_t number)
{
	struct burrow_gc_waiter *w, *dumps = NULL;

	for (w = gc->waiters; w; w = w->next) {
		if (w->fd < 0 || w->ticket > number)
			continue;
		w->next_dump = dumps;
		dumps = w;
	}
	return dumps;
}

struct burrow_gc_waiter *burrow_collector_waiters(void)
{
	struct burrow_gc_waiter **at = &gc->waiters, *w, *taken = NULL;

	while ((w = *at)) {
		if (w->ticket > gc->done) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

void burrow_collector_wake(struct burrow_gc_waiter *w)
{
	struct burrow_gc_waiter *next;

	for (; w; w = next) {
		/* It lies on the stack of who is woken. */
		next = w->next;
		burrow_ready_foreign(w->g);
	}
}
