// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Code that wants the thread's own stack, because it blocks or because it forks.
 *
 * In burrow_blocking() a thread is outside, and can lose its processor like any
 * other that is. If others wait for the processor already, it gives it away
 * itself before it goes; otherwise it keeps it, and the monitor takes it when it
 * is missed. Coming back it goes on if it has one still, or else queues up.
 *
 * A child of fork() has none of the stacks that come from the module, and would
 * be a second runtime with the first one's state where they come from mmap. So a
 * goroutine that forks is stopped, on either backend, before anything is
 * copied. In burrow_blocking() it may fork: the child runs on a copy of the
 * thread's stack. posix_spawn(), system() and vfork() run no handlers of fork.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "../debug/sanitize.h"
#include "../gc/gc.h"
#include "../heap/heap.h"
#include "runq.h"
#include "sched.h"

static bool is_blocking(const struct burrow_thread *self)
{
	return __atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
	       ATTENTION_BLOCKING;
}

static void before_fork(void)
{
	struct burrow_thread *self = burrow_self();

	if (self && self->current != &self->loop && !is_blocking(self))
		burrow_misuse(
			"fork",
			"in a goroutine it works in burrow_blocking() only");
	burrow_roots_lock();
	pthread_mutex_lock(&burrow_world);
	pthread_mutex_lock(&burrow_runtime.lock);
	burrow_gc_fork();
}

static void after_fork_parent(void)
{
	burrow_gc_fork_parent();
	pthread_mutex_unlock(&burrow_runtime.lock);
	pthread_mutex_unlock(&burrow_world);
	burrow_roots_unlock();
}

/* The child has no runtime, and may start one. */
static void after_fork_child(void)
{
	struct burrow_runtime *rt = &burrow_runtime;

	rt->running = false;
	rt->slabs = NULL; /* of a heap that the child may not have */
	rt->threads = NULL;
	rt->nr_threads = 0;
	memset(rt->procs, 0, sizeof(rt->procs));
	burrow_events_close();
	burrow_self_set(NULL);
	burrow_gc_fork_child();
	pthread_mutex_unlock(&rt->lock);
	pthread_mutex_unlock(&burrow_world);
	burrow_roots_unlock();
}

/* Once in a process: handlers of fork() can't be taken back. 0 or -ENOMEM. */
int burrow_fork_watch(void)
{
	return -pthread_atfork(before_fork, after_fork_parent,
			       after_fork_child);
}

/* Below what the loop saved there; the red zone is not used across a call. */
void burrow_call_on_thread(struct burrow_thread *self, void (*fn)(void *arg),
			   void *arg)
{
	void *top = (void *)((uintptr_t)self->loop.context & ~(uintptr_t)15);

	if (burrow_unlikely(burrow_san_tools & BURROW_SAN_ASAN))
		burrow_san_call(self, top, fn, arg);
	else
		burrow_arch_call(&self->current->context, top, fn, arg);
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

/* Gives the processor to a spare thread if somebody waits for it. */
static void give_up_proc(struct burrow_thread *self)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc = self->proc;

	if (burrow_runq_empty(proc) && !READ_ONCE(proc->next) &&
	    !READ_ONCE(rt->queued))
		return;
	pthread_mutex_lock(&rt->lock);
	if (rt->spares && !self->bound) {
		rt->away++;
		__atomic_or_fetch(&self->attention, ATTENTION_LOST,
				  __ATOMIC_SEQ_CST);
		self->proc = NULL;
		WRITE_ONCE(proc->thread, NULL);
		burrow_proc_man(proc);
	}
	pthread_mutex_unlock(&rt->lock);
}

static struct burrow_thread *enter_blocking(uint32_t attention)
{
	struct burrow_thread *self = burrow_enter("burrow_blocking");

	give_up_proc(self);
	__atomic_or_fetch(&self->attention, attention, __ATOMIC_SEQ_CST);
	burrow_leave(self);
	return self;
}

static void blocking(void (*fn)(void *arg), void *arg, uint32_t attention)
{
	struct blocking b = { .fn = fn, .arg = arg, .pid = getpid() };
	struct burrow_thread *self = burrow_self();
	void *cache = NULL;

	if (!burrow_current())
		burrow_enter_refuse("burrow_blocking");
	if (is_blocking(self)) {
		fn(arg);
		return;
	}
	self = enter_blocking(attention);
	if (attention & ATTENTION_NOGC)
		cache = burrow_heap_cache_bar();
	burrow_call_on_thread(self, call_blocking, &b);
	if (attention & ATTENTION_NOGC)
		burrow_heap_cache_unbar(cache);
	__atomic_and_fetch(&self->attention, ~attention, __ATOMIC_SEQ_CST);
	burrow_leave(burrow_enter_self(self, "burrow_blocking"));
}

void burrow_blocking(void (*fn)(void *arg), void *arg)
{
	blocking(fn, arg, ATTENTION_BLOCKING);
}

/*
 * Nobody looks at the thread's own stack, where @fn would save registers that
 * belong to our callers: they are all saved here, on the goroutine's.
 */
void burrow_blocking_nogc(void (*fn)(void *arg), void *arg)
{
	__builtin_unwind_init();
	blocking(fn, arg, ATTENTION_BLOCKING | ATTENTION_NOGC);
	/* Not a tail call: the frame must stay. */
	__asm__ volatile("" ::: "memory");
}
