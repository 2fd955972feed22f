// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is saved of a stack that hibernates, where it can be looked at without being put
 * back: a copy in which words that point into the stack point into the copy, so that an
 * unwinder that follows frame pointers stays in it. It is for looking alone: that other
 * words seem to point there, too, does no harm.
 *
 * Called where nobody runs on the stack meanwhile. No lock.
 */
#include <errno.h>

#include "stack.h"

void *burrow_stack_look(const struct burrow_stack *stack, void *context,
			struct burrow_stack_image *image)
{
	const struct burrow_stack_backend *backend =
		stack->arena->pool->backend;
	const struct burrow_saved_slot *saved = (const void *)image->words;
	uintptr_t *word = (uintptr_t *)(saved + 1), *end;
	uintptr_t top = (uintptr_t)burrow_stack_top(stack), low, delta;
	uint64_t next;

	if (!__atomic_load_n(&stack->arena->pool->hibernated,
			     __ATOMIC_RELAXED) ||
	    backend->saved(stack->arena, 0, stack->slot, 1, image->words,
			   sizeof(image->words), &next) <= 0)
		return context;
	low = top - saved->live;
	if ((uintptr_t)context < low)
		return context;
	end = word + saved->live / sizeof(*word);
	delta = (uintptr_t)end - top;
	for (; word < end; word++) {
		if (*word >= low && *word <= top)
			*word += delta;
	}
	return (char *)context + delta;
}

__attribute__((used)) void *burrow_debug_look(const struct burrow_stack *stack,
					      void *context)
{
	static struct burrow_stack_image image;
	int err = errno;

	context = burrow_stack_look(stack, context, &image);
	errno = err;
	return context;
}
