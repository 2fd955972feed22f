// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Code that wants the thread's own stack, and fork(), which is the reason.
 *
 * A child has none of the stacks that come from the module, and would be a
 * second runtime with the first one's state where they come from mmap. So a
 * goroutine that forks is stopped, on either backend, before anything is
 * copied. In burrow_blocking() it may fork: the child runs on a copy of the
 * thread's stack. posix_spawn(), system() and vfork() run no handlers of fork.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "sched.h"

static void before_fork(void)
{
	struct burrow_thread *self = burrow_self();

	if (self && self->current != &self->loop && !self->blocking)
		burrow_misuse("fork",
			      "in a goroutine it works in burrow_blocking() only");
	pthread_mutex_lock(&burrow_runtime.lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&burrow_runtime.lock);
}

/* The child has no runtime, and may start one. */
static void after_fork_child(void)
{
	burrow_runtime.running = false;
	burrow_runtime.alive = 0;
	burrow_self_set(NULL);
	pthread_mutex_unlock(&burrow_runtime.lock);
}

static void watch(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void burrow_fork_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch);
}

/* Below what the loop saved there; the red zone is not used across a call. */
void burrow_call_on_thread(struct burrow_thread *self, void (*fn)(void *arg),
			   void *arg)
{
	uintptr_t top = (uintptr_t)self->loop.context & ~(uintptr_t)15;

	burrow_arch_call((void *)top, fn, arg);
}

void burrow_blocking(void (*fn)(void *arg), void *arg)
{
	struct burrow_thread *self = burrow_self();
	pid_t pid = getpid();

	if (!burrow_current())
		burrow_misuse("burrow_blocking",
			      "called by a thread that runs no goroutine");
	if (self->blocking) {
		fn(arg);
		return;
	}

	self->blocking = true;
	burrow_call_on_thread(self, fn, arg);
	if (getpid() != pid)
		burrow_misuse("burrow_blocking",
			      "the child of a fork() returned from it: there are no goroutines here");
	self->blocking = false;
}
