/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weak maps: what hangs on an object as long as that lives; ephemeron.c.
 */
#ifndef BURROW_GC_EPHEMERON_H
#define BURROW_GC_EPHEMERON_H

#include <stdbool.h>

#include "../heap/heap.h"

/*
 * Greys the values of keys that are marked, in maps that are. True: some were not
 * marked before, and what they lead to may be keys; call it again after draining.
 * beside: while others run. stopped: in a stop; false there says that all is done.
 */
bool burrow_ephemerons_beside(struct burrow_marker *m);
bool burrow_ephemerons_stopped(struct burrow_marker *m);

/* In the last stop, when all that lives is marked: entries of what does not go. */
void burrow_ephemerons_dead(struct burrow_heap *heap);

/* In a stop: every entry. */
void burrow_ephemerons_each(void (*fn)(void *arg, void *map, void *key,
				       void *value),
			    void *arg);

/* The run is over. And around fork(). */
void burrow_ephemerons_close(void);
void burrow_ephemerons_lock(void);
void burrow_ephemerons_unlock(void);

#endif /* BURROW_GC_EPHEMERON_H */
