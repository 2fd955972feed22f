/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waking goroutines from other threads and from signal handlers. Included by
 * <burrow.h>.
 */
#ifndef BURROW_API_EVENT_H
#define BURROW_API_EVENT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct burrow_chan;
struct burrow_event;

/**
 * burrow_event_new() - something that goroutines wait for and others notify
 *
 * From any thread, before burrow_run() too; it may be used in several runs.
 *
 * Return: the event, NULL if there is no memory.
 */
struct burrow_event *burrow_event_new(void);

/**
 * burrow_event_free() - give an event back
 * @event:	nobody waits for it or notifies it any more; may be NULL
 *
 * From any thread. Who was woken by it may free it at once.
 */
void burrow_event_free(struct burrow_event *event);

/**
 * burrow_event_wait() - wait until an event is notified
 * @event:	the event
 *
 * Each notification is had by one waiter, first come first served; one that
 * finds none waits for the next to come. Those that follow each other before
 * somebody has them are one.
 *
 * Return: 0, or -EPERM outside of goroutines.
 */
int burrow_event_wait(struct burrow_event *event);

/**
 * burrow_event_wait_deadline() - the same, but not for ever
 * @event:	the event
 * @deadline:	a time of burrow_now()
 *
 * Return: 0, -ETIMEDOUT, or -EPERM outside of goroutines.
 */
int burrow_event_wait_deadline(struct burrow_event *event, int64_t deadline);

/**
 * burrow_notify() - say that it has happened
 * @event:	the event
 *
 * From any thread, goroutine or signal handler. Takes no lock.
 */
void burrow_notify(struct burrow_event *event);

/**
 * burrow_signal_chan() - receive a signal as a message
 * @signo:	which
 *
 * Handles the signal until burrow_run() returns; the handler from before is set
 * again then. Elements are ints, the signal's number; up to 16 wait in the
 * channel, more are dropped, and several at once may be one. Asked for again it
 * is the same channel.
 *
 * Return: the channel, NULL if @signo can't be caught or is the runtime's own
 * (SIGSEGV, SIGBUS, the stop signal), or there is no memory. For goroutines only.
 */
struct burrow_chan *burrow_signal_chan(int signo);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_API_EVENT_H */
