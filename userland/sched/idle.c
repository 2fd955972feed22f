// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A processor without work: where it looks, how it sleeps, how it is woken, and
 * when it is clear that nothing will ever come.
 *
 * Called by the loop of the thread that holds the processor. A sleeping thread
 * keeps its processor: it sleeps in the processor's ring where I/O is under way,
 * else on a futex, until the processor's first timeout. It is outside then, so
 * the world can stop over its head.
 *
 * To run a goroutine elsewhere than where it was made ready costs a microsecond:
 * each line of memory that the two share comes from the other's cache. So a thief
 * who finds only a few with an owner who moves on leaves them there: it takes them
 * if the owner has not switched while it looked, some four microseconds, and does
 * not stay awake for them. It tells who had it woken, and is woken less often then,
 * by half each time, until somebody has something to take (proc.skip_max). Should
 * the owner stop moving after all, the monitor wakes a processor within its period.
 *
 * The list of idle processors is under runtime.lock. Whoever takes one off the
 * list is responsible for it: its own thread when it wakes by itself, else the
 * one who wakes it, on whose behalf it spins already.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/print.h"
#include "runq.h"
#include "sched.h"

#define STEAL_ROUNDS 4
#define NEXT_PATIENCE 64 /* pauses before another's next goroutine is taken */

static void futex(uint32_t *word, int op, uint32_t value,
		  const struct timespec *until)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, until, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

/* Says that we sleep; false: somebody has kicked us since the last time. */
static bool fall_asleep(struct burrow_thread *self, uint32_t how)
{
	uint32_t awake = SLEEP_AWAKE;

	if (__atomic_compare_exchange_n(&self->sleep, &awake, how, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(&self->sleep, SLEEP_AWAKE, __ATOMIC_SEQ_CST);
	return false;
}

static void wake_up(struct burrow_thread *self)
{
	__atomic_store_n(&self->sleep, SLEEP_AWAKE, __ATOMIC_SEQ_CST);
}

void burrow_futex_sleep(struct burrow_thread *self, int64_t until)
{
	struct timespec ts = {
		.tv_sec = until / 1000000000,
		.tv_nsec = until % 1000000000,
	};

	if (!fall_asleep(self, SLEEP_FUTEX))
		return;
	burrow_leave(self);
	futex(&self->sleep, FUTEX_WAIT_BITSET, SLEEP_FUTEX,
	      until == BURROW_FOREVER ? NULL : &ts);
	wake_up(self);
	burrow_reenter(self);
}

void burrow_io_sleep(struct burrow_thread *self, int64_t until)
{
	WRITE_ONCE(self->sleep_proc, self->proc);
	if (!fall_asleep(self, SLEEP_IO))
		return;
	burrow_io_poll(self, until);
	wake_up(self);
}

/*
 * It looks at everything again before it sleeps the next time. One that woke by itself
 * meanwhile, and sleeps with another processor now, is kicked there for nothing.
 */
void burrow_thread_kick(struct burrow_thread *thread)
{
	uint32_t how;

	how = __atomic_exchange_n(&thread->sleep, SLEEP_KICKED,
				  __ATOMIC_SEQ_CST);
	if (how == SLEEP_FUTEX)
		futex(&thread->sleep, FUTEX_WAKE, 1, NULL);
	else if (how == SLEEP_IO)
		burrow_io_kick(READ_ONCE(thread->sleep_proc));
}

static void idle_push(struct burrow_runtime *rt, struct burrow_proc *proc)
{
	WRITE_ONCE(proc->idle, true);
	proc->idle_next = rt->idle;
	rt->idle = proc;
	__atomic_store_n(&rt->nr_idle, rt->nr_idle + 1, __ATOMIC_SEQ_CST);
}

/* True: it was on the list. */
bool burrow_idle_remove(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc **p;

	if (!proc->idle)
		return false;
	for (p = &rt->idle; *p != proc; p = &(*p)->idle_next)
		;
	*p = proc->idle_next;
	WRITE_ONCE(proc->idle, false);
	__atomic_store_n(&rt->nr_idle, rt->nr_idle - 1, __ATOMIC_SEQ_CST);
	burrow_monitor_rouse();
	return true;
}

/* Those without a thread come last: starting one takes longest. */
static struct burrow_proc *idle_choose(const struct burrow_runtime *rt)
{
	struct burrow_proc *proc;

	for (proc = rt->idle; proc; proc = proc->idle_next) {
		if (proc->thread)
			return proc;
	}
	return rt->idle;
}

static bool is_inside(void)
{
	struct burrow_thread *self = burrow_self();

	return self && READ_ONCE(self->inside);
}

/* Whether we are the one who is to wake a processor: it spins on our behalf. */
static bool may_wake_one(struct burrow_runtime *rt)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(&rt->spinning, &none, 1, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Under runtime.lock. The thread to kick, NULL: none can be had now. */
static struct burrow_thread *take_idle(struct burrow_runtime *rt,
				       struct burrow_proc *by)
{
	struct burrow_proc *proc = idle_choose(rt);

	if (proc) {
		burrow_idle_remove(proc);
		if (burrow_proc_man(proc)) {
			proc->thread->spinning = true;
			proc->thread->woken_by = by;
			return proc->thread;
		}
	}
	__atomic_sub_fetch(&rt->spinning, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/*
 * A run can't end while somebody is inside. All others may come at any time, also
 * when the next one is being made ready and has its processors but no thread yet.
 */
void burrow_wake_one(void)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *thread = NULL;
	bool inside;

	if (!__atomic_load_n(&rt->nr_idle, __ATOMIC_RELAXED))
		return;
	inside = is_inside();
	if (inside && !may_wake_one(rt))
		return;
	pthread_mutex_lock(&rt->lock);
	if (inside || (rt->running && may_wake_one(rt)))
		thread = take_idle(rt, inside ? burrow_self()->proc : NULL);
	if (thread && !inside)
		burrow_thread_kick(thread);
	pthread_mutex_unlock(&rt->lock);
	if (thread && inside)
		burrow_thread_kick(thread);
}

static void spin_begin(struct burrow_thread *self)
{
	struct burrow_runtime *rt = &burrow_runtime;
	uint32_t busy = READ_ONCE(rt->nr_active) - READ_ONCE(rt->nr_idle);

	if (2 * READ_ONCE(rt->spinning) >= busy)
		return;
	self->spinning = true;
	__atomic_add_fetch(&rt->spinning, 1, __ATOMIC_SEQ_CST);
}

/* It has found work: where there was some there may be more. */
static void spin_end(struct burrow_thread *self)
{
	self->spinning = false;
	if (!__atomic_sub_fetch(&burrow_runtime.spinning, 1, __ATOMIC_SEQ_CST))
		burrow_wake_one();
}

/* Those that are to go, too, as long as they hold something. */
static uint32_t count_victims(const struct burrow_runtime *rt)
{
	uint32_t n = rt->nr_procs;

	if (__atomic_load_n(&rt->nr_active, __ATOMIC_RELAXED) > n) {
		while (rt->procs[n])
			n++;
	}
	return n;
}

static void watch(struct burrow_thread *self, const struct burrow_proc *victim)
{
	if (victim->index < BURROW_LOOKS)
		self->seen[victim->index] = burrow_proc_switches(victim);
}

/* It has switched since: what little waits there has its turn soon. */
static bool moves(const struct burrow_thread *self,
		  const struct burrow_proc *victim)
{
	return victim->index < BURROW_LOOKS &&
	       self->seen[victim->index] != burrow_proc_switches(victim);
}

/* From all others once, beginning anywhere. */
static struct goroutine *steal_round(struct burrow_thread *self, int round)
{
	bool last = round == STEAL_ROUNDS - 1;
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc = self->proc, *victim;
	uint32_t i, n = count_victims(rt), at = burrow_random(proc) % n;
	struct goroutine *g;
	int64_t now = 0;

	for (i = 0; i < n; i++) {
		victim = rt->procs[(at + i) % n];
		if (victim == proc || !victim)
			continue;
		if (last &&
		    __atomic_load_n(&victim->timers.next, __ATOMIC_RELAXED) !=
			    BURROW_FOREVER) {
			now = now ? now : burrow_now();
			burrow_timers_run(self, &victim->timers, now);
			g = burrow_runq_pop(proc);
			if (g)
				return g;
		}
		if (!round)
			watch(self, victim);
		g = burrow_runq_steal(proc, victim,
				      last && !moves(self, victim));
		if (g)
			return g;
	}
	return NULL;
}

static struct goroutine *steal(struct burrow_thread *self)
{
	struct goroutine *g = NULL;
	int round, i;

	if (burrow_solo)
		return NULL;
	if (!self->spinning)
		spin_begin(self);
	if (!self->spinning)
		return NULL;
	for (round = 0; !g && round < STEAL_ROUNDS; round++) {
		g = steal_round(self, round);
		for (i = 0; !g && i < NEXT_PATIENCE; i++)
			burrow_arch_relax();
	}
	return g;
}

/*
 * On the list of the idle, and yet something comes of it: it waits for I/O or a
 * timer, or for the lock to leave the list, with what its I/O has made ready.
 */
static bool may_wake(struct burrow_proc *proc)
{
	/* The queue after the count: pairs with burrow_io_complete(). */
	return __atomic_load_n(&proc->timers.set, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&proc->io_busy, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&proc->next, __ATOMIC_ACQUIRE) ||
	       !burrow_runq_empty(proc);
}

/* Nothing runs, and nothing is under way that could make anything run. */
static bool is_deadlock(const struct burrow_runtime *rt)
{
	int i;

	if (rt->nr_idle != rt->nr_active || rt->away || rt->queued ||
	    rt->unmanned || READ_ONCE(rt->done) ||
	    __atomic_load_n(&rt->waiters, __ATOMIC_SEQ_CST) ||
	    __atomic_load_n(&rt->notified, __ATOMIC_SEQ_CST))
		return false;
	for (i = 0; rt->procs[i]; i++) {
		if (may_wake(rt->procs[i]))
			return false;
	}
	return true;
}

static void deadlock(void)
{
	burrow_print(STDERR_FILENO,
		     "burrow: all goroutines are asleep - deadlock!\n");
	burrow_dump_all(STDERR_FILENO);
	_exit(2);
}

/* On the list; false: there is something to do. */
static bool idle_begin(struct burrow_thread *self)
{
	struct burrow_runtime *rt = &burrow_runtime;
	bool idle = false;

	pthread_mutex_lock(&rt->lock);
	if (!rt->queued && !READ_ONCE(rt->done) && !self->bound_ready &&
	    self->proc->index < rt->nr_procs) {
		idle = true;
		idle_push(rt, self->proc);
		if (self->spinning) {
			self->spinning = false;
			__atomic_sub_fetch(&rt->spinning, 1, __ATOMIC_SEQ_CST);
		}
		if (is_deadlock(rt))
			deadlock();
	}
	pthread_mutex_unlock(&rt->lock);
	return idle;
}

/* Off the list, if nobody has taken us off it (we spin then). */
static void idle_end(struct burrow_thread *self, struct burrow_proc *proc)
{
	pthread_mutex_lock(&burrow_runtime.lock);
	if (self->proc == proc)
		burrow_idle_remove(proc);
	pthread_mutex_unlock(&burrow_runtime.lock);
}

/* After we are on the list, all that others may have queued before they saw. */
static bool work_waits(const struct burrow_thread *self,
		       const struct burrow_runtime *rt)
{
	const struct burrow_proc *proc;
	int i;

	if (__atomic_load_n(&rt->queued, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&rt->notified, __ATOMIC_RELAXED))
		return true;
	for (i = 0; (proc = rt->procs[i]); i++) {
		if (!burrow_runq_empty(proc) &&
		    (proc == self->proc || !moves(self, proc) ||
		     burrow_runq_length(proc) > BURROW_QUEUE_FEW))
			return true;
	}
	return false;
}

/* It was woken, looked, and found nothing: not so often from now on. */
static void found_nothing(struct burrow_thread *self)
{
	struct burrow_proc *by = self->woken_by;

	self->woken_by = NULL;
	if (by)
		burrow_runq_told_in_vain(by);
}

static void idle(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	int64_t until;

	if (!idle_begin(self))
		return;
	/* Pairs with the light barrier in wake_for_work(). */
	if (!burrow_solo)
		burrow_barrier_heavy();
	if (!work_waits(self, &burrow_runtime)) {
		until = __atomic_load_n(&proc->timers.next, __ATOMIC_RELAXED);
		if (proc->cache.count && proc->decay_at < until)
			until = proc->decay_at;
		if (proc->io_busy)
			burrow_io_sleep(self, until);
		else
			burrow_futex_sleep(self, until);
	} else {
		/* It may not be to be had yet: let the world stop. */
		burrow_leave(self);
		burrow_reenter(self);
	}
	idle_end(self, proc);
}

static void serve(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;
	int64_t now;

	if (proc->io_busy)
		burrow_io_poll(self, 0);
	if (__atomic_load_n(&burrow_runtime.notified, __ATOMIC_RELAXED))
		burrow_events_serve(self);
	if (burrow_unlikely(READ_ONCE(burrow_runtime.help)))
		burrow_hibernate_help();
	if (READ_ONCE(proc->timers.count) || proc->cache.count) {
		now = burrow_now();
		burrow_timers_run(self, &proc->timers, now);
		burrow_cache_decay(proc, now);
	}
}

struct goroutine *burrow_find(struct burrow_thread *self)
{
	struct goroutine *g;

	/* Pairs with send_home(): what it did to our goroutine. */
	if (__atomic_load_n(&self->bound_ready, __ATOMIC_ACQUIRE)) {
		WRITE_ONCE(self->bound_ready, false);
		if (self->spinning)
			spin_end(self);
		return self->bound;
	}
	if (burrow_unlikely(self->proc->index >= burrow_runtime.nr_procs)) {
		/* It takes no work: another is to look for what it was woken for. */
		if (self->spinning)
			spin_end(self);
		burrow_proc_retire(self);
		return NULL;
	}
	if (self->look) {
		self->look = false;
		serve(self);
	}
	g = burrow_runq_pop(self->proc);
	if (!g)
		g = burrow_global_take(self->proc);
	if (!g) {
		serve(self);
		g = burrow_runq_pop(self->proc);
	}
	if (!g)
		g = steal(self);
	if (!g) {
		found_nothing(self);
		idle(self);
		return NULL;
	}
	self->woken_by = NULL;
	if (self->spinning)
		spin_end(self);
	return g;
}
