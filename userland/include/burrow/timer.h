/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timers, and channels that get the time. Included by <burrow.h>.
 */
#ifndef BURROW_API_TIMER_H
#define BURROW_API_TIMER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct burrow_chan;
struct burrow_timer;

/**
 * burrow_timer_new() - run a function at a time
 * @ns:		from now; not more than 0: at once
 * @period_ns:	between later runs, 0: there is one run only
 * @fn:		what runs, each time on a goroutine of its own; it may block
 * @arg:	its argument
 *
 * A timer is an object of the collected heap; one that is set needs no reference.
 * Runs that come too late altogether are left out, not made up for.
 *
 * Return: the timer, NULL if there is no memory. For goroutines only.
 */
struct burrow_timer *burrow_timer_new(int64_t ns, int64_t period_ns,
				      void (*fn)(void *arg), void *arg);

/**
 * burrow_timer_stop() - take a timer back
 * @timer:	the timer
 *
 * Does not wait for a run that has begun.
 *
 * Return: 1 if it was set and will not run now, 0 if not; -EPERM outside of
 * goroutines.
 */
int burrow_timer_stop(struct burrow_timer *timer);

/**
 * burrow_timer_reset() - set a timer again
 * @timer:	the timer, set or not
 * @ns:		from now; a period goes on from there
 *
 * Return: 1 if it was set before, 0 if not; -EPERM outside of goroutines,
 * -ENOMEM.
 */
int burrow_timer_reset(struct burrow_timer *timer, int64_t ns);

/**
 * burrow_after() - a channel that gets the time once
 * @ns:		from now
 *
 * Its capacity is 1 and its element an int64_t, of burrow_now().
 *
 * Return: the channel, NULL if there is no memory. For goroutines only.
 */
struct burrow_chan *burrow_after(int64_t ns);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* BURROW_API_TIMER_H */
