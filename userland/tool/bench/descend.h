/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The recursion that every row of the growth benchmark runs: frames of a
 * little less than 1 KiB, each entered by a call and written at its low end, so
 * that every page is first touched downward. Smaller frames would measure the
 * calls (and, where stacks are copied, the walk over them), larger ones favour
 * those who copy.
 */
#ifndef BURROW_BENCH_DESCEND_H
#define BURROW_BENCH_DESCEND_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of locals in a frame; the call around it adds some. */
#define DESCEND_LOCALS 992

/* Recurses @frames deep and notes the time down there in @bottom. */
void descend(unsigned long frames, uint64_t *bottom);

/* The same, compiled with -fsplit-stack. */
void descend_split(unsigned long frames, uint64_t *bottom);

/*
 * How many frames fill a stack of @depth bytes to its last page and no
 * further, found by looking at what a recursion wrote.
 */
unsigned long descend_frames(size_t depth);

/* Recurses on the stack that ends at @top; ticks from the start to the bottom. */
uint64_t descend_on(void *top, unsigned long frames);

#endif /* BURROW_BENCH_DESCEND_H */
