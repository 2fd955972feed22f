/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of sync/ share. Each of them gives the opaque words of a public
 * struct their meaning, and keeps all of it under one burrow_lock in there:
 * taking that is no dearer than a compare-and-swap would be, costs nothing where
 * there is one processor, and leaves one state at a time to think of.
 *
 * Such an object may be freed by the first one to get through. So whoever lets
 * another through drops the lock, which is its last touch, before it makes the
 * other ready, and nothing is read but under the lock.
 *
 * And it may outlive a run, being static. What it counts and who has it stays as
 * it was; its waiters are gone with the run. Each knows in which run somebody
 * last waited, and whoever comes to its queue in another empties it first.
 */
#ifndef BURROW_SYNC_INTERNAL_H
#define BURROW_SYNC_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "../chan/woken.h"
#include "../debug/print.h"
#include "../include/burrow/sync.h"
#include "../sched/sched.h"

#define SYNC_LAYOUT(inner, outer)                                  \
	_Static_assert(sizeof(inner) <= sizeof(outer) &&           \
			       _Alignof(inner) <= _Alignof(outer), \
		       #outer " does not hold it")

/* mutex.c, for conditions; inside. */
int burrow_mutex_take(struct burrow_thread **self, struct burrow_mutex *m,
		      int64_t deadline);

/*
 * Unlocks; *@next: who is to be made ready then, or NULL. False: it was not
 * locked.
 */
bool burrow_mutex_give(struct burrow_mutex *m, struct goroutine **next);

#endif /* BURROW_SYNC_INTERNAL_H */
