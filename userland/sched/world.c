// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stopping the world: a time in which nobody is inside the runtime.
 *
 * Threads that are outside need not be stopped, they only must not come in;
 * those that are inside leave soon, because nothing inside takes long. So the
 * one who stops the world sets a bit on each thread, passes a heavy barrier,
 * and waits until each was seen outside once. Threads that start meanwhile are
 * born with the bit. One at a time can do this; he is outside himself, so that
 * two who want to at once don't wait for each other.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sched.h"

#define LOOK_NS 20000 /* between looks at a thread that is inside */

/* One stop at a time; the monitor holds it while it takes processors. */
pthread_mutex_t burrow_world = PTHREAD_MUTEX_INITIALIZER;

static void mark(struct burrow_thread *self, bool stop)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *t;

	pthread_mutex_lock(&rt->lock);
	rt->stopped = stop;
	for (t = rt->threads; t; t = t->next) {
		if (t == self)
			continue;
		if (stop) {
			__atomic_or_fetch(&t->attention, ATTENTION_STOP,
					  __ATOMIC_SEQ_CST);
			continue;
		}
		__atomic_and_fetch(&t->attention, ~ATTENTION_STOP,
				   __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &t->attention, FUTEX_WAKE_PRIVATE, INT_MAX,
			NULL, NULL, 0);
	}
	pthread_mutex_unlock(&rt->lock);
}

/* The list only grows at its head while the runtime runs: we may walk it. */
static struct burrow_thread *first_thread(void)
{
	struct burrow_thread *t;

	pthread_mutex_lock(&burrow_runtime.lock);
	t = burrow_runtime.threads;
	pthread_mutex_unlock(&burrow_runtime.lock);
	return t;
}

static bool wait_outside(struct burrow_thread *self, int64_t until)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	struct burrow_thread *t;

	for (t = first_thread(); t; t = t->next) {
		while (t != self &&
		       __atomic_load_n(&t->inside, __ATOMIC_ACQUIRE)) {
			if (burrow_now() > until)
				return false;
			nanosleep(&look, NULL);
		}
	}
	return true;
}

bool burrow_world_try_stop(struct burrow_thread *self, int64_t ns)
{
	int64_t until = ns == BURROW_FOREVER ? ns : burrow_now() + ns;

	while (pthread_mutex_trylock(&burrow_world)) {
		if (burrow_now() > until)
			return false;
		usleep(LOOK_NS / 1000);
	}
	mark(self, true);
	/* Pairs with the light barrier in burrow_enter_self(). */
	burrow_barrier_heavy();
	if (wait_outside(self, until))
		return true;
	burrow_world_start(self);
	return false;
}

void burrow_world_stop(struct burrow_thread *self)
{
	burrow_world_try_stop(self, BURROW_FOREVER);
}

void burrow_world_start(struct burrow_thread *self)
{
	mark(self, false);
	pthread_mutex_unlock(&burrow_world);
}
