// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads: how they start and end, how they get a processor, and goroutines
 * that are bound to one.
 *
 * A thread without a processor is a spare: it sleeps until it is given one.
 * Threads are started by the monitor alone, which has a large stack and holds no
 * processor; who finds no spare one leaves the processor on the list of unmanned
 * ones and rings the bell. Threads are kept until the runtime stops.
 *
 * A bound goroutine runs on its thread only, and that thread runs it only. Who
 * else comes to run it gives the thread its processor; the thread, when it is
 * about to run something else, passes its processor on and sleeps.
 *
 * Locks: the lists, thread.proc, proc.thread and bound_ready are under
 * runtime.lock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../debug/sanitize.h"
#include "../heap/heap.h"
#include "runq.h"
#include "sched.h"

/* In the C++ library if there is one: exceptions in flight on this thread. */
extern void *__cxa_get_globals(void) __attribute__((weak));

__thread struct burrow_thread *burrow_self_of_thread;

void burrow_self_set(struct burrow_thread *thread)
{
	burrow_self_of_thread = thread;
}

struct goroutine *burrow_current(void)
{
	struct burrow_thread *self = burrow_self();

	return self && self->current != &self->loop ? self->current : NULL;
}

void burrow_thread_give(struct burrow_thread *thread, struct burrow_proc *proc)
{
	WRITE_ONCE(proc->thread, thread);
	/* Pairs with burrow_sched_loop(), which may see it before the kick. */
	__atomic_store_n(&thread->proc, proc, __ATOMIC_RELEASE);
	__atomic_and_fetch(&thread->attention, ~ATTENTION_LOST,
			   __ATOMIC_SEQ_CST);
	burrow_thread_kick(thread);
}

static struct burrow_thread *spare_pop(struct burrow_runtime *rt)
{
	struct burrow_thread *thread = rt->spares;

	if (thread) {
		rt->spares = thread->spare_next;
		thread->spare = false;
	}
	return thread;
}

/* False: it has to wait for the monitor. */
bool burrow_proc_man(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *thread;

	if (proc->thread)
		return true;
	thread = spare_pop(rt);
	if (thread) {
		burrow_thread_give(thread, proc);
		return true;
	}
	proc->idle_next = rt->unmanned;
	WRITE_ONCE(rt->unmanned, proc);
	burrow_bell();
	return false;
}

/* False: there is a processor, or none will come any more. */
static bool must_wait(struct burrow_thread *self)
{
	struct burrow_runtime *rt = &burrow_runtime;
	bool wait;

	pthread_mutex_lock(&rt->lock);
	wait = !self->proc && !READ_ONCE(rt->done);
	if (wait && !self->spare && !self->bound) {
		self->spare = true;
		self->spare_next = rt->spares;
		rt->spares = self;
	}
	pthread_mutex_unlock(&rt->lock);
	return wait;
}

/*
 * Sleeps until there is a processor. Who gives a spare thread one may have more
 * to say of it under the lock (burrow_wake_one(): that it spins), so it is not
 * enough to see the processor: we come back through the lock.
 */
void burrow_thread_spare(struct burrow_thread *self)
{
	while (must_wait(self)) {
		burrow_heap_cache_leave();
		burrow_futex_sleep(self, BURROW_FOREVER);
	}
}

/*
 * Gives the thread that @g is bound to our processor, if it has none. If our own
 * bound goroutine waits for us meanwhile we need it ourselves: @g has to wait.
 */
static void send_home(struct burrow_thread *self, struct goroutine *g)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *home = g->bound;

	pthread_mutex_lock(&rt->lock);
	if (!home->proc && self->bound_ready) {
		pthread_mutex_unlock(&rt->lock);
		burrow_runq_push(self->proc, g);
		return;
	}
	/* Pairs with burrow_find(), which looks without the lock. */
	__atomic_store_n(&home->bound_ready, true, __ATOMIC_RELEASE);
	if (home->proc) {
		burrow_thread_kick(home);
	} else {
		burrow_thread_give(home, self->proc);
		self->proc = NULL;
	}
	pthread_mutex_unlock(&rt->lock);
}

/* We are bound to another than @g: somebody else must run it. */
static void pass_on(struct burrow_thread *self, struct goroutine *g)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc = self->proc;

	burrow_runq_push(proc, g);
	pthread_mutex_lock(&rt->lock);
	if (!self->bound_ready) {
		self->proc = NULL;
		WRITE_ONCE(proc->thread, NULL);
		burrow_proc_man(proc);
	}
	pthread_mutex_unlock(&rt->lock);
}

void burrow_bound_run(struct burrow_thread *self, struct goroutine *g)
{
	if (self->spinning) {
		self->spinning = false;
		__atomic_sub_fetch(&burrow_runtime.spinning, 1,
				   __ATOMIC_SEQ_CST);
	}
	if (g->bound && g->bound != self)
		send_home(self, g);
	else
		pass_on(self, g);
}

void burrow_lock_thread(void)
{
	struct burrow_thread *self = burrow_enter("burrow_lock_thread");

	self->bound = self->current;
	self->bound_count++;
	self->current->bound = self;
	self->current->locked = true;
	burrow_leave(self);
}

void burrow_unbind(struct burrow_thread *self)
{
	self->bound->bound = NULL;
	self->bound->locked = false;
	self->bound = NULL;
	self->bound_count = 0;
}

void burrow_unlock_thread(void)
{
	struct burrow_thread *self = burrow_enter("burrow_unlock_thread");

	if (!self->bound_count)
		burrow_misuse("burrow_unlock_thread",
			      "without burrow_lock_thread() before");
	if (!--self->bound_count)
		burrow_unbind(self);
	burrow_leave(self);
}

static const char *own_stack_low(void)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t size;

	if (!pthread_getattr_np(pthread_self(), &attr)) {
		pthread_attr_getstack(&attr, &low, &size);
		pthread_attr_destroy(&attr);
	}
	return low;
}

static void *thread_main(void *arg)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *self = arg;
	struct burrow_remains *remains;

	burrow_self_set(self);
	WRITE_ONCE(self->tid, syscall(SYS_gettid));
	self->stack_low = own_stack_low();
	if (__cxa_get_globals)
		self->exceptions = __cxa_get_globals();
	burrow_crash_thread_install(self);
	burrow_san_thread(self);
	burrow_reenter(self);
	burrow_sched_loop(self);
	burrow_heap_cache_leave();
	burrow_leave(self);
	burrow_self_set(NULL);
	burrow_crash_thread_close(self);

	pthread_mutex_lock(&rt->lock);
	remains = self->remains;
	__atomic_store_n(&self->exited, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&rt->lock);
	if (remains) {
		/* The run ended without us: nobody else knows of us now. */
		burrow_remains_put(remains);
		free(self);
	} else {
		burrow_bell();
	}
	return NULL;
}

static int start_pthread(struct burrow_thread *thread)
{
	return -pthread_create(&thread->pthread, NULL, thread_main, thread);
}

/* Called by the monitor. @proc: what it is to hold, or NULL: a spare. */
int burrow_thread_new(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *thread = calloc(1, sizeof(*thread));
	int ret;

	if (!thread)
		return -ENOMEM;
	ret = burrow_crash_thread_open(thread);
	if (ret) {
		free(thread);
		return ret;
	}
	thread->current = &thread->loop;
	thread->left = &thread->loop;
	thread->attention = (rt->stopped ? ATTENTION_STOP : 0) |
			    (burrow_barrier_fenced ? ATTENTION_FENCE : 0);
	thread->proc = proc;
	ret = start_pthread(thread);
	if (ret) {
		burrow_crash_thread_close(thread);
		free(thread);
		return ret;
	}
	if (proc)
		WRITE_ONCE(proc->thread, thread);
	thread->next = rt->threads;
	/* The collector walks the list without the lock. */
	__atomic_store_n(&rt->threads, thread, __ATOMIC_RELEASE);
	rt->nr_threads++;
	return 0;
}
