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
 * stays full for milliseconds, so the learning can start again. The same counts
 * where only a few wait in the queues of this processor: a thief who was woken for
 * them and left without any doubles skip_max, too (idle.c). Where more than a few
 * wait somebody is woken at once.
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
#include "../debug/probe.h"
#include "../debug/sanitize.h"
#include "runq.h"
#include "sched.h"

#define CLOCK_EVERY 16 /* switches between looks at the clock and at I/O */
#define FAIR_EVERY (4 * CLOCK_EVERY) /* at the global queue instead */
#define DECAY_EVERY (256 * CLOCK_EVERY) /* at warm stacks */
#define FAIR_MS 10 /* between turns of the oldest that has not run */
#define DECAY_NS 1000000000LL

static void entry(void *pass);

/* What is left to do for the goroutine that was left. */
static __attribute__((noinline)) struct burrow_thread *
finish(struct burrow_thread *self, struct goroutine *left)
{
	if (self->after == AFTER_LOOP)
		return self;
	burrow_stack_leave(&left->stack);
	switch (self->after) {
	case AFTER_LOOP:
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
	return self;
}

/*
 * Where a goroutine comes out of a switch. We get the thread handed over; its
 * address from before the switch may be wrong.
 */
static inline struct burrow_thread *landed(struct burrow_thread *self)
{
	struct goroutine *left = self->left;

	if (burrow_unlikely(self->after != AFTER_NOTHING))
		return finish(self, left);
	burrow_stack_leave(&left->stack);
	return self;
}

/* Whether to wake somebody for one more, when little waits here. */
static bool may_skip(struct burrow_proc *proc)
{
	if (proc->skip) {
		proc->skip--;
		return true;
	}
	proc->skip = __atomic_load_n(&proc->skip_max, __ATOMIC_RELAXED);
	return false;
}

static void wake_for_work(struct burrow_proc *proc)
{
	/* Pairs with the heavy barrier in idle.c: it sees our work, or we it. */
	burrow_barrier_light();
	if (burrow_likely(!__atomic_load_n(&burrow_runtime.nr_idle,
					   __ATOMIC_RELAXED)))
		return;
	if (burrow_runq_length(proc) > BURROW_QUEUE_FEW || !may_skip(proc))
		burrow_wake_one();
}

/* Where it is not all done at once. */
static __attribute__((noinline)) void ready_slow(struct burrow_thread *self,
						 struct goroutine *g)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *old;

	BURROW_PROBE(go_ready, g->id, self->current->id);
	old = burrow_runq_set_next(proc, g);
	if (old) {
		burrow_runq_push(proc, old);
		wake_for_work(proc);
		return;
	}
	proc->next_told = false;
	if (!__atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED))
		return;
	if (may_skip(proc))
		return;
	proc->next_told = true;
	burrow_wake_one();
}

/*
 * It runs next: what it will touch first comes from memory while who made it
 * ready is still busy with going. With many goroutines its stack is in no cache,
 * nor is the translation of its address.
 */
static inline void prefetch(const struct goroutine *g)
{
	const char *stack = g->context;

	__builtin_prefetch(stack);
	__builtin_prefetch(stack + 64);
	__builtin_prefetch(stack + 128);
}

/* It has the place to itself, nobody is idle, and nobody watches. */
static inline bool ready_quick(struct burrow_proc *proc, struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	prefetch(g);
	if (burrow_unlikely(
		    BURROW_WATCHED(go_ready) ||
		    __atomic_load_n(&proc->next, __ATOMIC_RELAXED) ||
		    __atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED)))
		return false;
	__atomic_store_n(&proc->next, g, __ATOMIC_RELEASE);
	proc->next_told = false;
	return true;
}

void burrow_ready(struct burrow_thread *self, struct goroutine *g)
{
	if (!ready_quick(self->proc, g))
		ready_slow(self, g);
}

static __attribute__((noinline)) int
ready_slow_leave(struct burrow_thread *self, struct goroutine *g, int ret)
{
	ready_slow(self, g);
	burrow_leave(self);
	return ret;
}

int burrow_ready_leave(struct burrow_thread *self, struct goroutine *g, int ret)
{
	if (!ready_quick(self->proc, g))
		return ready_slow_leave(self, g, ret);
	burrow_leave(self);
	return ret;
}

void burrow_ready_new(struct burrow_thread *self, struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	burrow_fresh_push(self->proc, g);
	wake_for_work(self->proc);
}

static __attribute__((noinline)) int
ready_new_slow_leave(struct burrow_thread *self, struct goroutine *g)
{
	burrow_ready_new(self, g);
	burrow_leave(self);
	return 0;
}

/* Quick where this processor is alone, as wake_for_work() then has no work. */
int burrow_ready_new_leave(struct burrow_thread *self, struct goroutine *g)
{
	struct burrow_fresh *f = &self->proc->fresh;

	if (!burrow_solo || f->tail - f->head == BURROW_QUEUE_LEN)
		return ready_new_slow_leave(self, g);
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	f->ring[f->tail % BURROW_QUEUE_LEN] = g;
	__atomic_store_n(&f->tail, f->tail + 1, __ATOMIC_RELEASE);
	burrow_leave(self);
	return 0;
}

/* See runq.c: behind those that were there before. */
static void push_behind(struct goroutine *g)
{
	pthread_mutex_lock(&burrow_runtime.lock);
	burrow_global_push(g);
	pthread_mutex_unlock(&burrow_runtime.lock);
}

void burrow_ready_last(struct burrow_thread *self, struct goroutine *g)
{
	BURROW_PROBE(go_ready, g->id, self->current->id);
	WRITE_ONCE(g->state, GOROUTINE_RUNNABLE);
	if (burrow_unlikely(READ_ONCE(burrow_runtime.spilled)))
		push_behind(g);
	else
		burrow_runq_push(self->proc, g);
	wake_for_work(self->proc);
}

void burrow_ready_foreign(struct goroutine *g)
{
	BURROW_PROBE(go_ready, g->id, (uint64_t)0);
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
static bool must_look(const struct burrow_proc *proc)
{
	return proc->io_busy || READ_ONCE(proc->timers.count) ||
	       proc->tick % DECAY_EVERY == CLOCK_EVERY ||
	       READ_ONCE(burrow_runtime.help) ||
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
		g = burrow_global_take_turn(proc, FAIR_EVERY);
	return g ? g : burrow_runq_pop_ring(proc);
}

/*
 * One to run, or NULL: pick_slow() may have one. Calls nothing, so that those
 * who switch need keep nothing on their stacks.
 */
static inline struct goroutine *pick(struct burrow_proc *proc)
{
	uint64_t tick = proc->tick + 1;
	struct goroutine *g;

	__atomic_store_n(&proc->tick, tick, __ATOMIC_RELAXED);
	if (burrow_unlikely(tick % CLOCK_EVERY == 0))
		return NULL;
	g = burrow_runq_take_next(proc);
	if (!g)
		return burrow_runq_pop_ring(proc);
	if (burrow_unlikely(proc->next_told)) {
		proc->next_told = false;
		burrow_runq_told_in_vain(proc);
	}
	return g;
}

static inline void count_missed(struct burrow_proc *proc, int n)
{
	__atomic_store_n(&proc->misses, proc->misses + n, __ATOMIC_RELAXED);
}

/* The rest of it. NULL: there is none, or the loop has to look around. */
static struct goroutine *pick_slow(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *g = NULL;

	if (proc->tick % FAIR_EVERY == 0) {
		g = pick_fair(proc);
	} else if (proc->tick % CLOCK_EVERY == 0 && must_look(proc)) {
		self->look = true;
		count_missed(proc, 1);
		return NULL;
	}
	if (!g)
		g = burrow_runq_pop(proc);
	if (!g)
		count_missed(proc, 1);
	return g;
}

static __attribute__((noinline)) void give_new_stack(struct burrow_thread *self,
						     struct goroutine *g)
{
	int err;

	err = burrow_stack_cache_get(&self->proc->cache, g->class, &g->stack);
	if (burrow_unlikely(err < 0)) {
		g->stack.arena = NULL;
		burrow_crash_no_stack(g, err);
	}
	g->cold = err;
}

/* A goroutine that has not run yet gets its stack. */
static inline void give_stack(struct burrow_thread *self, struct goroutine *g)
{
	if (!burrow_stack_cache_take(&self->proc->cache, g->class, &g->stack))
		give_new_stack(self, g);
	burrow_stack_label(&g->stack, g->id);
	burrow_stack_enter(&g->stack);
	burrow_san_create(g);
	if (burrow_unlikely(g->cold))
		burrow_site_start(g);
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

static inline __attribute__((always_inline)) struct burrow_thread *
exchange_with(struct burrow_thread *self, struct goroutine *to,
	      enum burrow_after after, bool asan)
{
	struct goroutine *from = self->current;
	void *fake = NULL;

	if (burrow_unlikely(self->exceptions))
		swap_exceptions(self->exceptions, from, to);
	self->left = from;
	self->after = after;
	WRITE_ONCE(self->current, to);
	if (asan)
		burrow_asan_begin(self, to, after == AFTER_FREE ? NULL : &fake);
	burrow_tsan_switch(to);
	self = burrow_arch_switch(&from->context, to->context, self);
	if (asan)
		burrow_asan_end(self, fake);
	return landed(self);
}

static __attribute__((noinline)) struct burrow_thread *
exchange_asan(struct burrow_thread *self, struct goroutine *to,
	      enum burrow_after after)
{
	return exchange_with(self, to, after, true);
}

/* Probes, AddressSanitizer, or both. */
static __attribute__((noinline)) struct burrow_thread *
exchange_watched(struct burrow_thread *self, struct goroutine *to,
		 enum burrow_after after)
{
	burrow_probe_switch(self, to, after);
	if (burrow_san_tools & BURROW_SAN_ASAN)
		return exchange_asan(self, to, after);
	return exchange_with(self, to, after, false);
}

/*
 * All switches are made here, in one place and with a small frame that holds
 * nothing: returns are predicted by where the last call was made, so the fewer
 * lie between here and the goroutine's own code the better, and what is pushed
 * is read from memory that has gone cold.
 */
static __attribute__((noinline)) struct burrow_thread *
exchange(struct burrow_thread *self, struct goroutine *to,
	 enum burrow_after after)
{
	if (burrow_unlikely(burrow_watch.any))
		return exchange_watched(self, to, after);
	return exchange_with(self, to, after, false);
}

static __attribute__((noinline)) struct burrow_thread *
start(struct burrow_thread *self, struct goroutine *to, enum burrow_after after)
{
	give_stack(self, to);
	WRITE_ONCE(to->state, GOROUTINE_RUNNING);
	return exchange(self, to, after);
}

static inline struct burrow_thread *switch_to(struct burrow_thread *self,
					      struct goroutine *to,
					      enum burrow_after after)
{
	if (burrow_unlikely(!to->stack.arena))
		return start(self, to, after);
	burrow_stack_enter(&to->stack);
	WRITE_ONCE(to->state, GOROUTINE_RUNNING);
	return exchange(self, to, after);
}

struct burrow_thread *burrow_switch_to_loop(struct burrow_thread *self,
					    enum burrow_after after)
{
	return exchange(self, &self->loop, after);
}

/*
 * Nothing to run (@next is NULL), or the loop is needed, for one that is locked
 * to a thread or leaves one.
 */
static __attribute__((noinline)) struct burrow_thread *
leave_to_loop(struct burrow_thread *self, struct goroutine *next,
	      enum burrow_after after)
{
	self->picked = next;
	if (next)
		count_missed(self->proc, 1);
	return exchange(self, &self->loop, after);
}

static inline struct burrow_thread *leave_for(struct burrow_thread *self,
					      struct goroutine *next,
					      enum burrow_after after)
{
	if (burrow_unlikely(next->locked || self->bound))
		return leave_to_loop(self, next, after);
	return switch_to(self, next, after);
}

static inline struct burrow_thread *leave_any(struct burrow_thread *self,
					      struct goroutine *next,
					      enum burrow_after after)
{
	if (!next)
		return leave_to_loop(self, NULL, after);
	return leave_for(self, next, after);
}

static __attribute__((noinline)) struct burrow_thread *
leave_slow(struct burrow_thread *self, enum burrow_after after)
{
	return leave_any(self, pick_slow(self), after);
}

static inline struct burrow_thread *leave(struct burrow_thread *self,
					  enum burrow_after after)
{
	struct goroutine *next = pick(self->proc);

	if (burrow_unlikely(!next))
		return leave_slow(self, after);
	return leave_for(self, next, after);
}

static void entry(void *pass)
{
	struct burrow_thread *self = pass;
	void (*fn)(void *arg) = self->start_fn;
	void *arg = self->start_arg;

	if (burrow_unlikely(burrow_san_tools & BURROW_SAN_ASAN))
		burrow_asan_end(self, NULL);
	burrow_leave(landed(self));
	fn(arg);
	burrow_exit();
}

static inline void waits(struct goroutine *g, enum goroutine_reason why)
{
	WRITE_ONCE(g->state, GOROUTINE_WAITING);
	g->reason = why;
	g->parked_at = READ_ONCE(burrow_runtime.clock);
}

struct burrow_thread *burrow_park(struct burrow_thread *self,
				  enum goroutine_reason why,
				  struct burrow_lock *lock)
{
	waits(self->current, why);
	/* Alone nobody can come before we are gone, and no lock is taken. */
	if (!lock || burrow_solo)
		return leave(self, AFTER_NOTHING);
	self->after_arg = lock;
	return leave(self, AFTER_UNLOCK);
}

struct burrow_thread *
burrow_park_call(struct burrow_thread *self, enum goroutine_reason why,
		 void (*fn)(struct goroutine *g, void *arg), void *arg)
{
	waits(self->current, why);
	self->after_fn = fn;
	self->after_arg = arg;
	return leave(self, AFTER_CALL);
}

static void queue_global(struct goroutine *g, void *arg)
{
	(void)arg;
	burrow_ready_foreign(g);
}

static __attribute__((noinline)) struct burrow_thread *
pass_slow(struct burrow_thread *self, struct goroutine *next)
{
	if (!next)
		next = pick_slow(self);
	if (!next && !self->look)
		next = burrow_global_take(self->proc);
	if (!next && !self->look)
		return self;
	if (burrow_fresh_empty(self->proc))
		return leave_any(self, next, AFTER_QUEUE);
	/*
	 * Those in the ring run first, and then, because we wait in the global
	 * queue, those that have not run yet.
	 */
	self->after_fn = queue_global;
	return leave_any(self, next, AFTER_CALL);
}

struct burrow_thread *burrow_pass(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	struct goroutine *next = pick(proc);

	if (burrow_unlikely(!next || !burrow_fresh_empty(proc) ||
			    burrow_runq_full(proc)))
		return pass_slow(self, next);
	if (!burrow_solo)
		return leave_for(self, next, AFTER_QUEUE);
	/* Nobody can take it from the queue before we are gone. */
	WRITE_ONCE(self->current->state, GOROUTINE_RUNNABLE);
	burrow_runq_put(proc, self->current);
	return leave_for(self, next, AFTER_NOTHING);
}

static __attribute__((noinline)) void yield_slow(void)
{
	burrow_leave(burrow_pass(burrow_enter("burrow_yield")));
}

void burrow_yield(void)
{
	struct burrow_thread *self = burrow_enter_quick();

	if (burrow_unlikely(!self))
		yield_slow();
	else
		burrow_leave(burrow_pass(self));
}

void burrow_exit(void)
{
	struct burrow_thread *self = burrow_enter("burrow_exit");

	if (burrow_unlikely(self->bound))
		burrow_unbind(self);
	leave(self, AFTER_FREE);
	__builtin_unreachable();
}

/* Runs a goroutine, which comes back here when there is no other to run. */
static void run(struct burrow_thread *self, struct goroutine *g)
{
	if (burrow_unlikely((g->bound && g->bound != self) ||
			    (self->bound && self->bound != g))) {
		burrow_bound_run(self, g);
		return;
	}
	count_missed(self->proc, -1);
	switch_to(self, g, AFTER_LOOP);
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
