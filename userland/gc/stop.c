// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stopping threads that are deep in the program's code.
 *
 * burrow_world_stop() keeps threads from coming into the runtime. Those that are
 * outside go on, hogs and threads in burrow_blocking() among them, and may hold
 * the only pointer to an object in a register. So each thread that is outside on
 * a goroutine's behalf is sent the stop signal; its handler says where its
 * registers lie, and waits. Threads that are in their loop have nothing of the
 * program's, and those in burrow_blocking_nogc() have promised to have nothing.
 *
 * The thread may be anywhere, in malloc or in dlopen(): the handler takes no
 * lock and calls nothing but system calls, and so must we while it stands.
 *
 * A thread's word goes from NONE to ASKED (by us, before the signal), to STANDS
 * (by its handler) and back to NONE (by us). A handler that still waits when the
 * next stop begins sees ASKED, returns, and comes again by the new signal, which
 * was held back meanwhile.
 *
 * A thread that blocks the signal can't be stopped, and nothing can be freed as
 * long as it runs: it is named after a second, and waited for. One that does not
 * may just be given no CPU: it is named after ten.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../arch/arch.h"
#include "../debug/dump.h"
#include "../debug/print.h"
#include "../sched/sched.h"
#include "images.h"
#include "stop.h"

#define PATIENCE 1 /* seconds */
#define WAITS 10 /* so long before a thread that just gets no CPU is named */
#define SPINS 2000 /* looks before we sleep; a signal takes some 5 us */

static uint32_t standing; /* threads that stand; a futex */
static uint32_t released; /* stops that have ended; a futex */
static uint32_t asked;
static const struct burrow_thread *stopper; /* if it runs a goroutine */
static pid_t stopping; /* the thread in which stop.fn is called; atomic */

/* True: the time was up. */
static bool futex_wait(uint32_t *word, uint32_t value,
		       const struct timespec *ts)
{
	return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ts, NULL,
		       0) &&
	       errno == ETIMEDOUT;
}

static void futex_wake(uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Not inlined: our frame lies below those that keep the registers. */
static __attribute__((noinline)) void stand(struct burrow_thread *self)
{
	uint32_t now;

	self->stop_frame = __builtin_frame_address(0);
	__atomic_store_n(&self->stop, STOP_STANDS, __ATOMIC_RELEASE);
	__atomic_add_fetch(&standing, 1, __ATOMIC_SEQ_CST);
	futex_wake(&standing, 1);
	for (;;) {
		now = __atomic_load_n(&released, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE) !=
		    STOP_STANDS)
			return;
		futex_wait(&released, now, NULL);
	}
}

/*
 * ThreadSanitizer puts handlers off and calls them from where it sees fit, with
 * what the registers were before; so those that we have are kept as well.
 */
bool burrow_stop_here(const void *ucontext)
{
	struct burrow_thread *self = burrow_self();

	if (!self ||
	    __atomic_load_n(&self->stop, __ATOMIC_ACQUIRE) != STOP_ASKED)
		return false;
	__builtin_unwind_init();
	self->stop_context = ucontext;
	stand(self);
	return true;
}

/* Outside, and on a goroutine's behalf; in doubt it is. */
static bool must_stand(const struct burrow_thread *t)
{
	return t != stopper &&
	       __atomic_load_n(&t->current, __ATOMIC_RELAXED) != &t->loop &&
	       !(__atomic_load_n(&t->attention, __ATOMIC_RELAXED) &
		 ATTENTION_NOGC);
}

static void ask(struct burrow_thread *t)
{
	__atomic_store_n(&t->stop, STOP_ASKED, __ATOMIC_SEQ_CST);
	if (syscall(SYS_tgkill, getpid(), t->tid, burrow_stop_signal))
		__atomic_store_n(&t->stop, STOP_NONE, __ATOMIC_SEQ_CST);
	else
		asked++;
}

/* As /proc says: the signals a thread blocks, in hexadecimal behind a name. */
static bool blocks_signal(pid_t tid)
{
	char path[64], text[2048];
	const char *at;
	ssize_t n = -1;
	int fd;

	burrow_format(path, sizeof(path), 0, "/proc/self/task/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, "SigBlk:");
	return at && strtoull(at + 7, NULL, 16) >> (burrow_stop_signal - 1) & 1;
}

/* Those that block the signal; in the end all. */
static bool name_missing(bool all)
{
	struct burrow_thread *t;
	bool named = false;

	for (t = burrow_runtime.threads; t; t = t->next) {
		if (__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE) != STOP_ASKED ||
		    !(all || blocks_signal(t->tid)))
			continue;
		named = true;
		burrow_print(
			STDERR_FILENO,
			"burrow: goroutine %lu%s%s%s: its thread %d does not stop for the collector: is signal %d blocked there? Code that touches no collected memory may run in burrow_blocking_nogc()\n",
			t->current->id, BURROW_NAME_ARGS(t->current), t->tid,
			burrow_stop_signal);
	}
	return named;
}

static void wait_until_all_stand(void)
{
	const struct timespec patience = { .tv_sec = PATIENCE };
	bool named = false;
	uint32_t have;
	int i, waits = 0;

	for (i = 0; i < SPINS; i++) {
		if (__atomic_load_n(&standing, __ATOMIC_ACQUIRE) == asked)
			return;
		burrow_arch_relax();
	}
	while ((have = __atomic_load_n(&standing, __ATOMIC_ACQUIRE)) < asked) {
		if (futex_wait(&standing, have, &patience) && !named)
			named = name_missing(++waits == WAITS);
	}
}

static void stand_all(void)
{
	struct burrow_thread *t;

	asked = 0;
	__atomic_store_n(&standing, 0, __ATOMIC_SEQ_CST);
	/* New ones begin at the list's head, and in their loop. */
	for (t = __atomic_load_n(&burrow_runtime.threads, __ATOMIC_ACQUIRE); t;
	     t = t->next) {
		if (must_stand(t))
			ask(t);
	}
	wait_until_all_stand();
}

static void release_all(void)
{
	struct burrow_thread *t;

	for (t = __atomic_load_n(&burrow_runtime.threads, __ATOMIC_ACQUIRE); t;
	     t = t->next) {
		if (t->stop != STOP_NONE)
			__atomic_store_n(&t->stop, STOP_NONE, __ATOMIC_RELEASE);
	}
	if (asked) {
		__atomic_add_fetch(&released, 1, __ATOMIC_RELEASE);
		futex_wake(&released, INT_MAX);
	}
}

/**
 * struct stop - what is to be done in one
 * @fn:		the function
 * @arg:	its argument
 */
struct stop {
	void (*fn)(void *arg);
	void *arg;
};

static void stopped(void *arg)
{
	struct stop *stop = arg;

	__atomic_store_n(&stopping, syscall(SYS_gettid), __ATOMIC_RELAXED);
	stand_all();
	stop->fn(stop->arg);
	__atomic_store_n(&stopping, 0, __ATOMIC_RELAXED);
	release_all();
}

void burrow_stop_give_up(void)
{
	if (__atomic_load_n(&stopping, __ATOMIC_RELAXED) == syscall(SYS_gettid))
		release_all();
}

/*
 * The images are held before anybody stands, who might hold the lock on them,
 * and when nobody is inside any more, who might want it to get out.
 */
bool burrow_stop_try(struct burrow_thread *self, int64_t ns,
		     void (*fn)(void *arg), void *arg)
{
	struct stop stop = { .fn = fn, .arg = arg };

	if (!burrow_world_try_stop(self, ns))
		return false;
	stopper = self;
	burrow_images_hold(stopped, &stop);
	burrow_world_start(self);
	return true;
}

void burrow_stop(void (*fn)(void *arg), void *arg)
{
	burrow_stop_try(NULL, BURROW_FOREVER, fn, arg);
}

uint32_t burrow_stop_count(void)
{
	return asked;
}
