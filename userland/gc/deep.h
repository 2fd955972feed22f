/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deep stacks: parked ones of which so much is live that no stop should look at all
 * of it. See deep.c.
 */
#ifndef BURROW_GC_DEEP_H
#define BURROW_GC_DEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "roots.h"

struct goroutine;
struct burrow_tracker;

/*
 * That live in one of them, at least. To ask whether pages of a stack were written takes
 * about as long as to look at 8 KiB (Documentation/collector.rst).
 */
#define BURROW_DEEP_BYTES (8UL << 10)

static inline bool burrow_stack_is_deep(const void *low, const void *high)
{
	return (const char *)high - (const char *)low >=
	       (long)BURROW_DEEP_BYTES;
}

enum burrow_deep_mode {
	DEEP_OFF, /* all stacks are looked at as they are */
	DEEP_TAKE, /* deep ones are noted down and left for later */
	DEEP_AGAIN, /* of those, what was written since they were looked at */
};

/* At the beginning of a cycle that marks beside the program; NULL: untracked. */
void burrow_deep_begin(const struct burrow_tracker *tracker);

/*
 * Around a walk of the roots, in a stop: how it is to be. @forget: as if nothing had
 * been written, to see that it is noticed. And how many bytes were left out.
 */
void burrow_deep_mode(enum burrow_deep_mode mode, bool forget);
size_t burrow_deep_left_out(void);

/* Some were noted down and not looked at yet. */
bool burrow_deep_some(void);

/* In a stop, before the walk of goroutines: what was written of those that are armed. */
void burrow_deep_each(burrow_root_fn *fn, void *arg);

/*
 * In a stop, for the walk: a stack of at least BURROW_DEEP_BYTES that is not run on.
 * True: it was dealt with; @fn may have been called with parts of it.
 */
bool burrow_deep_stack(const struct goroutine *g, const char *low,
		       const char *high, burrow_root_fn *fn, void *arg);

/* Beside the program: arms what was noted down. True: some is to be looked at. */
bool burrow_deep_arm(void);

/* In a stop: a little of that. */
void burrow_deep_look(burrow_root_fn *fn, void *arg);

/* After the last stop; and when there will be no cycle any more. */
void burrow_deep_end(void);
void burrow_deep_close(void);

#endif /* BURROW_GC_DEEP_H */
