// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages without an object in spans that have others.
 *
 * Where many of a heap's objects have died, few spans are empty, but of objects that
 * are not much smaller than a page many pages are. The collector's thread gives
 * those back when the heap is larger than it will grow to. Nothing else changes: such
 * memory is zero when it is touched again, and is cleared once more when a cache takes
 * it. Spans of the list of those with free objects are looked at, each once until a
 * cache has had it.
 */
#include "span.h"

#define SYSTEM_PAGE 4096UL

/* The whole pages of free objects from @at to @end. */
static size_t release(struct burrow_heap *heap, struct burrow_span *span,
		      uint32_t at, uint32_t end)
{
	size_t size = burrow_bin_infos[span->bin].size;
	char *low = span->start + at * size, *high = span->start + end * size;

	low = (char *)(((uintptr_t)low + SYSTEM_PAGE - 1) & -SYSTEM_PAGE);
	high = (char *)((uintptr_t)high & -SYSTEM_PAGE);
	if (low >= high)
		return 0;
	heap->source->release(heap, &heap->half[span->plain], low, high - low);
	return high - low;
}

static size_t release_all(struct burrow_heap *heap, struct burrow_span *span)
{
	uint32_t at, end, count = span->count;
	size_t done = 0;

	for (at = 0; at < count; at = end + 1) {
		for (end = at; end < count; end++) {
			if (burrow_bits_test(heap->allocs, span->bits, end))
				break;
		}
		done += release(heap, span, at, end);
	}
	return done;
}

void burrow_holes_forget(struct burrow_heap *heap, struct burrow_span *span)
{
	if (!span->holes)
		return;
	__atomic_sub_fetch(&heap->holes, span->holes, __ATOMIC_RELAXED);
	span->holes = 0;
}

static struct burrow_span *take(struct burrow_bin *bin)
{
	struct burrow_span *span;

	pthread_mutex_lock(&bin->lock);
	span = burrow_span_pop(&bin->partial);
	pthread_mutex_unlock(&bin->lock);
	return span;
}

/* Those that were looked at, before those that caches have put there since. */
static void put_all(struct burrow_bin *bin, struct burrow_span *first)
{
	struct burrow_span *next;

	pthread_mutex_lock(&bin->lock);
	for (; first; first = next) {
		next = first->next;
		burrow_span_push(&bin->partial, first);
	}
	pthread_mutex_unlock(&bin->lock);
}

static size_t scavenge_bin(struct burrow_heap *heap, struct burrow_bin *bin,
			   size_t bytes)
{
	struct burrow_span *span, *seen = NULL;
	size_t done = 0;

	while (done < bytes && (span = take(bin))) {
		if (!span->holes) {
			span->holes = release_all(heap, span);
			__atomic_add_fetch(&heap->holes, span->holes,
					   __ATOMIC_RELAXED);
			done += span->holes;
		}
		span->next = seen;
		seen = span;
	}
	put_all(bin, seen);
	return done;
}

/* Large objects first: they leave most. */
size_t burrow_heap_scavenge_holes(struct burrow_heap *heap, size_t bytes)
{
	uint32_t number = burrow_bins_count();
	size_t done = 0;

	while (number-- > BURROW_BIN_CLASS && done < bytes)
		done += scavenge_bin(heap, &heap->bins[number], bytes - done);
	return done;
}
