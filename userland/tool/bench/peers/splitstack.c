// SPDX-License-Identifier: GPL-2.0
/*
 * Growth by gcc's -fsplit-stack: the prologue of each function compares the
 * stack pointer with a limit and, past it, libgcc links another segment from
 * mmap(). A context of libgcc's own begins with a page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../../arch/arch.h"
#include "../clock.h"
#include "../descend.h"
#include "../growth.h"

#ifdef BENCH_SPLIT_STACK

#define FIRST_SEGMENT 4096

/* What libgcc keeps of a context; its functions are in no header. */
#define CONTEXT_WORDS 10
void *__splitstack_makecontext(size_t bytes, void *context[CONTEXT_WORDS],
			       size_t *size);
void __splitstack_getcontext(void *context[CONTEXT_WORDS]);
void __splitstack_setcontext(void *context[CONTEXT_WORDS]);
void __splitstack_releasecontext(void *context[CONTEXT_WORDS]);

struct stack {
	void *context[CONTEXT_WORDS];
	char *top;
};

struct state {
	unsigned long frames;
	unsigned int batch;
	unsigned int made;
	uint64_t bottom;
	struct stack *stacks;
};

static int release(void *p)
{
	struct state *s = p;

	while (s->made)
		__splitstack_releasecontext(s->stacks[--s->made].context);
	return 0;
}

static int make(void *p)
{
	struct state *s = p;
	struct stack *stack;
	size_t size;
	char *low;

	for (; s->made < s->batch; s->made++) {
		stack = &s->stacks[s->made];
		low = __splitstack_makecontext(FIRST_SEGMENT, stack->context,
					       &size);
		if (!low)
			return -ENOMEM;
		stack->top = (char *)((uintptr_t)(low + size) & ~15UL);
	}
	return 0;
}

static void start(void *p)
{
	struct state *s = p;

	descend_split(s->frames, &s->bottom);
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;
	void *saved[CONTEXT_WORDS], *context;
	uint64_t t0;

	__splitstack_getcontext(saved);
	__splitstack_setcontext(s->stacks[i].context);
	t0 = bench_ticks();
	burrow_arch_call(&context, s->stacks[i].top, start, s);
	*ticks = s->bottom - t0;
	__splitstack_getcontext(s->stacks[i].context);
	__splitstack_setcontext(saved);
	return 0;
}

static void close_state(void *p)
{
	struct state *s = p;

	release(s);
	free(s->stacks);
	free(s);
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->frames = plan->frames;
	s->batch = plan->batch;
	s->stacks = growth_alloc(plan->batch, sizeof(*s->stacks));
	return s;
}

const struct growth_way growth_splitstack = {
	.name = "splitstack",
	.open = open_state,
	.begin = make,
	.grow = grow,
	.end = release,
	.close = close_state,
};

#else /* the compiler has no -fsplit-stack for this processor */

static void *open_state(struct growth_plan *plan)
{
	return growth_cannot(plan, "built by a compiler without it");
}

const struct growth_way growth_splitstack = {
	.name = "splitstack",
	.open = open_state,
};

#endif
