/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hangs on objects without keeping them: cleanups and weak references.
 */
#ifndef BURROW_WEAK_H
#define BURROW_WEAK_H

#include "../heap/heap.h"
#include "roots.h"

/* In a stop: arguments of cleanups, which are roots. */
void burrow_weak_roots(burrow_root_fn *fn, void *arg);

/*
 * In the last stop, when all that lives is marked: references to what does not
 * are cleared, its cleanups are made ready.
 */
void burrow_weak_dead(struct burrow_heap *heap);

/* After it: starts a goroutine for cleanups that are ready. */
void burrow_weak_run(void);

/* That has something to do. */
bool burrow_weak_due(void);

/* The run is over: forgets all. And around fork(). */
void burrow_weak_close(void);
void burrow_weak_lock(void);
void burrow_weak_unlock(void);

#endif /* BURROW_WEAK_H */
