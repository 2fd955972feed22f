// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asks threads in C code where they are, by a signal to each.
 *
 * A goroutine that runs has its registers in a CPU, and the scheduler has no
 * hold on it while it is in the program's code. Its thread is sent a signal, and
 * the handler walks the stack that it interrupted; it takes no lock, so the
 * thread may hold any. One that blocks the signal, or sleeps where no signal
 * wakes it, is waited for no longer than a second.
 *
 * The table of answers is published for as long as it is there; a handler that
 * may be reading it is counted, and the table stays until all of those have
 * left. Who asks writes the table and counts after that (both sequentially
 * consistent, as in the handler), so a late handler finds no table.
 *
 * The collector stops threads by the same signal (gc/stop.c). One from somebody
 * else goes to the handler that was there before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../gc/stop.h"
#include "ask.h"
#include "dump.h"

#define PATIENCE_NS 1000000000LL

int burrow_stop_signal = SIGURG;

static struct burrow_answer *table;
static unsigned int table_len;
static uint32_t readers;
static uint32_t answered; /* a futex */

static struct sigaction old;
static int watched;

static bool move(struct burrow_answer *answer, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&answer->state, &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* True: we were asked. */
static bool answer(const void *ucontext)
{
	struct burrow_answer *a;
	pid_t me = syscall(SYS_gettid);
	unsigned int i;

	a = __atomic_load_n(&table, __ATOMIC_SEQ_CST);
	for (i = 0; a && i < table_len; i++, a++) {
		if (a->tid != me)
			continue;
		if (!move(a, BURROW_ANSWER_ASKED, BURROW_ANSWER_BEING_GIVEN))
			return true;
		burrow_trace_interrupted(&a->trace, ucontext);
		__atomic_store_n(&a->state, BURROW_ANSWER_GIVEN,
				 __ATOMIC_RELEASE);
		__atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &answered, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
			0);
		return true;
	}
	return false;
}

static void on_stop(int sig, siginfo_t *info, void *ucontext)
{
	int saved = errno;
	bool asked;

	__atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
	asked = burrow_stop_here(ucontext) || answer(ucontext);
	__atomic_sub_fetch(&readers, 1, __ATOMIC_RELEASE);
	errno = saved;
	if (asked)
		return;
	if (old.sa_flags & SA_SIGINFO)
		old.sa_sigaction(sig, info, ucontext);
	else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
		old.sa_handler(sig);
}

void burrow_ask_open(void)
{
	struct sigaction sa = { .sa_sigaction = on_stop };

	watched = burrow_stop_signal;
	sigaction(watched, NULL, &old);
	sa.sa_mask = old.sa_mask;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigaction(watched, &sa, NULL);
}

void burrow_ask_close(void)
{
	struct sigaction now;

	sigaction(watched, NULL, &now);
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_stop)
		sigaction(watched, &old, NULL);
}

static void wait_for_answers(unsigned int n)
{
	int64_t left, until = burrow_now() + PATIENCE_NS;
	struct timespec ts = { 0 };
	uint32_t have;

	while ((have = __atomic_load_n(&answered, __ATOMIC_SEQ_CST)) < n) {
		left = until - burrow_now();
		if (left <= 0)
			break;
		ts.tv_nsec = left < PATIENCE_NS ? left : PATIENCE_NS - 1;
		syscall(SYS_futex, &answered, FUTEX_WAIT_PRIVATE, have, &ts,
			NULL, 0);
	}
}

void burrow_ask(struct burrow_answer *answers, unsigned int n)
{
	unsigned int i, sent = 0;

	if (!n)
		return;
	__atomic_store_n(&answered, 0, __ATOMIC_SEQ_CST);
	table_len = n;
	__atomic_store_n(&table, answers, __ATOMIC_SEQ_CST);
	for (i = 0; i < n; i++)
		sent += !syscall(SYS_tgkill, getpid(), answers[i].tid, watched);
	wait_for_answers(sent);

	for (i = 0; i < n; i++)
		move(&answers[i], BURROW_ANSWER_ASKED, BURROW_ANSWER_NONE);
	__atomic_store_n(&table, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&readers, __ATOMIC_SEQ_CST))
		sched_yield();
}
