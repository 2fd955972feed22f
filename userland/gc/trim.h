/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks that hold much more than they use; trim.c. By the collector's thread.
 */
#ifndef BURROW_GC_TRIM_H
#define BURROW_GC_TRIM_H

#include <stdbool.h>
#include <stdint.h>

/* A run begins; a cycle does; its marking is over. */
void burrow_trim_open(void);
void burrow_trim_cycle_begin(void);
void burrow_trim_cycle_end(void);

/*
 * Looks at some; stops the world, without its threads in C code, to trim those
 * that should be: @pause says for how long, 0: not at all. False: none are left to
 * look at before the next cycle ends.
 */
bool burrow_trim_some(int64_t *pause);

#endif /* BURROW_GC_TRIM_H */
