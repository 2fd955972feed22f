// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Resting stacks: small ones that no cache has room for, with their page still
 * in them, for a goroutine that starts soon.
 *
 * To take a page from the system and give it back costs several times what a
 * goroutine does that wakes once. So a stack of one page or two that is put
 * into the pool does not lose them at once: it rests, and is the first to be
 * handed out again. What lay there unused for a tick goes back by halves, the
 * oldest first, so a second after the last of many has ended nearly nothing is
 * left of them. More than two pages are not kept, nor more than a bound in all.
 *
 * Only where the backend asks for it: the module keeps pages itself, without
 * their stacks.
 *
 * The pool puts and takes under the class's lock. The monitor alone calls
 * burrow_stack_tidy(), which gives back; what is on its way there is kept room
 * for in the class, so that a promise finds a stack all the same.
 */
#include <unistd.h>

#include "stack.h"

#define PAGES_MAX 2 /* of a stack that may rest */
#define STRIDE_MAX (1UL << 20) /* measuring more takes long */
#define TICK_NS 2000000000LL
#define PER_CALL 1024 /* stacks given back; a millisecond or so */

void burrow_stack_limit_rest(struct burrow_stack_pool *pool, uint64_t limit)
{
	if (!limit)
		limit = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			sysconf(_SC_PAGESIZE);
	__atomic_store_n(&pool->rest_max, limit / 4, __ATOMIC_RELAXED);
}

/* One is looked at for all: they come by the dozen, and of one kind mostly. */
bool burrow_stack_may_rest(const struct burrow_stack_pool *pool,
			   const struct burrow_stack *stacks, uint32_t n)
{
	size_t most = PAGES_MAX * sysconf(_SC_PAGESIZE);
	uint64_t resting;
	int64_t bytes;

	if (!pool->backend->rests || stacks[0].arena->stride > STRIDE_MAX)
		return false;
	resting = __atomic_load_n(&pool->resting, __ATOMIC_RELAXED) + n;
	if (resting * most > __atomic_load_n(&pool->rest_max, __ATOMIC_RELAXED))
		return false;
	bytes = burrow_stack_resident(&stacks[0]);
	return bytes >= 0 && (size_t)bytes <= most;
}

static uint32_t place(const struct burrow_stack_arena *arena, uint32_t i)
{
	uint64_t at = (uint64_t)arena->rest.from + i;

	return at < arena->slots ? at : at - arena->slots;
}

static void count(struct burrow_stack_arena *arena, int64_t n)
{
	struct burrow_stack_rest *rest = &arena->rest;

	rest->count += n;
	if (rest->least > rest->count)
		rest->least = rest->count;
	__atomic_add_fetch(&arena->pool->resting, n, __ATOMIC_RELAXED);
}

void burrow_stack_rest_put(struct burrow_stack_arena *arena, uint32_t slot)
{
	arena->ring[place(arena, arena->rest.count)] = slot;
	count(arena, 1);
}

bool burrow_stack_rest_take(struct burrow_stack_arena *arena, uint32_t *slot)
{
	if (!arena->rest.count)
		return false;
	*slot = arena->ring[place(arena, arena->rest.count - 1)];
	count(arena, -1);
	return true;
}

/* Some that are due; they are nobody's until they are given back. */
static uint32_t take_oldest(struct burrow_stack_arena *arena,
			    struct burrow_stack *stacks, uint32_t n)
{
	struct burrow_stack_rest *rest = &arena->rest;
	uint32_t i;

	if (n > rest->due)
		n = rest->due;
	if (n > rest->count)
		n = rest->count;
	for (i = 0; i < n; i++) {
		stacks[i].arena = arena;
		stacks[i].slot = arena->ring[place(arena, i)];
		stacks[i].generation = arena->table[stacks[i].slot].word >> 1;
	}
	rest->from = place(arena, n);
	rest->due = n ? rest->due - n : 0;
	count(arena, -(int64_t)n);
	return n;
}

static void tick(struct burrow_stack_arena *arena)
{
	struct burrow_stack_rest *rest = &arena->rest;

	rest->due = rest->least;
	rest->least = rest->count;
}

/* Some of one class; how many. */
static uint32_t give_some(struct burrow_stack_pool *pool, int class, bool due)
{
	struct burrow_stack_class *c = &pool->classes[class];
	struct burrow_stack stacks[BURROW_STACK_BATCH];
	uint32_t n = 0;
	unsigned int i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nr_arenas && !n; i++) {
		if (due)
			tick(c->arenas[i]);
		else
			n = take_oldest(c->arenas[i], stacks,
					BURROW_STACK_BATCH);
	}
	pthread_mutex_unlock(&c->lock);
	if (n)
		burrow_stack_give(pool, class, stacks, n);
	return n;
}

bool burrow_stack_tidy(struct burrow_stack_pool *pool, int64_t now)
{
	uint32_t given = 0, n;
	int class;

	if (!__atomic_load_n(&pool->resting, __ATOMIC_RELAXED))
		return false;
	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		if (now >= pool->rest_at)
			give_some(pool, class, true);
		do {
			n = given < PER_CALL ? give_some(pool, class, false) :
					       0;
			given += n;
		} while (n);
	}
	if (now >= pool->rest_at)
		pool->rest_at = now + TICK_NS;
	return true;
}
