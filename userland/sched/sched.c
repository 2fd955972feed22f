// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who runs next, and the way there.
 *
 * Ready goroutines go to the ring of their processor; when it is full half of
 * it moves to the global queue, which other threads put theirs on too. The
 * next one is taken from the ring, now and then from the global queue first so
 * that nobody starves there, and sleepers whose time has come are made ready
 * every few switches and whenever the ring is empty.
 *
 * Waking from outside: the other thread queues its goroutine under the lock,
 * counts up runtime.wake and, if runtime.idle is set, wakes the futex. The
 * thread that waits sets idle, then looks at the queue once more, then sleeps
 * for as long as wake is what it was: either it sees the goroutine or the
 * other sees idle (both sides are sequentially consistent).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "sched.h"

#define GLOBAL_EVERY 61 /* switches between looks at the global queue */
#define CLOCK_EVERY 8 /* switches between looks at the clock */
#define DECAY_EVERY 1024 /* switches between looks at warm stacks */
#define DECAY_NS 1000000000LL

static void entry(void *pass);

/*
 * Where a goroutine comes out of a switch: what is left of the one before. We
 * get the thread handed over; its address from before the switch may be wrong.
 */
static void landed(struct burrow_thread *self)
{
	struct goroutine *left = self->left;
	enum burrow_after after = self->after;

	self->after = AFTER_NOTHING;
	if (left == &self->loop)
		return;

	burrow_stack_leave(&left->stack);
	if (after == AFTER_QUEUE) {
		burrow_sched_ready(left);
	} else if (after == AFTER_FREE) {
		burrow_stack_cache_put(&self->proc->cache, left->class,
				       &left->stack);
		burrow_stack_unreserve(&burrow_runtime.pool, left->class);
		goroutine_free(self->proc, left);
	}
}

static void ring_push(struct burrow_proc *proc, struct goroutine *g)
{
	proc->queue[proc->tail++ % BURROW_QUEUE_LEN] = g;
}

static struct goroutine *ring_pop(struct burrow_proc *proc)
{
	if (proc->head == proc->tail)
		return NULL;
	return proc->queue[proc->head++ % BURROW_QUEUE_LEN];
}

static void global_push(struct goroutine *g)
{
	goroutine_queue_push(&burrow_runtime.queue, g);
	__atomic_store_n(&burrow_runtime.queued, burrow_runtime.queue.count,
			 __ATOMIC_SEQ_CST);
}

static struct goroutine *global_pop(void)
{
	struct goroutine *g = goroutine_queue_pop(&burrow_runtime.queue);

	__atomic_store_n(&burrow_runtime.queued, burrow_runtime.queue.count,
			 __ATOMIC_SEQ_CST);
	return g;
}

/* The older half of a full ring goes where all may take from. */
static void ring_spill(struct burrow_proc *proc)
{
	int i;

	pthread_mutex_lock(&burrow_runtime.lock);
	for (i = 0; i < BURROW_QUEUE_LEN / 2; i++)
		global_push(ring_pop(proc));
	pthread_mutex_unlock(&burrow_runtime.lock);
}

/* One to run, and as many more for the ring as half of it takes. */
static struct goroutine *global_take(struct burrow_proc *proc)
{
	struct goroutine *g, *more;
	uint32_t room = BURROW_QUEUE_LEN / 2;

	if (!__atomic_load_n(&burrow_runtime.queued, __ATOMIC_SEQ_CST))
		return NULL;
	pthread_mutex_lock(&burrow_runtime.lock);
	g = global_pop();
	while (proc->tail - proc->head < room && (more = global_pop()))
		ring_push(proc, more);
	pthread_mutex_unlock(&burrow_runtime.lock);
	return g;
}

/* Called by the processor's own thread, or, from a foreign one, under the lock. */
void burrow_sched_ready(struct goroutine *g)
{
	struct burrow_thread *self = burrow_self();

	g->state = GOROUTINE_RUNNABLE;
	if (!self) {
		global_push(g);
		return;
	}
	if (self->proc->tail - self->proc->head == BURROW_QUEUE_LEN)
		ring_spill(self->proc);
	ring_push(self->proc, g);
}

static void wake_sleepers(struct burrow_proc *proc)
{
	struct goroutine *g;
	int64_t now;

	if (!proc->sleepers.count)
		return;
	now = burrow_now();
	while ((g = burrow_sleepers_due(&proc->sleepers, now)))
		burrow_sched_ready(g);
}

static void decay(struct burrow_proc *proc)
{
	int64_t now;

	if (!proc->cache.count)
		return;
	now = burrow_now();
	if (now < proc->decay_at)
		return;
	burrow_stack_cache_decay(&proc->cache);
	proc->decay_at = now + DECAY_NS;
}

static void serve_dump(void)
{
	struct burrow_dump_request *request;

	request = __atomic_exchange_n(&burrow_runtime.dump, NULL,
				      __ATOMIC_ACQ_REL);
	if (!request)
		return;
	burrow_dump_all(request->fd, NULL);
	__atomic_store_n(&request->state, 2, __ATOMIC_RELEASE);
	syscall(SYS_futex, &request->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
		0);
}

/* The next one to run; NULL: nobody; the loop: it has something to do first. */
static struct goroutine *pick(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *g = NULL;
	uint64_t tick = ++proc->tick;

	if (tick % GLOBAL_EVERY == 0) {
		if (__atomic_load_n(&burrow_runtime.dump, __ATOMIC_RELAXED))
			return &self->loop;
		g = global_take(proc);
		if (g)
			return g;
	}
	if (tick % CLOCK_EVERY == 0)
		wake_sleepers(proc);
	if (tick % DECAY_EVERY == 0)
		decay(proc);

	g = ring_pop(proc);
	if (!g)
		g = global_take(proc);
	if (!g) {
		wake_sleepers(proc);
		g = ring_pop(proc);
	}
	return g;
}

/* A goroutine that has not run yet gets its stack. */
static void give_stack(struct burrow_proc *proc, struct goroutine *g)
{
	int err;

	err = burrow_stack_cache_get(&proc->cache, g->class, &g->stack);
	if (err) {
		g->stack.arena = NULL;
		burrow_crash_no_stack(g, err);
	}
	burrow_stack_label(&g->stack, g->id);
	burrow_stack_enter(&g->stack);
	g->context = burrow_arch_make(burrow_stack_top(&g->stack), entry);
}

/* The C++ library keeps the exceptions in flight by thread: swap them. */
static void swap_exceptions(uintptr_t *thread, struct goroutine *from,
			    const struct goroutine *to)
{
	memcpy(from->exceptions, thread, sizeof(from->exceptions));
	memcpy(thread, to->exceptions, sizeof(to->exceptions));
}

static void switch_to(struct burrow_thread *self, struct goroutine *to,
		      enum burrow_after after)
{
	struct goroutine *from = self->current;

	if (to != &self->loop) {
		if (!to->stack.arena)
			give_stack(self->proc, to);
		else
			burrow_stack_enter(&to->stack);
		to->state = GOROUTINE_RUNNING;
		burrow_runtime.switches++;
	}
	if (self->exceptions)
		swap_exceptions(self->exceptions, from, to);
	self->left = from;
	self->after = after;
	self->current = to;
	landed(burrow_arch_switch(&from->context, to->context, self));
}

/* Leaves the current goroutine for the next one, or for the loop. */
static void leave(struct burrow_thread *self, enum burrow_after after)
{
	struct goroutine *next = NULL;

	if (!burrow_runtime.done)
		next = pick(self);
	switch_to(self, next ? next : &self->loop, after);
}

static void entry(void *pass)
{
	struct burrow_thread *self = pass;
	struct goroutine *g = self->current;

	landed(self);
	g->fn(g->arg);
	leave(burrow_self(), AFTER_FREE);
	__builtin_unreachable();
}

struct burrow_thread *burrow_sched_enter(const char *call)
{
	struct burrow_thread *self = burrow_self();

	if (!self || self->current == &self->loop)
		burrow_misuse(call,
			      "called by a thread that runs no goroutine");
	if (self->blocking)
		burrow_misuse(call, "called in burrow_blocking()");
	return self;
}

void burrow_sched_park(struct burrow_thread *self, enum goroutine_reason why)
{
	struct goroutine *g = self->current;
	struct goroutine *next;

	g->state = GOROUTINE_WAITING;
	g->reason = why;
	next = pick(self);
	if (next == g) {
		/* Its time came while it was on its way: it stays. */
		g->state = GOROUTINE_RUNNING;
		return;
	}
	switch_to(self, next ? next : &self->loop, AFTER_NOTHING);
}

void burrow_yield(void)
{
	struct burrow_thread *self = burrow_sched_enter("burrow_yield");
	struct goroutine *next = pick(self);

	if (next)
		switch_to(self, next, AFTER_QUEUE);
}

void burrow_exit(void)
{
	leave(burrow_sched_enter("burrow_exit"), AFTER_FREE);
	__builtin_unreachable();
}

void burrow_sched_wake(void)
{
	__atomic_add_fetch(&burrow_runtime.wake, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&burrow_runtime.idle, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &burrow_runtime.wake, FUTEX_WAKE_PRIVATE, 1,
			NULL, NULL, 0);
}

static void deadlock(void)
{
	burrow_print(STDERR_FILENO,
		     "burrow: all goroutines are asleep - deadlock!\n");
	burrow_dump_all(STDERR_FILENO, NULL);
	_exit(2);
}

static void wait_until(uint32_t wake, int64_t when)
{
	struct timespec ts = {
		.tv_sec = when / 1000000000,
		.tv_nsec = when % 1000000000,
	};

	syscall(SYS_futex, &burrow_runtime.wake,
		FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, wake, &ts, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

/* Nothing can run: sleep until a sleeper's time or until someone wakes us. */
static void idle(struct burrow_proc *proc)
{
	int64_t until = INT64_MAX;
	uint32_t wake;

	wake = __atomic_load_n(&burrow_runtime.wake, __ATOMIC_SEQ_CST);
	__atomic_store_n(&burrow_runtime.idle, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&burrow_runtime.dump, __ATOMIC_SEQ_CST) &&
	    !__atomic_load_n(&burrow_runtime.queued, __ATOMIC_SEQ_CST)) {
		if (!proc->sleepers.count)
			deadlock();
		until = proc->sleepers.heap[0].when;
		decay(proc);
		if (proc->cache.count && proc->decay_at < until)
			until = proc->decay_at;
		wait_until(wake, until);
	}
	__atomic_store_n(&burrow_runtime.idle, 0, __ATOMIC_SEQ_CST);
}

void burrow_sched_loop(struct burrow_thread *self)
{
	struct goroutine *g;

	while (!burrow_runtime.done) {
		serve_dump();
		g = pick(self);
		if (!g)
			idle(self->proc);
		else if (g != &self->loop)
			switch_to(self, g, AFTER_NOTHING);
	}
}
