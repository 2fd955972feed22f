// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sweeping: what is left to do for a span when marking has ended.
 *
 * The marks have become the allocation bits by then, for all spans at once: the
 * two bitmaps have changed places (burrow_heap_mark_end()). What is in the other
 * one still says what was allocated before; it becomes a copy of the first, since
 * what is marked stays so until a full cycle begins, and the span goes where what
 * is left in it wants it. Objects themselves are not looked at, but to poison them.
 */
#include <sched.h>
#include <string.h>

#include "span.h"

#define TRIES 32 /* spans without a free object, before a new one is taken */

static char *object_at(const struct burrow_span *span, uint32_t size,
		       uint32_t index)
{
	return span->start + (size_t)index * size;
}

/* What was allocated and is not any more. */
static void poison(struct burrow_heap *heap, struct burrow_span *span)
{
	const struct burrow_bin_info *info = &burrow_bin_infos[span->bin];
	uint32_t word, index;
	uint64_t gone;

	for (word = 0; word < info->words; word++) {
		gone = *burrow_bits_word(heap->marks, span->bits, word * 64) &
		       ~*burrow_bits_word(heap->allocs, span->bits, word * 64);
		for (; gone; gone &= gone - 1) {
			index = word * 64 + __builtin_ctzl(gone);
			memset(object_at(span, info->size, index),
			       BURROW_POISON,
			       info->size ? info->size : span->object);
		}
	}
}

uint32_t burrow_sweep_one(struct burrow_heap *heap, struct burrow_span *span)
{
	uint32_t words = burrow_bin_infos[span->bin].words, word, left = 0;
	uint64_t *allocs = burrow_bits_word(heap->allocs, span->bits, 0);
	uint64_t *marks = burrow_bits_word(heap->marks, span->bits, 0);

	if (heap->poison)
		poison(heap, span);
	for (word = 0; word < words; word++) {
		left += __builtin_popcountl(allocs[2 * word]);
		__atomic_store_n(&marks[2 * word], allocs[2 * word],
				 __ATOMIC_RELAXED);
	}
	span->at = 0;
	/* What has lived through a part of a cycle is not old yet. */
	burrow_span_age(heap, span,
			burrow_span_is_dense(left, span->count) &&
				!span->fresh);
	span->fresh = false;
	return left;
}

/* Last of all: who waits for it to be 0 may begin to mark. */
static void count_swept(struct burrow_heap *heap, size_t bytes)
{
	__atomic_add_fetch(&heap->swept, bytes, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&heap->unswept, bytes, __ATOMIC_RELEASE);
}

struct burrow_span *burrow_sweep_get(struct burrow_heap *heap, uint32_t number)
{
	struct burrow_bin *bin = &heap->bins[number];
	struct burrow_span *span;
	uint32_t left;
	int tries;

	pthread_mutex_lock(&bin->lock);
	for (tries = 0; tries < TRIES; tries++) {
		span = burrow_span_pop(&bin->partial);
		if (span)
			break;
		span = burrow_span_pop(&bin->unswept);
		if (!span)
			break;
		pthread_mutex_unlock(&bin->lock);
		left = burrow_sweep_one(heap, span);
		count_swept(heap, span->pages << BURROW_HEAP_SHIFT);
		if (left < span->count)
			return span;
		pthread_mutex_lock(&bin->lock);
		burrow_span_push(&bin->full, span);
		span = NULL;
	}
	pthread_mutex_unlock(&bin->lock);
	return span;
}

/* One span of a bin, to where it belongs. Returns its bytes; 0: there was none. */
static size_t sweep_bin(struct burrow_heap *heap, struct burrow_bin *bin)
{
	struct burrow_span *span;
	uint32_t left;
	size_t bytes;

	pthread_mutex_lock(&bin->lock);
	span = burrow_span_pop(&bin->unswept);
	pthread_mutex_unlock(&bin->lock);
	if (!span)
		return 0;
	bytes = span->pages << BURROW_HEAP_SHIFT;
	left = burrow_sweep_one(heap, span);
	if (!left) {
		burrow_span_free(heap, span);
	} else {
		pthread_mutex_lock(&bin->lock);
		burrow_span_push(
			left < span->count ? &bin->partial : &bin->full, span);
		pthread_mutex_unlock(&bin->lock);
	}
	count_swept(heap, bytes);
	return bytes;
}

static bool is_swept(struct burrow_heap *heap)
{
	return !__atomic_load_n(&heap->unswept, __ATOMIC_ACQUIRE);
}

bool burrow_heap_sweep_some(struct burrow_heap *heap, size_t bytes)
{
	uint32_t bins = burrow_bins_count(), tried = 0, number;
	size_t done = 0, got;

	number = __atomic_load_n(&heap->sweep_bin, __ATOMIC_RELAXED);
	while (!is_swept(heap) && done < bytes && tried < bins) {
		number = number < bins ? number : 0;
		got = sweep_bin(heap, &heap->bins[number]);
		done += got;
		tried = got ? 0 : tried + 1;
		number += !got;
	}
	__atomic_store_n(&heap->sweep_bin, number, __ATOMIC_RELAXED);
	return done;
}

void burrow_heap_sweep_all(struct burrow_heap *heap)
{
	while (!is_swept(heap)) {
		/* Others have the last ones in hand. */
		if (!burrow_heap_sweep_some(heap, SIZE_MAX))
			sched_yield();
	}
}
