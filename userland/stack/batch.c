// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Many stacks at a time: what is asked of the backend for each of them is asked in
 * one call for those of an arena, by their place there, so that neighbours are
 * unmapped together.
 *
 * Called by the pool, by the collector's thread and by the monitor. No lock: who
 * calls sees to it that nobody comes to run on the stacks, or the backend compares
 * their words.
 */
#include "../debug/probe.h"
#include "stack.h"

static bool lies_before(const struct burrow_stack *a,
			const struct burrow_stack *b)
{
	if (a->arena != b->arena)
		return a->arena < b->arena;
	return a->slot < b->slot;
}

/**
 * struct part - a stack, and what of it
 * @stack:	which
 * @keep:	bytes at its upper end that stay
 * @gone:	where to say what went of it, or NULL
 */
struct part {
	struct burrow_stack stack;
	size_t keep;
	int64_t *gone;
};

/* Few, and on a stack that may be small: no qsort(), which can allocate. */
static void sort_copy(struct part *to, const struct burrow_stack *from,
		      const size_t *keep, uint32_t n, int64_t *gone)
{
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		for (j = i; j && lies_before(&from[i], &to[j - 1].stack); j--)
			to[j] = to[j - 1];
		to[j].stack = from[i];
		to[j].keep = keep ? keep[i] : 0;
		to[j].gone = gone ? gone + i : NULL;
	}
}

static uint64_t whose(const struct burrow_stack *stack)
{
	return __atomic_load_n(&stack->arena->table[stack->slot].goroutine,
			       __ATOMIC_RELAXED);
}

/* Asks for @n of one arena: bytes, or a negative errno. */
typedef int64_t batch_fn(struct burrow_stack_arena *arena,
			 const struct part *parts, uint32_t n);

static int64_t trim(struct burrow_stack_arena *arena, const struct part *parts,
		    uint32_t n)
{
	struct burrow_trim_entry entries[BURROW_STACK_BATCH];
	uint32_t i;
	int64_t ret;

	for (i = 0; i < n; i++) {
		entries[i].slot = parts[i].stack.slot;
		entries[i].keep = parts[i].keep;
		entries[i].word = burrow_stack_word(&parts[i].stack, false);
		entries[i].result = 0;
	}
	ret = arena->pool->backend->trim(arena, entries, n);
	if (ret > 0)
		BURROW_PROBE(stack_shrink, n == 1 ? whose(&parts[0].stack) : 0,
			     ret, (uint64_t)n);
	return ret;
}

static int64_t hibernate(struct burrow_stack_arena *arena,
			 const struct part *parts, uint32_t n)
{
	struct burrow_hibernate_entry entries[BURROW_STACK_BATCH];
	int64_t ret;
	uint32_t i;

	for (i = 0; i < n; i++) {
		entries[i].slot = parts[i].stack.slot;
		entries[i].live = parts[i].keep;
		entries[i].word = burrow_stack_word(&parts[i].stack, false);
		entries[i].result = 0;
	}
	/* For the collector. Who sees it too late looks at stacks as they are. */
	__atomic_store_n(&arena->pool->hibernated, true, __ATOMIC_RELAXED);
	ret = arena->pool->backend->hibernate(arena, entries, n);
	for (i = 0; i < n; i++) {
		if (parts[i].gone)
			*parts[i].gone = entries[i].result;
	}
	if (ret > 0)
		burrow_stack_slept(arena, entries, n);
	return ret;
}

/* The first that lie in one arena, sorted; how many they are. */
static uint32_t run_of(const struct part *parts, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && parts[i].stack.arena == parts[0].stack.arena)
		i++;
	return i;
}

static int64_t in_batches(batch_fn *fn, const struct burrow_stack *stacks,
			  const size_t *keep, uint32_t n, int64_t *gone)
{
	struct part sorted[BURROW_STACK_BATCH];
	uint32_t i, run, done, some;
	int64_t bytes = 0, ret;

	for (done = 0; done < n; done += some) {
		some = n - done < BURROW_STACK_BATCH ? n - done :
						       BURROW_STACK_BATCH;
		sort_copy(sorted, stacks + done, keep ? keep + done : NULL,
			  some, gone ? gone + done : NULL);
		for (i = 0; i < some; i += run) {
			run = run_of(sorted + i, some - i);
			ret = fn(sorted[i].stack.arena, sorted + i, run);
			if (ret < 0)
				bytes = ret;
			else if (bytes >= 0)
				bytes += ret;
		}
	}
	return bytes;
}

int64_t burrow_stack_trim(const struct burrow_stack *stacks, const size_t *keep,
			  uint32_t n)
{
	return in_batches(trim, stacks, keep, n, NULL);
}

int64_t burrow_stack_hibernate(const struct burrow_stack *stacks,
			       const size_t *live, uint32_t n, int64_t *gone)
{
	return in_batches(hibernate, stacks, live, n, gone);
}
