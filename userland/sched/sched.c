// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who runs next, and the way there.
 *
 * A goroutine that stops picks the next one itself and switches straight to it.
 * What must be done once nobody runs on the old stack (queue it, free it, drop
 * a lock) is done on the new one: struct burrow_thread says what, landed() does
 * it. Where there is nothing to run the thread goes back to its own stack, to
 * burrow_sched_loop(), and looks further afield (idle.c).
 *
 * Waking. A goroutine made ready by one that is about to wait itself runs next
 * on the same processor: what they hand each other is in its cache, and nobody
 * else need wake up. If the first one goes on running instead, an idle
 * processor should take the second. Which of the two it will be is learnt:
 * burrow_ready() wakes an idle processor for every (skip_max + 1)-th goroutine
 * that it puts in that place. One that is still there when its own processor
 * comes to it was told for nothing, and skip_max doubles; one that a thief got
 * sets skip_max to 0. The monitor wakes an idle processor where such a place
 * stays full for milliseconds, so the learning can start again. Everything else
 * that becomes runnable wakes an idle processor at once.
 *
 * A woken processor spins: it looks for work in all queues before it sleeps
 * again. As long as one spins nobody else is woken; when it finds work and was
 * the last, it wakes another. So a burst of work wakes processors one after
 * another, each paid for by one that was busy enough to find something.
 *
 * No wake-up is lost: who makes work puts it in a queue, passes a light
 * barrier, and looks at nr_idle and spinning; who goes to sleep counts itself
 * idle and no longer spinning, passes a heavy barrier, and looks at all queues
 * once more. One of the two sees the other.
 *
 * Rejected: one queue for all (its lock is what everybody waits for at two
 * processors already); waking a processor for every goroutine made ready (a
 * futex call and a cache miss for each message between two that take turns);
 * handing a goroutine to a particular idle processor (the one that is woken is
 * late, and the work sits where nobody else finds it).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "../debug/sanitize.h"
#include "runq.h"
#include "sched.h"

#define FAIR_EVERY 61 /* switches between looks at the global queue */
#define FAIR_MS 10 /* between turns of the oldest that has not run */
#define CLOCK_EVERY 16 /* switches between looks at the clock and at I/O */
#define DECAY_EVERY 4096 /* switches between looks at warm stacks */
#define DECAY_NS 1000000000LL

static void entry(void *pass);

/* What is left to do for the goroutine that was left. */
static __attribute__((noinline)) void finish(struct burrow_thread *self,
					     struct goroutine *left)
{
	enum burrow_after after = self->after;

	self->after = AFTER_NOTHING;
	switch (after) {
	case AFTER_NOTHING:
		break;
	case AFTER_UNLOCK:
		burrow_lock_drop(self->after_arg);
		break;
	case AFTER_CALL:
		self->after_fn(left, self->after_arg);
		break;
	case AFTER_QUEUE:
		WRITE_ONCE(left->state, GOROUTINE_RUNNABLE);
		burrow_runq_push(self->proc, left);
		break;
	case AFTER_FREE:
		goroutine_end(self->proc, left);
		break;
	}
}

/*
 * Where a goroutine comes out of a switch. We get the thread handed over; its
 * address from before the switch may be wrong.
 */
static inline void landed(struct burrow_thread *self)
{
	struct goroutine *left = self->left;

	if (burrow_unlikely(left == &self->loop))
		return;
	burrow_stack_leave(&left->stack);
	if (self->after != AFTER_NOTHING)
		finish(self, left);
}

static void wake_for_work(void)
{
	/* Pairs with the heavy barrier in idle.c: it sees our work, or we it. */
	burrow_barrier_light();
	if (burrow_unlikely(
		    __atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED)))
		burrow_wake_one();
}

void burrow_ready(struct burrow_thread *self, struct goroutine *g)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *old;

	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	old = burrow_runq_set_next(proc, g);
	if (burrow_unlikely(old != NULL)) {
		burrow_runq_push(proc, old);
		wake_for_work();
		return;
	}
	proc->next_told = false;
	if (!__atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED))
		return;
	if (proc->skip) {
		proc->skip--;
		return;
	}
	proc->skip = __atomic_load_n(&proc->skip_max, __ATOMIC_RELAXED);
	proc->next_told = true;
	burrow_wake_one();
}

void burrow_ready_new(struct burrow_thread *self, struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	burrow_fresh_push(self->proc, g);
	wake_for_work();
}

void burrow_ready_last(struct burrow_thread *self, struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	burrow_runq_push(self->proc, g);
	wake_for_work();
}

void burrow_ready_foreign(struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	pthread_mutex_lock(&burrow_runtime.lock);
	burrow_global_push(g);
	pthread_mutex_unlock(&burrow_runtime.lock);
	burrow_wake_one();
}

void burrow_cache_decay(struct burrow_proc *proc, int64_t now)
{
	if (!proc->cache.count || now < proc->decay_at)
		return;
	burrow_stack_cache_decay(&proc->cache);
	proc->decay_at = now + DECAY_NS;
}

/*
 * What comes from the clock and from outside is served by the loop, now and then
 * on a busy processor: never here, where the goroutine that is about to stop may
 * itself be what is served, and holds the lock that it waits under.
 */
static bool must_look(struct burrow_thread *self, uint64_t tick)
{
	struct burrow_proc *proc = self->proc;

	return proc->io_busy || READ_ONCE(proc->timers.count) ||
	       tick % DECAY_EVERY == 0 ||
	       __atomic_load_n(&burrow_runtime.notified, __ATOMIC_RELAXED);
}

/*
 * Neither two that wake each other nor young ones may keep all others waiting:
 * the global queue and the ring have their turns, and every few milliseconds the
 * oldest of those that have not run yet. More often would begin branch after
 * branch of a tree that is best gone through one by one.
 */
static struct goroutine *pick_fair(struct burrow_proc *proc)
{
	uint32_t now = READ_ONCE(burrow_runtime.clock);
	struct goroutine *g = NULL;

	if (now - proc->fair_at >= FAIR_MS) {
		proc->fair_at = now;
		g = burrow_fresh_steal(proc, proc);
	}
	if (!g)
		g = burrow_global_take_one();
	return g ? g : burrow_runq_pop_ring(proc);
}

/* One to run, NULL: there is none; the loop: it has to look around. */
static inline struct goroutine *pick(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *g = NULL;
	uint64_t tick = proc->tick + 1;

	__atomic_store_n(&proc->tick, tick, __ATOMIC_RELAXED);
	if (burrow_unlikely(tick % CLOCK_EVERY == 0) && must_look(self, tick)) {
		self->look = true;
		return &self->loop;
	}
	if (burrow_unlikely(tick % FAIR_EVERY == 0))
		g = pick_fair(proc);
	return g ? g : burrow_runq_pop(proc);
}

/* A goroutine that has not run yet gets its stack. */
static void give_stack(struct burrow_thread *self, struct goroutine *g)
{
	int err;

	err = burrow_stack_cache_get(&self->proc->cache, g->class, &g->stack);
	if (burrow_unlikely(err < 0)) {
		g->stack.arena = NULL;
		burrow_crash_no_stack(g, err);
	}
	burrow_stack_label(&g->stack, g->id);
	burrow_stack_enter(&g->stack);
	burrow_san_create(g);
	if (burrow_unlikely(err)) {
		g->cold = true;
		burrow_site_start(g);
	}
	self->start_fn = g->fn;
	self->start_arg = g->arg;
	g->exceptions[0] = 0;
	g->exceptions[1] = 0;
	g->context = burrow_arch_make(burrow_stack_top(&g->stack), entry);
}

/* The C++ library keeps the exceptions in flight by thread: swap them. */
static void swap_exceptions(uintptr_t *thread, struct goroutine *from,
			    const struct goroutine *to)
{
	memcpy(from->exceptions, thread, sizeof(from->exceptions));
	memcpy(thread, to->exceptions, sizeof(to->exceptions));
}

static inline struct burrow_thread *switch_to(struct burrow_thread *self,
					      struct goroutine *to,
					      enum burrow_after after)
{
	struct goroutine *from = self->current;
	void *fake = NULL;

	if (to != &self->loop) {
		if (burrow_unlikely(!to->stack.arena))
			give_stack(self, to);
		else
			burrow_stack_enter(&to->stack);
		WRITE_ONCE(to->state, GOROUTINE_RUNNING);
		__atomic_store_n(&self->proc->switches,
				 self->proc->switches + 1, __ATOMIC_RELAXED);
	}
	if (self->exceptions)
		swap_exceptions(self->exceptions, from, to);
	self->left = from;
	if (burrow_solo && after == AFTER_UNLOCK) {
		/* Nobody can come before we are gone. */
		burrow_lock_drop(self->after_arg);
		after = AFTER_NOTHING;
	}
	self->after = after;
	WRITE_ONCE(self->current, to);
	burrow_san_switch_begin(self, to, after == AFTER_FREE ? NULL : &fake);
	self = burrow_arch_switch(&from->context, to->context, self);
	burrow_san_switch_end(self, fake);
	landed(self);
	return self;
}

struct burrow_thread *burrow_switch_to_loop(struct burrow_thread *self,
					    enum burrow_after after)
{
	return switch_to(self, &self->loop, after);
}

/* One that is locked to a thread, or leaves one, needs the loop. */
static inline struct burrow_thread *leave_for(struct burrow_thread *self,
					      struct goroutine *next,
					      enum burrow_after after)
{
	if (!next)
		return switch_to(self, &self->loop, after);
	if (burrow_unlikely(next->bound || self->bound)) {
		self->picked = next == &self->loop ? NULL : next;
		return switch_to(self, &self->loop, after);
	}
	return switch_to(self, next, after);
}

static void entry(void *pass)
{
	struct burrow_thread *self = pass;
	void (*fn)(void *arg) = self->start_fn;
	void *arg = self->start_arg;

	burrow_san_switch_end(self, NULL);
	landed(self);
	burrow_leave(self);
	fn(arg);
	burrow_exit();
}

struct burrow_thread *burrow_park(struct burrow_thread *self,
				  enum goroutine_reason why,
				  struct burrow_lock *lock)
{
	struct goroutine *g = self->current;

	WRITE_ONCE(g->state, GOROUTINE_WAITING);
	g->reason = why;
	g->parked_at = READ_ONCE(burrow_runtime.clock);
	self->after_arg = lock;
	return leave_for(self, pick(self), lock ? AFTER_UNLOCK : AFTER_NOTHING);
}

struct burrow_thread *
burrow_park_call(struct burrow_thread *self, enum goroutine_reason why,
		 void (*fn)(struct goroutine *g, void *arg), void *arg)
{
	struct goroutine *g = self->current;

	WRITE_ONCE(g->state, GOROUTINE_WAITING);
	g->reason = why;
	g->parked_at = READ_ONCE(burrow_runtime.clock);
	self->after_fn = fn;
	self->after_arg = arg;
	return leave_for(self, pick(self), AFTER_CALL);
}

static void queue_global(struct goroutine *g, void *arg)
{
	(void)arg;
	burrow_ready_foreign(g);
}

/*
 * Those in the ring run first, and then, because we wait in the global queue,
 * those that have not run yet.
 */
static struct burrow_thread *pass_to_fresh(struct burrow_thread *self,
					   struct goroutine *next)
{
	self->after_fn = queue_global;
	return leave_for(self, next, AFTER_CALL);
}

struct burrow_thread *burrow_pass(struct burrow_thread *self)
{
	struct goroutine *next = pick(self);
	enum burrow_after after = AFTER_QUEUE;

	if (!next)
		next = burrow_global_take(self->proc);
	if (!next)
		return self;
	if (burrow_unlikely(!burrow_fresh_empty(self->proc)))
		return pass_to_fresh(self, next);
	if (burrow_solo) {
		/* Nobody can take it from the queue before we are gone. */
		WRITE_ONCE(self->current->state, GOROUTINE_RUNNABLE);
		burrow_runq_push(self->proc, self->current);
		after = AFTER_NOTHING;
	}
	return leave_for(self, next, after);
}

void burrow_yield(void)
{
	burrow_leave(burrow_pass(burrow_enter("burrow_yield")));
}

void burrow_exit(void)
{
	struct burrow_thread *self = burrow_enter("burrow_exit");

	if (burrow_unlikely(self->bound != NULL))
		burrow_unbind(self);
	leave_for(self, pick(self), AFTER_FREE);
	__builtin_unreachable();
}

/* Runs a goroutine, which comes back here when there is no other to run. */
static void run(struct burrow_thread *self, struct goroutine *g)
{
	if (burrow_unlikely((g->bound && g->bound != self) ||
			    (self->bound && self->bound != g)))
		burrow_bound_run(self, g);
	else
		switch_to(self, g, AFTER_NOTHING);
}

void burrow_sched_loop(struct burrow_thread *self)
{
	struct goroutine *g;

	for (;;) {
		if (burrow_unlikely(__atomic_load_n(&self->attention,
						    __ATOMIC_RELAXED) &
				    ATTENTION_GONE) ||
		    burrow_unlikely(READ_ONCE(burrow_runtime.done)))
			return;
		/* Pairs with burrow_thread_give(). */
		if (!__atomic_load_n(&self->proc, __ATOMIC_ACQUIRE)) {
			burrow_thread_spare(self);
			continue;
		}
		g = self->picked;
		self->picked = NULL;
		if (!g)
			g = burrow_find(self);
		if (g)
			run(self, g);
	}
}
