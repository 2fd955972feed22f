// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Processors: how many there are, and how that changes while they run.
 *
 * Their structs stay for the life of the process, for foreign threads may look
 * at their counters at any time. The number changes with the world stopped. New
 * processors begin idle and without a thread. One that is too many retires when
 * its thread comes by: what it has queued, set and kept goes to others; as long
 * as I/O is under way in its ring its thread only serves that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "runq.h"
#include "sched.h"

/* Under runtime.lock. @proc begins as it would in a new process. */
static void proc_reset(struct burrow_proc *proc, int index)
{
	memset(proc, 0, sizeof(*proc));
	proc->index = index;
	proc->random = 0x9e3779b97f4a7c15ULL * (index + 1);
	burrow_timers_open(&proc->timers, proc);
	burrow_stack_cache_open(&proc->cache, burrow_runtime.pool);
}

static struct burrow_proc *proc_new(int index)
{
	struct burrow_proc *proc;

	proc = mmap(NULL, sizeof(*proc), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (proc == MAP_FAILED)
		return NULL;
	proc_reset(proc, index);
	return proc;
}

/* Idle, without a thread: whoever has work for it has it manned. */
static void proc_start(struct burrow_runtime *rt, struct burrow_proc *proc)
{
	proc->active = true;
	WRITE_ONCE(rt->nr_active, rt->nr_active + 1);
	WRITE_ONCE(proc->idle, true);
	proc->idle_next = rt->idle;
	rt->idle = proc;
	__atomic_store_n(&rt->nr_idle, rt->nr_idle + 1, __ATOMIC_SEQ_CST);
}

/* Under runtime.lock. Makes @n processors be; 0 or -ENOMEM with those so far. */
static int procs_set(struct burrow_runtime *rt, int n)
{
	struct burrow_proc *proc;
	int i;

	for (i = 0; i < n; i++) {
		proc = rt->procs[i];
		if (!proc) {
			proc = proc_new(i);
			if (!proc)
				break;
			__atomic_store_n(&rt->procs[i], proc, __ATOMIC_RELEASE);
		}
		if (!proc->active)
			proc_start(rt, proc);
		else if (i >= rt->nr_procs && proc->thread)
			/* On its way out, with I/O that it waits for. */
			burrow_thread_kick(proc->thread);
	}
	rt->nr_procs = i;
	burrow_solo = rt->nr_active == 1;
	return i < n ? -ENOMEM : 0;
}

int burrow_procs_open(int n)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int i;

	for (i = 0; rt->procs[i]; i++)
		proc_reset(rt->procs[i], i);
	return procs_set(rt, n);
}

/* When no thread is inside for good; stacks go with the pool. */
void burrow_procs_close(void)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int i;

	for (i = 0; rt->procs[i]; i++) {
		burrow_io_close(rt->procs[i]);
		burrow_timers_close(&rt->procs[i]->timers);
		burrow_stack_cache_drop(&rt->procs[i]->cache);
	}
}

static void give_work_away(struct burrow_thread *self)
{
	struct goroutine *g;

	while ((g = burrow_runq_pop(self->proc)))
		burrow_ready_foreign(g);
}

/* With the world stopped; false: timeouts found no room, it is tried again. */
static bool move_timers(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;

	if (!proc->timers.count)
		return true;
	return !burrow_timers_move(&rt->procs[0]->timers, &proc->timers);
}

/* Under runtime.lock: the processor is no more; the thread has none. */
static void proc_stop(struct burrow_thread *self, struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;

	goroutine_flush(proc);
	proc->active = false;
	WRITE_ONCE(proc->thread, NULL);
	self->proc = NULL;
	WRITE_ONCE(rt->nr_active, rt->nr_active - 1);
	/* The one that is left comes to nothing that we hold. */
	if (rt->nr_active == 1)
		__atomic_store_n(&burrow_solo, true, __ATOMIC_RELEASE);
}

/*
 * The loop of a processor that is too many comes here instead of running
 * anything. Timeouts move with the world stopped, for which we must be outside,
 * and there the processor can be lost or wanted again.
 */
void burrow_proc_retire(struct burrow_thread *self)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_proc *proc = self->proc;
	struct burrow_thread *first;
	bool moved;

	burrow_timers_run(self, &proc->timers, burrow_now());
	give_work_away(self);
	if (proc->io_busy) {
		burrow_io_sleep(self, __atomic_load_n(&proc->timers.next,
						      __ATOMIC_RELAXED));
		return;
	}
	burrow_stack_cache_close(&proc->cache);
	burrow_leave(self);
	burrow_world_stop(self);
	moved = self->proc == proc && proc->index >= rt->nr_procs &&
		!self->bound_ready && burrow_runq_empty(proc) &&
		move_timers(proc);
	if (moved) {
		pthread_mutex_lock(&rt->lock);
		proc_stop(self, proc);
		pthread_mutex_unlock(&rt->lock);
		first = READ_ONCE(rt->procs[0]->thread);
		if (first)
			burrow_thread_kick(first);
	}
	burrow_world_start(self);
	burrow_reenter(self);
}

/* Idle and without a thread: it was never used, and holds nothing. */
static void proc_drop(struct burrow_runtime *rt, struct burrow_proc *proc)
{
	burrow_idle_remove(proc);
	proc->active = false;
	WRITE_ONCE(rt->nr_active, rt->nr_active - 1);
}

/*
 * With the world stopped. Idle ones that are too many must come to know of it;
 * those that have no thread yet need none to go.
 */
static void rouse_surplus(struct burrow_runtime *rt)
{
	struct burrow_proc *proc;
	int i;

	for (i = rt->nr_procs; rt->procs[i]; i++) {
		proc = rt->procs[i];
		if (!proc->active || !proc->idle)
			continue;
		if (!proc->thread) {
			proc_drop(rt, proc);
			continue;
		}
		burrow_idle_remove(proc);
		burrow_thread_kick(proc->thread);
	}
	burrow_solo = rt->nr_active == 1;
}

/* Under runtime.lock, with the world stopped. Returns what it was before. */
static int change(struct burrow_runtime *rt, int n)
{
	int old = rt->nr_procs, ret = 0;

	/* The run may have ended before the world stopped. */
	if (!rt->running || READ_ONCE(rt->done))
		return -ESRCH;
	if (n)
		ret = procs_set(rt, n);
	if (ret)
		procs_set(rt, old);
	rouse_surplus(rt);
	return ret ? ret : old;
}

int burrow_set_procs(int n)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *self = burrow_self();
	int ret;

	if (n < 0 || n > BURROW_PROCS_MAX)
		return -EINVAL;
	if (!__atomic_load_n(&rt->running, __ATOMIC_ACQUIRE))
		return -ESRCH;
	/* One that has lost its processor comes by itself; we may be gone. */
	if (self && !(__atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
		      ATTENTION_BLOCKING)) {
		burrow_leave(burrow_enter("burrow_set_procs"));
		self = burrow_self();
	}

	burrow_world_stop(self);
	pthread_mutex_lock(&rt->lock);
	ret = change(rt, n);
	pthread_mutex_unlock(&rt->lock);
	burrow_world_start(self);
	if (__atomic_load_n(&rt->queued, __ATOMIC_RELAXED))
		burrow_wake_one();
	return ret;
}
