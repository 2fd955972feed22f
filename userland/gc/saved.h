/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks that hibernate, as roots. See saved.c.
 */
#ifndef BURROW_GC_SAVED_H
#define BURROW_GC_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../stack/stack.h"
#include "roots.h"

struct goroutine;

enum burrow_saved_mode {
	SAVED_OFF, /* who walks the stacks wants them where they are */
	SAVED_SOME, /* what a stop has time for is read, the rest is left */
	SAVED_ALL, /* what was not read is read now */
};

/* Before the first stop of a cycle; and before each: what it will need. */
void burrow_saved_begin(bool young);
void burrow_saved_prepare(struct burrow_stack_pool *pool);

/* Around a walk of the roots, in a stop: how it is to be. */
void burrow_saved_mode(enum burrow_saved_mode mode);

/*
 * In a stop, before the walk of goroutines: passes what has not been read. False:
 * some was left, and the goroutines are to be left, too. Bytes that were read before,
 * of those who still sleep. By number, who sleeps as far as is known, or NULL; and
 * whether they need not be visited in this walk.
 */
bool burrow_saved_each(burrow_root_fn *fn, void *arg);
size_t burrow_saved_left_out(void);
const uint64_t *burrow_saved_asleep(void);
bool burrow_saved_on(void);

/*
 * Whether the stack of the goroutine that is visited was read, which then need not be
 * visited again. noted: in the walk of a stop. sleeps: of one that may run meanwhile:
 * not NULL: when all else of it was looked at it is to be noted there.
 */
bool burrow_saved_noted(const struct burrow_stack *stack, size_t number);
uint32_t *burrow_saved_sleeps(const struct goroutine *g);
void burrow_saved_note(uint32_t *place, size_t number);

/* Some is left; beside the program: passes some of that. False: it was all. */
bool burrow_saved_some(void);
bool burrow_saved_beside(burrow_root_fn *fn, void *arg);

/* For a look from outside of a cycle: it had no memory when we last heard of it. */
bool burrow_saved_knows(const struct burrow_stack *stack);

/* For tests: restored ones are not heard of. */
void burrow_saved_deafen(bool deaf);

/* There will be no cycle any more. */
void burrow_saved_close(void);

#endif /* BURROW_GC_SAVED_H */
