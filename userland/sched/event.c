// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waking from outside: events and signals.
 *
 * burrow_notify() may be called from any thread and from signal handlers, so it
 * takes no lock: it sets a flag, and puts the event on a stack of notified ones
 * if it was not there. A processor takes the whole stack now and then, and at
 * once when it has nothing to do; the bell makes the monitor wake one.
 *
 * The flag is 1 from the first notify until a waiter has it: notifications in
 * between are one. Clearing @queued (release) before @flag is read, and setting
 * the flag before @queued is tried (both sequentially consistent), one of the
 * two sides always sees the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../chan/chan.h"
#include "sched.h"

/**
 * struct burrow_event - something that happens outside
 * @lock:	over @waiters
 * @waiters:	goroutines
 * @flag:	it has happened, and nobody had it yet; atomic
 * @queued:	it is on the stack of notified ones; atomic
 * @next:	there
 * @chan:	of a signal: gets the number instead of waking @waiters
 * @signo:	which signal
 */
struct burrow_event {
	struct burrow_lock lock;
	struct burrow_waitq waiters;
	uint32_t flag;
	uint32_t queued;
	struct burrow_event *next;
	struct burrow_chan *chan;
	int signo;
};

/* Those that burrow_signal_chan() made, by signal; they stay. */
static struct burrow_event *signals[65];

struct burrow_event *burrow_event_new(void)
{
	return calloc(1, sizeof(struct burrow_event));
}

void burrow_event_free(struct burrow_event *event)
{
	/* One that is on the stack still is the runtime's for a moment. */
	while (event && __atomic_load_n(&event->queued, __ATOMIC_ACQUIRE) &&
	       burrow_runtime.running)
		burrow_sleep(100000);
	free(event);
}

void burrow_notify(struct burrow_event *event)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_event *top;

	__atomic_store_n(&event->flag, 1, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&event->queued, 1, __ATOMIC_SEQ_CST))
		return;
	top = __atomic_load_n(&rt->notified, __ATOMIC_RELAXED);
	do {
		event->next = top;
	} while (!__atomic_compare_exchange_n(&rt->notified, &top, event, false,
					      __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (__atomic_load_n(&rt->nr_idle, __ATOMIC_SEQ_CST))
		burrow_bell();
}

static bool take_flag(struct burrow_event *event)
{
	return __atomic_exchange_n(&event->flag, 0, __ATOMIC_SEQ_CST);
}

static void serve(struct burrow_thread *self, struct burrow_event *event)
{
	struct burrow_waiter *w;

	if (event->chan) {
		if (take_flag(event))
			burrow_chan_offer(self, event->chan, &event->signo);
		return;
	}
	burrow_lock_take(&event->lock);
	w = event->waiters.first;
	if (w && take_flag(event))
		burrow_wake(self, w, 0);
	burrow_lock_drop(&event->lock);
}

void burrow_events_serve(struct burrow_thread *self)
{
	struct burrow_event *event, *next;

	event = __atomic_exchange_n(&burrow_runtime.notified, NULL,
				    __ATOMIC_ACQ_REL);
	for (; event; event = next) {
		next = event->next;
		__atomic_store_n(&event->queued, 0, __ATOMIC_SEQ_CST);
		serve(self, event);
	}
}

int burrow_event_wait_deadline(struct burrow_event *event, int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_event_wait");
	int ret = 0;

	if (!self)
		return -EPERM;
	burrow_lock_take(&event->lock);
	if (!event->waiters.first && take_flag(event)) {
		burrow_lock_drop(&event->lock);
	} else {
		__atomic_add_fetch(&burrow_runtime.waiters, 1,
				   __ATOMIC_SEQ_CST);
		ret = burrow_wait(&self, &event->lock, &event->waiters,
				  GOROUTINE_EVENT, deadline);
		__atomic_sub_fetch(&burrow_runtime.waiters, 1,
				   __ATOMIC_SEQ_CST);
	}
	burrow_leave(self);
	return ret;
}

int burrow_event_wait(struct burrow_event *event)
{
	return burrow_event_wait_deadline(event, BURROW_FOREVER);
}

static void on_signal(int signo)
{
	struct burrow_event *event = signals[signo];

	if (event && burrow_runtime.running)
		burrow_notify(event);
}

struct burrow_chan *burrow_signal_chan(int signo)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct burrow_chan *chan;
	struct burrow_event *event;

	if (signo < 1 || signo > 64)
		return NULL;
	chan = burrow_chan_new(sizeof(int), 16);
	event = signals[signo] ? signals[signo] : burrow_event_new();
	if (!chan || !event)
		return NULL;
	event->chan = chan;
	event->signo = signo;
	/* A signal may come at any time: there is no deadlock any more. */
	if (!signals[signo])
		__atomic_add_fetch(&burrow_runtime.waiters, 1,
				   __ATOMIC_SEQ_CST);
	signals[signo] = event;
	sa.sa_flags = SA_RESTART | SA_ONSTACK;
	if (sigaction(signo, &sa, NULL))
		return NULL;
	return chan;
}

/* The channels go with the run. */
void burrow_events_close(void)
{
	int i;

	burrow_runtime.notified = NULL;
	for (i = 1; i <= 64; i++) {
		if (!signals[i])
			continue;
		signal(i, SIG_DFL);
		free(signals[i]);
		signals[i] = NULL;
	}
}
