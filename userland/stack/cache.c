// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Warm stacks: those of goroutines that ended, kept as they are for the next.
 *
 * A burst of short goroutines goes through a handful of stacks that are in the
 * processor's caches already, and never sees a page fault. What is kept is
 * bounded: past the watermark of its class the older half goes back to the
 * pool in one batch, and what lay unused for a while goes by halves.
 *
 * A stack that has hibernated came back with the page or two that were touched since.
 * Who gets it is told that it is as good as empty.
 *
 * A cache belongs to one processor; only the thread that runs it calls here.
 */
#include <string.h>
#include <sys/mman.h>

#include "stack.h"

#define WARM_BYTES (16UL << 20) /* of address space, of one class */
#define DEEP_STRIDE (1UL << 20) /* stacks that may hide much memory */
#define DEEP_KEEP (64UL << 10) /* what of it stays warm */

void burrow_stack_cache_open(struct burrow_stack_cache *cache,
			     struct burrow_stack_pool *pool)
{
	memset(cache, 0, sizeof(*cache));
	cache->pool = pool;
}

static uint32_t watermark(int class)
{
	size_t n = WARM_BYTES / burrow_stack_class_stride(class);

	if (n < 1)
		return 1;
	return n < BURROW_STACK_WARM ? n : BURROW_STACK_WARM;
}

/* burrow_stats() reads it at any time. */
static void set_count(struct burrow_stack_cache *cache, uint32_t count)
{
	__atomic_store_n(&cache->count, count, __ATOMIC_RELAXED);
}

static void give_oldest(struct burrow_stack_cache *cache, int class, uint32_t n)
{
	struct burrow_stack_warm *warm = cache->warm[class];

	burrow_stack_put(cache->pool, class, warm->stacks, n);
	warm->count -= n;
	set_count(cache, cache->count - n);
	if (warm->idle > warm->count)
		warm->idle = warm->count;
	memmove(warm->stacks, warm->stacks + n,
		warm->count * sizeof(warm->stacks[0]));
	warm->slept = n < 64 ? warm->slept >> n : 0;
}

void burrow_stack_cache_close(struct burrow_stack_cache *cache)
{
	int class;

	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		if (!cache->warm[class])
			continue;
		give_oldest(cache, class, cache->warm[class]->count);
		burrow_stack_unkeep(cache->pool, class, watermark(class));
		munmap(cache->warm[class], sizeof(*cache->warm[class]));
		cache->warm[class] = NULL;
	}
}

void burrow_stack_cache_drop(struct burrow_stack_cache *cache)
{
	int class;

	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		if (cache->warm[class])
			munmap(cache->warm[class], sizeof(*cache->warm[class]));
	}
	burrow_stack_cache_open(cache, NULL);
}

/* NULL: there is no room to keep any. */
static struct burrow_stack_warm *warm_new(struct burrow_stack_cache *cache,
					  int class)
{
	struct burrow_stack_warm *warm;

	if (burrow_stack_keep(cache->pool, class, watermark(class)))
		return NULL;
	warm = mmap(NULL, sizeof(*warm), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (warm == MAP_FAILED) {
		burrow_stack_unkeep(cache->pool, class, watermark(class));
		return NULL;
	}
	warm->mark = watermark(class);
	warm->deep = burrow_stack_class_stride(class) > DEEP_STRIDE;
	cache->warm[class] = warm;
	return warm;
}

/* As burrow_stack_cache_get() does; there is one. */
static int take_last(struct burrow_stack_cache *cache,
		     struct burrow_stack_warm *warm, struct burrow_stack *stack)
{
	uint64_t bit = 1ULL << (warm->count - 1);
	bool slept = warm->slept & bit;

	warm->slept &= ~bit;
	*stack = warm->stacks[--warm->count];
	set_count(cache, cache->count - 1);
	if (warm->idle > warm->count)
		warm->idle = warm->count;
	return slept;
}

int burrow_stack_cache_get(struct burrow_stack_cache *cache, int class,
			   struct burrow_stack *stack)
{
	struct burrow_stack_warm *warm = cache->warm[class];

	if (warm && warm->count)
		return take_last(cache, warm, stack);
	if (warm) {
		warm->count = burrow_stack_get_rested(
			cache->pool, class, warm->stacks, (warm->mark + 3) / 4);
		set_count(cache, cache->count + warm->count);
		if (warm->count)
			return take_last(cache, warm, stack);
	}
	return burrow_stack_get(cache->pool, class, stack);
}

void burrow_stack_cache_slept(struct burrow_stack_cache *cache, int class,
			      const struct burrow_stack *stack)
{
	struct burrow_stack_warm *warm = cache->warm[class];
	const struct burrow_stack *last;

	if (!warm || !warm->count)
		return;
	/* There may have been no room to keep it. */
	last = &warm->stacks[warm->count - 1];
	if (last->arena == stack->arena && last->slot == stack->slot)
		warm->slept |= 1ULL << (warm->count - 1);
}

void burrow_stack_cache_put_slow(struct burrow_stack_cache *cache, int class,
				 const struct burrow_stack *stack)
{
	struct burrow_stack_warm *warm = cache->warm[class];

	if (!warm) {
		warm = warm_new(cache, class);
		if (!warm) {
			burrow_stack_put(cache->pool, class, stack, 1);
			return;
		}
	}

	if (warm->count == warm->mark)
		give_oldest(cache, class, (warm->count + 1) / 2);
	if (warm->deep)
		burrow_stack_trim(stack, &(size_t){ DEEP_KEEP }, 1);
	burrow_stack_label(stack, 0);
	warm->stacks[warm->count++] = *stack;
	set_count(cache, cache->count + 1);
}

void burrow_stack_cache_decay(struct burrow_stack_cache *cache)
{
	struct burrow_stack_warm *warm;
	int class;

	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		warm = cache->warm[class];
		if (!warm || !warm->count)
			continue;
		if (warm->idle)
			give_oldest(cache, class, (warm->idle + 1) / 2);
		warm->idle = warm->count;
	}
}
