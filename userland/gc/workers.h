/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that mark beside the collector's; workers.c.
 */
#ifndef BURROW_WORKERS_H
#define BURROW_WORKERS_H

#include "gc.h"

/*
 * All by the collector's thread. Ready: there are so many of them, as far as the
 * system has threads; not in a stop, where somebody who stands may hold a lock of
 * libc's.
 */
void burrow_workers_ready(int n);

/*
 * They mark until they are told to end. @beside: only where more processors are
 * idle than there are markers before them; else in a stop.
 */
void burrow_workers_begin(struct burrow_heap *heap, bool beside);
void burrow_workers_end(void);

/* One of them has nothing to do, and nothing is shared. */
bool burrow_workers_hungry(const struct burrow_heap *heap);

/*
 * None of them is at anything, and nothing is shared: asked by the collector's
 * thread when it has nothing itself.
 */
bool burrow_workers_through(const struct burrow_heap *heap);

/* What they have marked and their CPU time in ns since this was last asked. */
void burrow_workers_did(uint64_t *bytes, int64_t *cpu_ns);

/* The run is over: they end. And in the child of fork(), where there are none. */
void burrow_workers_close(void);
void burrow_workers_fork_child(void);

#endif /* BURROW_WORKERS_H */
