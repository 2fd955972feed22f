/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The quick ends of goroutine.c: what starting and ending a goroutine takes when
 * its processor has all of it at hand; and the slabs that they lie in.
 */
#ifndef BURROW_GOROUTINE_H
#define BURROW_GOROUTINE_H

#include "sched.h"

#define BURROW_FREE_MAX 256 /* structs that a processor keeps */

/**
 * struct burrow_slab - a piece of the heap full of goroutines
 * @next:	the one before it
 * @bytes:	length of it
 * @used:	structs handed out so far
 * @room:	structs that fit
 * @first:	number of the first struct, a multiple of 64
 * @g:		the structs
 */
struct burrow_slab {
	struct burrow_slab *next;
	size_t bytes;
	size_t used;
	size_t room;
	size_t first;
	struct goroutine g[] __attribute__((aligned(64)));
};

/*
 * A struct with a number and a promise of a stack of the runtime's class. NULL:
 * goroutine_promise() and goroutine_new() have one.
 */
static inline struct goroutine *goroutine_at_hand(struct burrow_proc *proc)
{
	struct goroutine *g = proc->free;

	if (burrow_unlikely(!g || !proc->spare ||
			    proc->id_next == proc->id_end))
		return NULL;
	proc->free = g->next;
	proc->nr_free--;
	proc->spare--;
	g->id = ++proc->id_next;
	__atomic_store_n(&proc->created, proc->created + 1, __ATOMIC_RELAXED);
	return g;
}

static inline void goroutine_set_free(struct burrow_proc *proc,
				      struct goroutine *g)
{
	/* The last in is in the cache: it is the next to be used. */
	g->next = proc->free;
	proc->free = g;
	proc->nr_free++;
}

#endif /* BURROW_GOROUTINE_H */
