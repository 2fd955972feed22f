/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks that hibernate, as roots. See saved.c.
 */
#ifndef BURROW_GC_SAVED_H
#define BURROW_GC_SAVED_H

#include <stdbool.h>

#include "../stack/stack.h"
#include "roots.h"

/* Before a stop: what it will need. */
void burrow_saved_prepare(struct burrow_stack_pool *pool);

/*
 * In a stop: from now on they are not put back to be looked at. Others who walk the
 * stacks want them where they are.
 */
void burrow_saved_mode(bool on);

/* In a stop: passes what is saved; and whether that was so of @stack. */
void burrow_saved_each(burrow_root_fn *fn, void *arg);
bool burrow_saved_seen(const struct burrow_stack *stack);

/* There will be no cycle any more. */
void burrow_saved_close(void);

#endif /* BURROW_GC_SAVED_H */
