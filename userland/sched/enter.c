// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The rare ways into the runtime: a thread that is to stop, that has lost its
 * processor, or that has no business here.
 *
 * A thread gets here inside, with something in thread.attention. Who set a bit
 * holds runtime.lock until it knows whether it caught us outside, so under that
 * lock the bits are the truth.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../debug/print.h"
#include "runq.h"
#include "sched.h"

#define LOOKS \
	1000 /* at whether we were caught, and who looks has come that far */

void burrow_enter_refuse(const char *call)
{
	burrow_misuse(call, "called by a thread that runs no goroutine");
}

/* Until the world goes on: outside, so that whoever stops it need not wait. */
static void wait_for_world(struct burrow_thread *self, uint32_t attention)
{
	burrow_leave(self);
	syscall(SYS_futex, &self->attention, FUTEX_WAIT_PRIVATE, attention,
		NULL, NULL, 0);
	__atomic_store_n(&self->inside, 1, __ATOMIC_RELAXED);
	/* Pairs with the heavy barrier in burrow_thread_stop(). */
	burrow_barrier_light();
}

void burrow_reenter(struct burrow_thread *self)
{
	uint32_t attention;

	__atomic_store_n(&self->inside, 1, __ATOMIC_RELAXED);
	/* Pairs with the heavy barrier in burrow_thread_stop(). */
	burrow_barrier_light();
	for (;;) {
		attention = __atomic_load_n(&self->attention, __ATOMIC_ACQUIRE);
		if (!(attention & ATTENTION_STOP))
			return;
		wait_for_world(self, attention);
	}
}

/* Under the lock nobody is half-way through taking our processor. */
static bool has_lost(struct burrow_thread *self)
{
	bool lost;

	pthread_mutex_lock(&burrow_runtime.lock);
	lost = __atomic_load_n(&self->attention, __ATOMIC_ACQUIRE) &
	       ATTENTION_LOST;
	pthread_mutex_unlock(&burrow_runtime.lock);
	return lost;
}

static void requeue(struct goroutine *g, void *arg)
{
	struct burrow_runtime *rt = &burrow_runtime;

	(void)arg;
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	pthread_mutex_lock(&rt->lock);
	rt->away--;
	burrow_global_push(g);
	pthread_mutex_unlock(&rt->lock);
	burrow_wake_one();
}

/* The goroutine queues up for a processor; this thread waits for another one. */
static struct burrow_thread *queue_up(struct burrow_thread *self)
{
	self->after_fn = requeue;
	return burrow_switch_to_loop(self, AFTER_CALL);
}

/*
 * Who wants our processor looks whether we are inside, and in a loop of calls we would
 * be each time, for we came because of the bit. So we go out until it has looked.
 */
static void let_be_caught(struct burrow_thread *self)
{
	int i;

	burrow_leave(self);
	for (i = 0; i < LOOKS; i++) {
		if (!(__atomic_load_n(&self->attention, __ATOMIC_ACQUIRE) &
		      ATTENTION_LOST) ||
		    !READ_ONCE(self->proc))
			return;
		sched_yield();
	}
}

struct burrow_thread *burrow_enter_slow(struct burrow_thread *self,
					const char *call)
{
	uint32_t attention;

	if (__atomic_load_n(&self->attention, __ATOMIC_ACQUIRE) &
	    ATTENTION_LOST)
		let_be_caught(self);
	burrow_reenter(self);
	attention = __atomic_load_n(&self->attention, __ATOMIC_ACQUIRE);
	if (attention & ATTENTION_BLOCKING)
		burrow_misuse(call, "called in burrow_blocking()");
	if (attention & ATTENTION_GONE)
		burrow_switch_to_loop(self, AFTER_NOTHING);
	if (attention & ATTENTION_LOST && has_lost(self))
		return queue_up(self);
	return self;
}

bool burrow_thread_stop(struct burrow_thread *thread, uint32_t bit)
{
	__atomic_or_fetch(&thread->attention, bit, __ATOMIC_SEQ_CST);
	/* Pairs with the light barrier in burrow_enter_self(). */
	burrow_barrier_heavy();
	return !__atomic_load_n(&thread->inside, __ATOMIC_ACQUIRE);
}
