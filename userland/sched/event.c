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
 * between are one. Clearing @queued before @flag is read, and setting the flag
 * before @queued is tried (both sequentially consistent), one of the two sides
 * always sees the other.
 *
 * Events are the program's, and outlive runs. One that is notified while no
 * runtime runs has its flag set, which is all: nobody waits. Goroutines that
 * waited when a run ended are gone, and who next looks at the queue in another
 * run empties it. An event on the stack, or just being served, is held by that:
 * a waiter may free it as soon as it comes back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "../chan/chan.h"
#include "../debug/dump.h"
#include "sched.h"

/**
 * struct burrow_event - something that happens outside
 * @lock:	over @waiters and @run
 * @signo:	of a signal: which
 * @waiters:	goroutines
 * @run:	the run that they belong to
 * @flag:	it has happened, and nobody had it yet; atomic
 * @queued:	it is on the stack of notified ones; atomic
 * @users:	the program, and that stack; the last one frees it; atomic
 * @next:	on the stack
 * @chan:	of a signal: gets the number instead of waking @waiters
 */
struct burrow_event {
	struct burrow_lock lock;
	int signo;
	struct burrow_waitq waiters;
	uint32_t run;
	uint32_t flag;
	uint32_t queued;
	uint32_t users;
	struct burrow_event *next;
	struct burrow_chan *chan;
};

/*
 * Those of burrow_signal_chan(), and what was set before; both under
 * runtime.lock, but for the handler. Never freed: it may be running anywhere.
 */
static struct burrow_event signals[65];
static struct sigaction signals_old[65];

struct burrow_event *burrow_event_new(void)
{
	struct burrow_event *event = calloc(1, sizeof(*event));

	if (event)
		event->users = 1;
	return event;
}

static void event_put(struct burrow_event *event)
{
	if (!__atomic_sub_fetch(&event->users, 1, __ATOMIC_ACQ_REL))
		free(event);
}

void burrow_event_free(struct burrow_event *event)
{
	if (event)
		event_put(event);
}

void burrow_notify(struct burrow_event *event)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_event *top;

	__atomic_store_n(&event->flag, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&rt->running, __ATOMIC_SEQ_CST) ||
	    __atomic_exchange_n(&event->queued, 1, __ATOMIC_SEQ_CST))
		return;
	__atomic_add_fetch(&event->users, 1, __ATOMIC_RELAXED);
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

/* Under the event's lock: the waiters of a run that has ended are no more. */
static void drop_old_waiters(struct burrow_event *event)
{
	if (burrow_run_is_another(&event->run))
		event->waiters = (struct burrow_waitq){ 0 };
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
	drop_old_waiters(event);
	w = event->waiters.first;
	if (w && take_flag(event))
		burrow_wake(self, w, 0);
	burrow_lock_drop(&event->lock);
}

/* Takes all that were notified; @self NULL: nobody waits any more. */
static void serve_all(struct burrow_thread *self)
{
	struct burrow_event *event, *next;

	event = __atomic_exchange_n(&burrow_runtime.notified, NULL,
				    __ATOMIC_ACQ_REL);
	for (; event; event = next) {
		next = event->next;
		__atomic_store_n(&event->queued, 0, __ATOMIC_SEQ_CST);
		if (self)
			serve(self, event);
		event_put(event);
	}
}

void burrow_events_serve(struct burrow_thread *self)
{
	serve_all(self);
}

int burrow_event_wait_deadline(struct burrow_event *event, int64_t deadline)
{
	struct burrow_thread *self = burrow_enter_try("burrow_event_wait");
	int ret = 0;

	if (!self)
		return -EPERM;
	burrow_lock_take(&event->lock);
	drop_old_waiters(event);
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
	burrow_notify(&signals[signo]);
}

/* With runtime.lock: @chan gets the signal, if no other does. */
static struct burrow_chan *watch(int signo, struct burrow_chan *chan)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct burrow_event *event = &signals[signo];

	if (event->chan)
		return event->chan;
	if (!event->users)
		event->users = 1;
	event->signo = signo;
	event->chan = chan;
	sa.sa_flags = SA_RESTART | SA_ONSTACK;
	if (sigaction(signo, &sa, &signals_old[signo])) {
		event->chan = NULL;
		return NULL;
	}
	/* It may come at any time: there is no deadlock any more. */
	__atomic_add_fetch(&burrow_runtime.waiters, 1, __ATOMIC_SEQ_CST);
	return chan;
}

struct burrow_chan *burrow_signal_chan(int signo)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_chan *chan = burrow_chan_new(sizeof(int), 16);

	/* Some the runtime needs itself. */
	if (!chan || signo < 1 || signo > 64 || signo == SIGSEGV ||
	    signo == SIGBUS || signo == burrow_stop_signal)
		return NULL;
	pthread_mutex_lock(&rt->lock);
	chan = watch(signo, chan);
	pthread_mutex_unlock(&rt->lock);
	return chan;
}

/* With runtime.lock: the channels go with the run. */
void burrow_events_close(void)
{
	int i;

	for (i = 1; i <= 64; i++) {
		if (!signals[i].chan)
			continue;
		sigaction(i, &signals_old[i], NULL);
		signals[i].chan = NULL;
		WRITE_ONCE(signals[i].flag, 0);
	}
	serve_all(NULL);
}
