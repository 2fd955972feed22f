// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory that is ready before it is needed.
 *
 * A heap that is larger than a few megabytes wants to be in huge pages, for marking
 * follows pointers from page to page and would wait for the TLB most of the time. But
 * whoever touches a huge page first waits until the system has found one and cleared it:
 * a goroutine that allocates a few bytes. So that is done by the collector's thread,
 * between cycles: it keeps some blocks in stock, of each half that grows, which have
 * memory and are zero. Where a program takes memory faster than that, it touches what
 * the system gives to all meanwhile, pages of the common size as a rule.
 *
 * Where it runs short, whoever took some asks (span.c), and not again until there is
 * enough, or, where nothing more may be had, the next cycle is through or what may be
 * had was set anew.
 */
#include "span.h"

#define FROM (32UL << 20) /* bytes of a half; one of less is not looked after */
#define LEAST (2 * BURROW_HEAP_BLOCK)
#define MOST (32 * BURROW_HEAP_BLOCK)
#define PART 32 /* of what is in use: less than what is kept free, gc/tidy.c */

static size_t wanted(const struct burrow_heap *heap)
{
	size_t bytes = __atomic_load_n(&heap->in_use, __ATOMIC_RELAXED) / PART;

	if (bytes < LEAST)
		bytes = LEAST;
	if (bytes > MOST)
		bytes = MOST;
	return bytes >> BURROW_HEAP_SHIFT;
}

/* Under half.lock. */
static bool is_short(const struct burrow_half *half, size_t pages)
{
	return half->grows && half->top << BURROW_HEAP_SHIFT >= FROM &&
	       half->zero_pages < pages;
}

bool burrow_stock_is_low(const struct burrow_heap *heap,
			 const struct burrow_half *half)
{
	return heap->source->ready && is_short(half, wanted(heap) / 2);
}

/* False: there was none to be had, or no memory. */
static bool add(struct burrow_heap *heap, struct burrow_half *half)
{
	struct burrow_span *block;
	bool ready;

	block = burrow_pages_block(heap, half);
	if (!block)
		return false;
	/* It is nobody's meanwhile. */
	pthread_mutex_unlock(&half->lock);
	ready = !heap->source->ready(block->start);
	pthread_mutex_lock(&half->lock);
	if (ready)
		block->memory = BURROW_MEMORY_ZERO;
	burrow_pages_block_put(heap, half, block);
	return ready;
}

void burrow_heap_stock_again(struct burrow_heap *heap)
{
	__atomic_store_n(&heap->asked, 0, __ATOMIC_RELAXED);
}

bool burrow_heap_stock(struct burrow_heap *heap, bool may)
{
	bool low, added = true;
	int i;

	for (i = 0; i < 2; i++) {
		struct burrow_half *half = &heap->half[i];

		pthread_mutex_lock(&half->lock);
		low = is_short(half, wanted(heap));
		if (low)
			added = may && add(heap, half);
		pthread_mutex_unlock(&half->lock);
		if (low)
			return added;
	}
	burrow_heap_stock_again(heap);
	return false;
}
