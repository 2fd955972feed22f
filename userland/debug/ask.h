/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backtraces of goroutines that run, from threads that can't be stopped.
 */
#ifndef BURROW_ASK_H
#define BURROW_ASK_H

#include <signal.h>

#include "../sched/sched.h"
#include "backtrace.h"

/* States of an answer. */
enum burrow_answer_state {
	BURROW_ANSWER_ASKED,
	BURROW_ANSWER_BEING_GIVEN,
	BURROW_ANSWER_GIVEN,
	BURROW_ANSWER_NONE, /* it came too late, or not at all */
};

/**
 * struct burrow_answer - of one thread
 * @g:		whom it runs
 * @tid:	its kernel id
 * @blocking:	it is in burrow_blocking()
 * @state:	enum burrow_answer_state
 * @trace:	once it is given
 */
struct burrow_answer {
	const struct goroutine *g;
	pid_t tid;
	bool blocking;
	uint32_t state;
	struct burrow_trace trace;
};

/* In dump.h: the signal. Its handler, from burrow_run() to its end. */

void burrow_ask_open(void);
void burrow_ask_close(void);

/* Asks all of them, waits a second at most. One caller at a time. */
void burrow_ask(struct burrow_answer *answers, unsigned int n);

#endif /* BURROW_ASK_H */
