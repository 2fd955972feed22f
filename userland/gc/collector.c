// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The collector's thread: cycles, as they are asked for (request.c), and what is
 * between them.
 *
 * What was dead before a request is free when its cycle is complete. Goroutines that
 * allocate while it marks help (assist), in proportion, for a bounded time.
 *
 * Between cycles the thread sweeps, and gives memory that has been free for a
 * while to the system. It blocks all signals. It ends with the run, before the
 * runtime's threads do.
 *
 * Lock: collector.lock, under which nothing is called that waits. It is inner to
 * runtime.lock, and not taken in a stop: threads outside may hold it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../heap/module.h"
#include "../heap/profile.h"
#include "../sched/sched.h"
#include "chores.h"
#include "collector.h"
#include "deep.h"
#include "ephemeron.h"
#include "gc.h"
#include "saved.h"
#include "stop.h"
#include "track.h"
#include "trim.h"
#include "weak.h"
#include "workers.h"

#define STACK_LEAST 4096UL /* bytes that each has */

struct burrow_collector burrow_collector = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct burrow_collector *const gc = &burrow_collector;

uint64_t burrow_collector_heap(void)
{
	struct burrow_heap_counts counts;

	burrow_heap_count(gc->heap, &counts);
	return __atomic_load_n(&gc->live, __ATOMIC_RELAXED) + counts.allocated -
	       __atomic_load_n(&gc->allocated, __ATOMIC_RELAXED) +
	       __atomic_load_n(&gc->external, __ATOMIC_RELAXED);
}

bool burrow_gc_is_late(void)
{
	return burrow_collector_heap() >=
	       __atomic_load_n(&gc->goal, __ATOMIC_RELAXED);
}

/* At every refill while a cycle runs: see soon(). */
void burrow_collector_set_trigger(void)
{
	uint64_t trigger = gc->pacer.trigger, there = gc->live + gc->external;

	__atomic_store_n(&gc->goal, gc->pacer.goal, __ATOMIC_RELAXED);
	__atomic_store_n(&gc->trigger, trigger, __ATOMIC_RELAXED);
	if (gc->config.stress || gc->begun != gc->done) {
		trigger = 0;
	} else if (trigger != UINT64_MAX) {
		trigger = trigger > there ? trigger - there : 0;
		trigger += gc->allocated;
	}
	burrow_heap_trigger(gc->heap, trigger);
	burrow_heap_stock_again(gc->heap);
}

/* A page at least for each; to ask the system takes long where they are many. */
static uint64_t stack_bytes(void)
{
	return burrow_roots_count.stacks +
	       burrow_num_goroutines() * STACK_LEAST;
}

void burrow_collector_paused(int64_t ns, const struct burrow_pause *longest)
{
	gc->pause_total += ns;
	if ((uint64_t)longest->ns > gc->pause_max)
		gc->pause_max = longest->ns;
	if ((uint64_t)longest->cpu > gc->pause_cpu_max)
		gc->pause_cpu_max = longest->cpu;
}

/* Under the lock. */
static void account(const struct burrow_cycle *c,
		    const struct burrow_heap_counts *counts)
{
	const struct burrow_pacer_end end = {
		.young = c->young,
		.live = c->live + gc->external,
		.roots = burrow_roots_count.stacks + burrow_roots_count.statics,
		.overhead = stack_bytes() + counts->kept + counts->tables,
		.allocated = c->allocated,
	};

	burrow_collector_paused(c->paused, &c->longest);
	gc->cpu += c->cpu_ns;
	gc->external_low = gc->external;
	__atomic_store_n(&gc->dead, c->peak > c->live ? c->peak - c->live : 0,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&gc->live, c->live, __ATOMIC_RELAXED);
	gc->marked = c->marked;
	__atomic_store_n(&gc->allocated, counts->allocated, __ATOMIC_RELAXED);
	burrow_pacer_cycle(&gc->pacer, &end);
}

/*
 * As Go's gctrace=1 has it: wall clock of stop, marking beside the program, stop;
 * the collector's CPU; the heap before, at the end, and what of it lives.
 */
static void trace(const struct burrow_cycle *c)
{
	const struct burrow_roots_count *n = &burrow_roots_count;
	int64_t beside = c->mark_ns - c->first.ns - c->last.ns;

	burrow_print(
		STDERR_FILENO,
		"gc %lu @%lums: %lu+%lu+%lu us clock, %lu+%lu/%lu us cpu, %lu->%lu->%lu KiB, %lu KiB goal, %lu KiB stacks, %lu KiB globals, %u+%u rounds, %lu pages, %u threads stopped, %d P, %lu KiB by others%s%s\n",
		c->number, (c->at - burrow_runtime.started_at) / 1000000,
		c->first.ns / 1000, beside / 1000, c->last.ns / 1000,
		c->first.cpu / 1000, c->last.cpu / 1000, c->cpu_ns / 1000,
		c->before >> 10, c->peak >> 10, c->live >> 10,
		c->goal == UINT64_MAX ? 0 : c->goal >> 10, n->stacks >> 10,
		(n->statics + n->others) >> 10, c->rounds, c->passes, c->dirty,
		burrow_stop_count(), burrow_runtime.nr_procs,
		c->by_workers >> 10, c->young ? " (young)" : "",
		c->forced ? " (forced)" : "");
}

void burrow_collector_begin(struct burrow_cycle *c)
{
	gc->begun = c->number;
	c->dumps = burrow_collector_dumps(c->number);
	burrow_collector_set_trigger();
}

struct burrow_gc_waiter *burrow_collector_end(struct burrow_cycle *c)
{
	struct burrow_heap_counts counts;

	c->peak = burrow_collector_heap();
	burrow_heap_count(gc->heap, &counts);
	account(c, &counts);
	__atomic_store_n(&gc->done, c->number, __ATOMIC_RELAXED);
	gc->rest_at = burrow_now();
	gc->rest_from = counts.allocated;
	burrow_collector_set_trigger();
	if (gc->config.trace)
		trace(c);
	return burrow_collector_waiters();
}

/* Without the lock. */
static void work(struct burrow_cycle *c, bool handed)
{
	burrow_trim_cycle_begin();
	if (handed)
		burrow_cycle_go_on(c, gc->tracker);
	else
		burrow_cycle_run(c, gc->tracker);
	burrow_trim_cycle_end();
	if (c->forced)
		burrow_heap_sweep_all(gc->heap);
	burrow_weak_run();
}

/* Under the lock, which is dropped meanwhile. */
static void run_cycle(void)
{
	struct burrow_gc_waiter *woken;
	struct burrow_cycle c = gc->cycle;
	bool handed = gc->handed;

	gc->handed = false;
	if (!handed) {
		burrow_collector_plan(&c);
		burrow_collector_begin(&c);
	}
	pthread_mutex_unlock(&gc->lock);
	work(&c, handed);
	pthread_mutex_lock(&gc->lock);
	woken = burrow_collector_end(&c);
	pthread_mutex_unlock(&gc->lock);
	if (c.forced)
		burrow_gc_swept();
	burrow_collector_wake(woken);
	pthread_mutex_lock(&gc->lock);
}

/* The first that works; the heap is watched by it for the rest of the run. */
static void open_tracker(void)
{
	const struct burrow_heap_module *module;
	const struct burrow_tracker *const *t;
	char *low, *high;

	burrow_heap_tracked_half(gc->heap, &low, &high);
	module = burrow_heap_module_of(gc->heap);
	for (t = burrow_trackers; *t; t++) {
		if (gc->config.no_uffd && *t == &burrow_track_uffd)
			continue;
		if (burrow_track_try(*t, module ? module->fd : -1) ||
		    (*t)->open(module))
			continue;
		if (!(*t)->watch(low, high))
			break;
		(*t)->close();
	}
	gc->tracker = *t;
}

/* Under the lock. */
static bool has_cycle(void)
{
	return gc->wanted > gc->done && !gc->elsewhere;
}

/* Under the lock. What a goroutine has begun needs the tracker, and an end. */
static bool may_end(void)
{
	return gc->quit && !gc->elsewhere && !gc->handed;
}

bool burrow_collector_called(void)
{
	return has_cycle() || gc->quit || gc->cleanups || gc->stock;
}

/* Under the lock: a goroutine runs a cycle, beside which nothing is tidied. */
static void stand_by(void)
{
	gc->stands_by = true;
	pthread_cond_wait(&gc->wake, &gc->lock);
	gc->stands_by = false;
}

static void run_cleanups(void)
{
	gc->cleanups = false;
	pthread_mutex_unlock(&gc->lock);
	burrow_weak_run();
	pthread_mutex_lock(&gc->lock);
}

static void *collector_main(void *arg)
{
	(void)arg;
	open_tracker();
	pthread_mutex_lock(&gc->lock);
	gc->ready = true;
	while (!may_end()) {
		if (has_cycle() && (!gc->quit || gc->handed))
			run_cycle();
		else if (gc->cleanups && !gc->quit)
			run_cleanups();
		else if (gc->elsewhere && !gc->quit)
			stand_by();
		else if (gc->quit || (!burrow_collector_tidy() &&
				      !burrow_collector_called()))
			pthread_cond_wait(&gc->wake, &gc->lock);
	}
	gc->ready = false;
	pthread_mutex_unlock(&gc->lock);
	burrow_deep_close();
	if (gc->tracker)
		gc->tracker->close();
	gc->tracker = NULL;
	return NULL;
}

static int start_thread(void)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	/* A fault that is blocked kills without a word. */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	ret = pthread_create(&gc->thread, NULL, collector_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void burrow_gc_man(void)
{
	int ret;

	if (gc->manned || __atomic_load_n(&gc->wanted, __ATOMIC_RELAXED) ==
				  __atomic_load_n(&gc->done, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&gc->lock);
	ret = start_thread();
	gc->manned = !ret;
	pthread_mutex_unlock(&gc->lock);
	/* Whoever waits would wait for ever. */
	if (!ret)
		return;
	burrow_print(STDERR_FILENO, "burrow: no thread for the collector: %s\n",
		     strerror(ret));
	abort();
}

static void cond_open(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&gc->wake, &attr);
	pthread_condattr_destroy(&attr);
}

/* The numbers of cycles begin anew. */
void burrow_gc_open(const struct burrow_gc_config *config,
		    struct burrow_heap *heap)
{
	pthread_mutex_lock(&gc->lock);
	cond_open();
	gc->config = *config;
	gc->heap = heap;
	gc->manned = false;
	gc->ready = false;
	gc->elsewhere = false;
	gc->handed = false;
	gc->cleanups = false;
	gc->tidying = false;
	gc->quit = false;
	gc->cpus = burrow_cpus();
	gc->wanted = 0;
	gc->begun = 0;
	gc->done = 0;
	gc->swept = 0;
	gc->stock = false;
	gc->release = false;
	gc->waiters = NULL;
	gc->pause_max = 0;
	gc->pause_total = 0;
	gc->pause_cpu_max = 0;
	gc->cpu = 0;
	gc->full = 0;
	gc->live = 0;
	gc->rest_at = 0;
	gc->rest_from = 0;
	gc->scavenged = 0;
	gc->rested = 0;
	gc->marked = 0;
	gc->allocated = 0;
	gc->external = 0;
	gc->external_low = 0;
	gc->refills = 0;
	burrow_trim_open();
	burrow_profile_open(heap, config->profile);
	burrow_pacer_open(&gc->pacer, config->percent,
			  burrow_heap_limit(heap, config->limit));
	burrow_collector_set_trigger();
	pthread_mutex_unlock(&gc->lock);
}

/* A cycle that runs is finished first; threads may stop for it meanwhile. */
void burrow_gc_quit(void)
{
	bool manned;

	pthread_mutex_lock(&gc->lock);
	gc->quit = true;
	manned = gc->manned;
	if (manned)
		pthread_cond_signal(&gc->wake);
	pthread_mutex_unlock(&gc->lock);
	if (manned) {
		pthread_join(gc->thread, NULL);
		burrow_workers_close();
	}
	pthread_mutex_lock(&gc->lock);
	gc->manned = false;
	pthread_mutex_unlock(&gc->lock);
}

void burrow_gc_close(void)
{
	struct burrow_heap *heap;

	pthread_mutex_lock(&gc->lock);
	heap = gc->heap;
	gc->heap = NULL;
	pthread_mutex_unlock(&gc->lock);
	if (heap)
		burrow_profile_close(heap);
	burrow_saved_close();
	burrow_weak_close();
	burrow_ephemerons_close();
}

/* A child may run goroutines of its own: nobody who is not there has a lock. */
void burrow_gc_fork(void)
{
	pthread_mutex_lock(&gc->lock);
	burrow_weak_lock();
	burrow_ephemerons_lock();
	burrow_profile_lock();
}

static void unlock_all(void)
{
	burrow_profile_unlock();
	burrow_ephemerons_unlock();
	burrow_weak_unlock();
	pthread_mutex_unlock(&gc->lock);
}

void burrow_gc_fork_parent(void)
{
	unlock_all();
}

/* The heap is the child's too, but nobody runs on it. */
void burrow_gc_fork_child(void)
{
	gc->manned = false;
	gc->heap = NULL;
	gc->waiters = NULL;
	if (gc->tracker)
		gc->tracker->close();
	gc->tracker = NULL;
	burrow_saved_close();
	burrow_workers_fork_child();
	burrow_chores_fork_child();
	unlock_all();
}
