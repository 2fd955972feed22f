// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The monitor: what must go on although every processor is busy.
 *
 * It runs on the thread that called burrow_run(), and holds no processor. Every
 * few milliseconds, as long as any processor is not idle, it
 *
 *  - takes the processor from a thread that has been outside for a whole period
 *    without a switch, in plain C code or in burrow_blocking(), if there is
 *    anything else for that processor to do, and gives it to another thread;
 *  - starts threads for processors that wait for one;
 *  - wakes an idle processor where work lies about;
 *  - gives back stacks that have rested for long;
 *  - hibernates goroutines that have been parked for long (hibernate.c);
 *  - keeps the coarse clock, prints schedtrace, serves SIGQUIT.
 *
 * When all are idle it sleeps until the bell rings: somebody woke a processor,
 * a foreign thread or a signal handler left something, the main goroutine is
 * through.
 *
 * Taking a processor is safe because its thread is outside (sched.h), where it
 * touches nothing of the processor's, and finds out that it has lost it before
 * it touches anything again. No signal is sent: C code that is interrupted may
 * hold a lock of libc's.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../debug/dump.h"
#include "../debug/print.h"
#include "../gc/gc.h"
#include "runq.h"
#include "sched.h"

#define PERIOD_NS 4000000LL
#define HOG_NS 4000000LL
#define THREAD_NS 1000000000LL /* in which no thread can be had */

/* From signal handlers too. */
void burrow_bell(void)
{
	__atomic_add_fetch(&burrow_runtime.bell, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &burrow_runtime.bell, FUTEX_WAKE_PRIVATE, 1, NULL,
		NULL, 0);
}

void burrow_monitor_rouse(void)
{
	if (!burrow_runtime.deep)
		return;
	burrow_runtime.deep = 0;
	burrow_bell();
}

static void wait_for_bell(uint32_t bell, int64_t ns)
{
	const struct timespec ts = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	syscall(SYS_futex, &burrow_runtime.bell, FUTEX_WAIT_PRIVATE, bell,
		ns == BURROW_FOREVER ? NULL : &ts, NULL, 0);
}

/* Under runtime.lock: 0, or why one of them has to wait on. */
static int man_each(struct burrow_runtime *rt)
{
	struct burrow_proc *proc, *left = rt->unmanned;
	int ret, err = 0;

	WRITE_ONCE(rt->unmanned, NULL);
	while ((proc = left)) {
		left = proc->idle_next;
		if (rt->spares) {
			burrow_proc_man(proc);
			continue;
		}
		ret = burrow_thread_new(proc);
		if (!ret)
			continue;
		err = ret;
		proc->idle_next = rt->unmanned;
		WRITE_ONCE(rt->unmanned, proc);
	}
	return err;
}

/*
 * Threads for processors that wait for one. That none can be had is told by the
 * system too late to refuse anything; after a second the program ends. @since:
 * when it began to fail, 0: it does not.
 */
static void man_all(struct burrow_runtime *rt, int64_t now, int64_t *since)
{
	int ret, threads;

	pthread_mutex_lock(&rt->lock);
	ret = man_each(rt);
	threads = rt->nr_threads;
	pthread_mutex_unlock(&rt->lock);
	if (!ret)
		*since = 0;
	else if (!*since)
		*since = now;
	if (!ret || now - *since < THREAD_NS)
		return;
	burrow_print(
		STDERR_FILENO,
		"burrow: no thread for a processor (there are %d): %s: see ulimit -u and the pids limit of the cgroup\n",
		threads, strerror(-ret));
	abort();
}

/* Whether its processor is missed by anybody. */
static bool has_other_work(const struct burrow_runtime *rt,
			   const struct burrow_proc *proc, int64_t now)
{
	return !burrow_runq_empty(proc) ||
	       __atomic_load_n(&proc->next, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&rt->queued, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&rt->notified, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&proc->io_busy, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&proc->timers.next, __ATOMIC_RELAXED) <=
		       now + PERIOD_NS;
}

/* Under runtime.lock. */
static void take_processor(struct burrow_runtime *rt, struct burrow_proc *proc)
{
	struct burrow_thread *t = proc->thread;

	if (!t || proc->idle || t->proc != proc ||
	    READ_ONCE(t->current) == &t->loop)
		return;
	if (!burrow_thread_stop(t, ATTENTION_LOST)) {
		/* It is inside; if it looks, it does so under the lock. */
		__atomic_and_fetch(&t->attention, ~ATTENTION_LOST,
				   __ATOMIC_SEQ_CST);
		return;
	}
	rt->away++;
	WRITE_ONCE(t->proc, NULL);
	WRITE_ONCE(proc->thread, NULL);
	burrow_proc_man(proc);
}

static void look_at(struct burrow_runtime *rt, struct burrow_proc *proc,
		    int64_t now)
{
	uint64_t switches = burrow_proc_switches(proc);

	if (switches != proc->seen_switches) {
		proc->seen_switches = switches;
		proc->seen_at = now;
		return;
	}
	if (now - proc->seen_at < HOG_NS || !has_other_work(rt, proc, now))
		return;
	pthread_mutex_lock(&rt->lock);
	if (burrow_proc_switches(proc) == switches)
		take_processor(rt, proc);
	pthread_mutex_unlock(&rt->lock);
}

/* Work that lies where an idle processor could take it. */
static bool work_lies_about(const struct burrow_runtime *rt)
{
	struct burrow_proc *proc;
	int i;

	if (READ_ONCE(rt->queued) || READ_ONCE(rt->notified))
		return true;
	/* Pairs with procs_set(): more may be coming. */
	for (i = 0; (proc = __atomic_load_n(&rt->procs[i], __ATOMIC_ACQUIRE));
	     i++) {
		if (READ_ONCE(proc->next) || !burrow_runq_empty(proc))
			return true;
	}
	return false;
}

static void look_at_all(struct burrow_runtime *rt, int64_t now)
{
	struct burrow_proc *proc;
	int i;

	if (pthread_mutex_trylock(&burrow_world))
		return;
	for (i = 0; (proc = rt->procs[i]); i++) {
		if (proc->active && !READ_ONCE(proc->idle))
			look_at(rt, proc, now);
	}
	pthread_mutex_unlock(&burrow_world);
	if (__atomic_load_n(&rt->nr_idle, __ATOMIC_RELAXED) &&
	    work_lies_about(rt))
		burrow_wake_one();
}

static int count_spares(const struct burrow_runtime *rt)
{
	const struct burrow_thread *t;
	int n = 0;

	for (t = rt->spares; t; t = t->spare_next)
		n++;
	return n;
}

/* As Go's GODEBUG=schedtrace prints it. */
static void schedtrace(struct burrow_runtime *rt, int64_t now)
{
	char line[512];
	size_t len;
	uint32_t n;
	int i;

	pthread_mutex_lock(&rt->lock);
	len = snprintf(
		line, sizeof(line),
		"SCHED %ldms: gomaxprocs=%d idleprocs=%u threads=%d spinningthreads=%u needspinning=0 idlethreads=%d runqueue=%zu [",
		(long)((now - rt->started_at) / 1000000), rt->nr_procs,
		rt->nr_idle, rt->nr_threads, READ_ONCE(rt->spinning),
		count_spares(rt), rt->queued);
	for (i = 0; i < rt->nr_procs && len < sizeof(line) - 16; i++) {
		n = __atomic_load_n(&rt->procs[i]->tail, __ATOMIC_RELAXED) -
		    __atomic_load_n(&rt->procs[i]->head, __ATOMIC_RELAXED);
		len += snprintf(line + len, sizeof(line) - len, "%s%u",
				i ? " " : "", n);
	}
	pthread_mutex_unlock(&rt->lock);
	burrow_print(STDERR_FILENO, "%s]\n", line);
}

/*
 * Something runs, or has run since this was called last: for less than a period, it may
 * be, and then no look has met it.
 */
static bool has_run(const struct burrow_runtime *rt, uint64_t *switches)
{
	uint64_t was = *switches;
	struct burrow_proc *proc;
	int i;

	*switches = 0;
	/* Pairs with procs_set(): more may be coming. */
	for (i = 0; (proc = __atomic_load_n(&rt->procs[i], __ATOMIC_ACQUIRE));
	     i++)
		*switches += burrow_proc_switches(proc);
	return *switches != was ||
	       READ_ONCE(rt->nr_idle) != READ_ONCE(rt->nr_active);
}

/* How long it may sleep; all idle: until the bell, or until @until. */
static int64_t patience(struct burrow_runtime *rt, bool rests, int64_t until,
			int64_t idle_since, int64_t now)
{
	int64_t ns = PERIOD_NS;

	pthread_mutex_lock(&rt->lock);
	if (rt->nr_idle == rt->nr_active && !rt->unmanned &&
	    !READ_ONCE(rt->done) && !rests &&
	    now - idle_since > 20 * PERIOD_NS) {
		rt->deep = 1;
		if (until == BURROW_FOREVER)
			ns = BURROW_FOREVER;
		else if (until - now > ns)
			ns = until - now;
	}
	pthread_mutex_unlock(&rt->lock);
	if (rt->config.schedtrace_ns && ns > rt->config.schedtrace_ns)
		ns = rt->config.schedtrace_ns;
	return ns;
}

void burrow_monitor(void)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int64_t now = rt->started_at, idle_since = now, traced_at = now;
	int64_t no_thread_since = 0, until;
	uint64_t switches = 0;
	uint32_t bell;
	bool rests;

	/* What our callers keep in registers is in our frame from here on. */
	__builtin_unwind_init();
	burrow_stacks_caller();
	burrow_hibernate_open();
	while (!__atomic_load_n(&rt->done, __ATOMIC_ACQUIRE)) {
		bell = __atomic_load_n(&rt->bell, __ATOMIC_SEQ_CST);
		now = burrow_now();
		WRITE_ONCE(rt->clock, (now - rt->started_at) / 1000000);
		if (READ_ONCE(rt->unmanned))
			man_all(rt, now, &no_thread_since);
		burrow_gc_man();
		if (READ_ONCE(rt->quit))
			burrow_dump_quit();
		look_at_all(rt, now);
		rests = burrow_stack_tidy(rt->pool, now);
		if (rt->config.schedtrace_ns &&
		    now - traced_at >= rt->config.schedtrace_ns) {
			traced_at = now;
			schedtrace(rt, now);
		}
		if (has_run(rt, &switches))
			idle_since = now;
		until = burrow_hibernate_some(rt, now, idle_since);
		wait_for_bell(bell,
			      patience(rt, rests, until, idle_since, now));
	}
}
