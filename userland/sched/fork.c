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
#include <stdlib.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "sched.h"

static void before_fork(void)
{
	struct burrow_thread *self = burrow_self();

	if (self && self->current != &self->loop && !self->blocking)
		burrow_misuse(
			"fork",
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

/* Once in a process: handlers of fork() can't be taken back. */
void burrow_fork_watch(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* Below what the loop saved there; the red zone is not used across a call. */
void burrow_call_on_thread(struct burrow_thread *self, void (*fn)(void *arg),
			   void *arg)
{
	uintptr_t top = (uintptr_t)self->loop.context & ~(uintptr_t)15;

	burrow_arch_call((void *)top, fn, arg);
}

/**
 * struct blocking - what is called, copied to the thread's stack
 * @fn:		the function
 * @arg:	its argument
 * @pid:	of the process that called it
 */
struct blocking {
	void (*fn)(void *arg);
	void *arg;
	pid_t pid;
};

/* A child is stopped here, before the stack that it may not have. */
static void call_blocking(void *arg)
{
	struct blocking b = *(struct blocking *)arg;

	b.fn(b.arg);
	if (getpid() == b.pid)
		return;
	burrow_print(
		STDERR_FILENO,
		"burrow: burrow_blocking: the child of a fork() returned from it: there are no goroutines here\n");
	abort();
}

void burrow_blocking(void (*fn)(void *arg), void *arg)
{
	struct blocking b = { .fn = fn, .arg = arg, .pid = getpid() };
	struct burrow_thread *self = burrow_self();

	if (!burrow_current())
		burrow_misuse("burrow_blocking",
			      "called by a thread that runs no goroutine");
	if (self->blocking) {
		fn(arg);
		return;
	}

	self->blocking = true;
	burrow_call_on_thread(self, call_blocking, &b);
	self->blocking = false;
}
