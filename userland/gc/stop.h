/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The full stop: no goroutine's code runs.
 */
#ifndef BURROW_STOP_H
#define BURROW_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* thread.stop: what a thread has been told. */
enum burrow_stop_state {
	STOP_NONE,
	STOP_ASKED, /* the signal is on its way */
	STOP_STANDS, /* in the handler, until the state changes */
};

struct burrow_thread;

/*
 * Calls @fn with the world stopped, and threads that are outside on a
 * goroutine's behalf standing in a signal handler, those in
 * burrow_blocking_nogc() excepted; the images (images.h) stay as they are, too.
 * @fn may take no lock that a standing thread may hold: none of libc's, not
 * runtime.lock. By a thread that runs no goroutine, one at a time.
 */
void burrow_stop(void (*fn)(void *arg), void *arg);

/*
 * The same by a goroutine, inside, whose registers are on its stack above where
 * goroutine.context says. False: others were inside, or stopped the world, for
 * longer than @ns; @fn was not called.
 */
bool burrow_stop_try(struct burrow_thread *self, int64_t ns,
		     void (*fn)(void *arg), void *arg);

/* By the signal's handler. False: it was meant for somebody else. */
bool burrow_stop_here(const void *ucontext);

/*
 * By a thread that will do nothing more, as the process is about to end: if it has
 * stopped the world, those who stand go on.
 */
void burrow_stop_give_up(void);

/* How many threads stand; of the last stop, after it. */
uint32_t burrow_stop_count(void);

#endif /* BURROW_STOP_H */
