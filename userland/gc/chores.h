/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of the tracker's that are left to who runs the program.
 */
#ifndef BURROW_CHORES_H
#define BURROW_CHORES_H

#include "track.h"

enum burrow_chore {
	CHORE_ARM,
	CHORE_HARVEST,
	CHORE_DISARM,
};

/*
 * All by the collector's thread, beside the program. begin: from here on what is added
 * is of this kind. False: nobody is there to do it, or it is no use.
 */
bool burrow_chores_begin(const struct burrow_tracker *tracker,
			 enum burrow_chore what);

/* False: it is too long, or there are too many: to be done at once. */
bool burrow_chores_add(char *low, char *high);

/*
 * All of them are done on return. Calls @fn with each, and whether it failed; before
 * that, if it did not, @dirty with what its harvest has found. False: nobody came to
 * help.
 */
bool burrow_chores_end(void (*fn)(char *low, char *high, bool failed,
				  void *arg),
		       burrow_dirty_fn *dirty, void *arg);

/* Nanoseconds that others have worked, since this was last asked. */
int64_t burrow_chores_ns(void);

/* By who allocates while a cycle runs, inside: some of what there is. */
void burrow_chores_help(void);

/* In the child. */
void burrow_chores_fork_child(void);

#endif /* BURROW_CHORES_H */
