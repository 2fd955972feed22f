// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The clock, and goroutines that wait for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "sched.h"

int64_t burrow_now(void)
{
	/*
	 * Written first: where the clock is a system call, a stack that cannot
	 * grow ends it by an error and garbage here, rather than by a fault.
	 */
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void awake(struct burrow_thread *self, struct burrow_timeout *timeout)
{
	burrow_ready_last(self, (struct goroutine *)((char *)timeout -
						     offsetof(struct goroutine,
							      timeout)));
}

struct sleep {
	int64_t until;
	int result;
};

/* Once nobody runs on its stack: it may be woken by another thread at once. */
static void arm(struct goroutine *g, void *arg)
{
	struct burrow_thread *self = burrow_self();
	struct sleep *sleep = arg;

	g->timeout.fire = awake;
	if (!burrow_timeout_set(self, &g->timeout, sleep->until))
		return;
	sleep->result = -ENOMEM;
	burrow_ready(self, g);
}

int burrow_sleep(int64_t ns)
{
	struct burrow_thread *self = burrow_enter_try("burrow_sleep");
	struct sleep sleep = { 0 };

	if (!self)
		return -EPERM;
	if (ns <= 0) {
		burrow_leave(burrow_pass(self));
		return 0;
	}
	if (__builtin_add_overflow(burrow_now(), ns, &sleep.until))
		sleep.until = BURROW_FOREVER - 1;
	self = burrow_park_call(self, GOROUTINE_SLEEP, arm, &sleep);
	burrow_leave(self);
	return sleep.result;
}
