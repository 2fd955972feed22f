// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Spans: made of pages and bits, known by the tables, and given back.
 */
#include <assert.h>
#include <string.h>

#include "span.h"

#define BITS_READY (1U << 15) /* words made ready at a time */

/* 1, 2, 4, 8, 16 words: 0 to 4. */
static uint32_t bits_size(uint32_t words)
{
	return words > 1 ? 32 - __builtin_clz(words - 1) : 0;
}

/* More of the bitmaps can be written. */
static bool bits_make_ready(struct burrow_heap *heap, struct burrow_half *half)
{
	uint32_t more = half->bits_end - half->bits_ready;

	more = more < BITS_READY ? more : BITS_READY;
	if (!burrow_table_ready(heap->bits, (size_t)half->bits_ready * 16,
				((size_t)half->bits_ready + more) * 16))
		return false;
	half->bits_ready += more;
	return true;
}

/* All zero. Under half.lock. False: there are no more. */
static bool bits_get(struct burrow_heap *heap, struct burrow_half *half,
		     uint32_t words, uint32_t *bits)
{
	uint32_t size = bits_size(words);
	uint32_t free = half->bits_free[size];

	if (free) {
		*bits = free - 1;
		half->bits_free[size] = heap->bits[2 * (size_t)*bits];
		heap->bits[2 * (size_t)*bits] = 0;
		return true;
	}
	if (half->bits_end - half->bits_at < 1U << size)
		return false;
	if (half->bits_at + (1U << size) > half->bits_ready &&
	    !bits_make_ready(heap, half))
		return false;
	*bits = half->bits_at;
	half->bits_at += 1U << size;
	return true;
}

static void bits_put(struct burrow_heap *heap, struct burrow_half *half,
		     uint32_t words, uint32_t bits)
{
	uint32_t size = bits_size(words);

	heap->bits[2 * (size_t)bits] = half->bits_free[size];
	half->bits_free[size] = bits + 1;
}

/* Once, until it was looked after. */
static void ask(struct burrow_heap *heap)
{
	const struct burrow_heap_hooks *hooks = burrow_heap_hooks_of(heap);

	if (__atomic_load_n(&heap->asked, __ATOMIC_RELAXED) || !hooks ||
	    !hooks->stock ||
	    __atomic_exchange_n(&heap->asked, 1, __ATOMIC_RELAXED))
		return;
	hooks->stock();
}

/*
 * Free pages of the other half may be what the heap has below its limit. Without locks:
 * to take both would want an order.
 */
static bool other_gives(struct burrow_heap *heap,
			const struct burrow_half *half, size_t bytes)
{
	struct burrow_half *other = &heap->half[half == &heap->half[0]];
	size_t done;

	pthread_mutex_lock(&other->lock);
	done = burrow_pages_scavenge(heap, other, bytes);
	pthread_mutex_unlock(&other->lock);
	return done;
}

static struct burrow_span *take_once(struct burrow_heap *heap,
				     struct burrow_half *half, size_t pages,
				     uint32_t bin)
{
	struct burrow_span *span;
	bool low;

	pthread_mutex_lock(&half->lock);
	span = burrow_pages_take(heap, half, pages, bin);
	if (span && bin != BURROW_BIN_KEPT &&
	    !bits_get(heap, half, burrow_bin_infos[bin].words, &span->bits)) {
		burrow_pages_put(heap, half, span);
		span = NULL;
	}
	low = burrow_stock_is_low(heap, half);
	pthread_mutex_unlock(&half->lock);
	if (burrow_unlikely(low))
		ask(heap);
	return span;
}

static struct burrow_span *take(struct burrow_heap *heap,
				struct burrow_half *half, size_t pages,
				uint32_t bin)
{
	struct burrow_span *span;

	do {
		span = take_once(heap, half, pages, bin);
	} while (burrow_unlikely(!span) &&
		 other_gives(heap, half, pages << BURROW_HEAP_SHIFT));
	return span;
}

/* The entries last: who finds one may look for the span. */
static void publish(struct burrow_heap *heap, struct burrow_span *span)
{
	size_t number = burrow_page_number(heap, span->start), i;
	union burrow_page page = {
		.bits = span->bits,
		.bin = span->bin,
	};

	burrow_span_age(heap, span, false);
	for (i = 0; i < span->pages; i++) {
		page.back = i <= UINT16_MAX ? i : UINT16_MAX;
		heap->spans[number + i] = span;
		__atomic_store_n(&heap->pages[number + i].all, page.all,
				 __ATOMIC_RELEASE);
	}
}

struct burrow_span *burrow_span_new(struct burrow_heap *heap, uint32_t bin)
{
	const struct burrow_bin_info *info = &burrow_bin_infos[bin];
	struct burrow_span *span;

	span = take(heap, burrow_half_of(heap, info->kind), info->pages, bin);
	if (!span)
		return NULL;
	span->count = info->count;
	span->at = 0;
	span->touched = span->memory == BURROW_MEMORY_USED ? info->count : 0;
	span->fresh = false;
	publish(heap, span);
	return span;
}

struct burrow_span *burrow_span_large(struct burrow_heap *heap,
				      enum burrow_kind kind, size_t bytes)
{
	struct burrow_span *span;

	span = take(heap, burrow_half_of(heap, kind),
		    (bytes + BURROW_HEAP_PAGE - 1) >> BURROW_HEAP_SHIFT,
		    BURROW_BIN_LARGE + kind);
	if (!span)
		return NULL;
	__atomic_add_fetch(&heap->unlisted, span->pages << BURROW_HEAP_SHIFT,
			   __ATOMIC_RELAXED);
	span->object = bytes;
	span->count = 1;
	span->at = 1;
	span->touched = span->memory == BURROW_MEMORY_USED;
	return span;
}

void burrow_span_publish(struct burrow_heap *heap, struct burrow_span *span)
{
	struct burrow_bin *bin = &heap->bins[span->bin];

	span->fresh = heap->marking;
	__atomic_store_n(burrow_bits_word(heap->allocs, span->bits, 0), 1,
			 __ATOMIC_RELAXED);
	publish(heap, span);
	pthread_mutex_lock(&bin->lock);
	burrow_span_push(&bin->full, span);
	pthread_mutex_unlock(&bin->lock);
	__atomic_sub_fetch(&heap->unlisted, span->pages << BURROW_HEAP_SHIFT,
			   __ATOMIC_RELAXED);
}

/*
 * Its pages have no entries, so that nothing finds an object there, and it is on no
 * list; its struct goes with the others of the half.
 */
void *burrow_heap_keep(struct burrow_heap *heap, size_t bytes)
{
	struct burrow_span *span;

	span = take(heap, burrow_half_of(heap, BURROW_PLAIN),
		    (bytes + BURROW_HEAP_PAGE - 1) >> BURROW_HEAP_SHIFT,
		    BURROW_BIN_KEPT);
	return span ? span->start : NULL;
}

/* Its bits are zero: nothing is in it. */
void burrow_span_free(struct burrow_heap *heap, struct burrow_span *span)
{
	struct burrow_half *half = &heap->half[span->plain];
	size_t number = burrow_page_number(heap, span->start), i;
	uint32_t words = burrow_bin_infos[span->bin].words;

	assert(!heap->marking);
	burrow_holes_forget(heap, span);
	burrow_span_age(heap, span, false);
	for (i = 0; i < span->pages; i++)
		__atomic_store_n(&heap->pages[number + i].all, 0,
				 __ATOMIC_RELAXED);
	pthread_mutex_lock(&half->lock);
	bits_put(heap, half, words, span->bits);
	span->memory = BURROW_MEMORY_USED;
	burrow_pages_put(heap, half, span);
	pthread_mutex_unlock(&half->lock);
}

void burrow_span_push(struct burrow_span_list *list, struct burrow_span *span)
{
	span->next = list->first;
	list->first = span;
	if (!span->next)
		list->last = span;
}

struct burrow_span *burrow_span_pop(struct burrow_span_list *list)
{
	struct burrow_span *span = list->first;

	if (span)
		list->first = span->next;
	return span;
}
