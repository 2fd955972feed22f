/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scanning what was greyed.
 */
#ifndef BURROW_WORK_H
#define BURROW_WORK_H

#include "gc.h"

/* Beside the program, with regard for it, until nothing is grey. */
void burrow_work_beside(struct burrow_marker *m,
			const struct burrow_cycle *cycle);

/* For other work beside it: rests where it is time to; @from: when that last was. */
void burrow_work_rest(struct burrow_marker *m, const struct burrow_cycle *cycle,
		      int64_t *from);

/* In a stop: until nothing is grey. */
void burrow_work_stopped(struct burrow_marker *m);

#endif /* BURROW_WORK_H */
