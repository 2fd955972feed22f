// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Caches: the free objects that one thread hands out.
 *
 * A cache belongs to a thread, not to a processor: a thread that runs plain C
 * code for long loses its processor at any point, in the middle of handing out
 * an object too, and goes on with what it has. A thread that goes spare leaves
 * its cache, with all that is in it, to the next one that needs one.
 *
 * What a cache has of a bin is a run: free objects that lie side by side. They
 * are made allocated, and zero, as they are taken, so that handing one out is to
 * move run.cur. Runs are short enough to stay in the processor's cache until
 * they are used.
 */
#include <assert.h>
#include <burrow/alloc_inline.h>
#include <string.h>

#include "profile.h"
#include "span.h"

/* A run has so many objects, within these bytes, but one at least. */
#define RUN_OBJECTS 64
#define RUN_LEAST 4096UL
#define RUN_MOST 16384UL /* half of what is nearest to a processor */
#define FLUSH_BYTES (32UL << 10)

__thread struct burrow_heap_cache *burrow_cache_tls
	__attribute__((tls_model("initial-exec"), visibility("default")));

/* Programs have this compiled in. */
#define SAME(a, b) \
	(offsetof(struct burrow_alloc_run, a) == offsetof(struct burrow_run, b))
_Static_assert(SAME(cur, cur) && SAME(end, end) && SAME(size, size) &&
		       sizeof(struct burrow_alloc_run) ==
			       sizeof(struct burrow_run) &&
		       !offsetof(struct burrow_heap_cache, run),
	       "runs are where programs look for them");
_Static_assert(BURROW_RUN_PLAIN == BURROW_BIN_CLASS +
					   BURROW_PLAIN * BURROW_CLASSES &&
		       BURROW_RUN_WORDS ==
			       BURROW_BIN_CLASS + BURROW_WORDS * BURROW_CLASSES,
	       "bins have the numbers that programs know");

/* Not inlined: its caller may have come to another thread. */
__attribute__((noipa)) struct burrow_heap_cache *burrow_cache_self(void)
{
	return burrow_cache_tls;
}

__attribute__((noipa)) static void cache_set(struct burrow_heap_cache *cache)
{
	burrow_cache_tls = cache;
}

void *burrow_heap_cache_bar(void)
{
	struct burrow_heap_cache *cache = burrow_cache_self();

	cache_set(NULL);
	return cache;
}

void burrow_heap_cache_unbar(void *was)
{
	cache_set(was);
}

void burrow_heap_cache_leave(void)
{
	struct burrow_heap_cache *cache = burrow_cache_self();
	struct burrow_heap *heap;

	if (!cache)
		return;
	cache_set(NULL);
	heap = cache->heap;
	pthread_mutex_lock(&heap->lock);
	cache->spare_next = heap->spare_caches;
	heap->spare_caches = cache;
	pthread_mutex_unlock(&heap->lock);
}

struct burrow_heap_cache *burrow_cache_get(void)
{
	struct burrow_heap_cache *cache = burrow_cache_self();
	struct burrow_heap *heap = burrow_heap_now();

	if (cache || !heap)
		return cache;
	pthread_mutex_lock(&heap->lock);
	cache = heap->spare_caches;
	if (cache) {
		heap->spare_caches = cache->spare_next;
	} else {
		cache = burrow_table_map(sizeof(*cache));
		if (cache) {
			cache->heap = heap;
			cache->next = heap->caches;
			heap->caches = cache;
		}
	}
	pthread_mutex_unlock(&heap->lock);
	cache_set(cache);
	return cache;
}

/* Tells the heap what was taken. */
void burrow_cache_account(struct burrow_heap_cache *cache, size_t bytes)
{
	struct burrow_heap *heap = cache->heap;

	cache->taken += bytes;
	if (cache->taken < FLUSH_BYTES)
		return;
	__atomic_add_fetch(&heap->allocated, cache->taken, __ATOMIC_RELAXED);
	cache->taken = 0;
}

/* Sets @n bits from @index on; markers may set others of a word meanwhile. */
static void bits_set(uint64_t *map, uint32_t first, uint32_t index, uint32_t n)
{
	uint64_t mask, *word;
	uint32_t here;

	for (; n; index += here, n -= here) {
		word = burrow_bits_word(map, first, index);
		here = 64 - index % 64 < n ? 64 - index % 64 : n;
		mask = (here == 64 ? ~0UL : (1UL << here) - 1) << index % 64;
		if ((__atomic_load_n(word, __ATOMIC_RELAXED) & mask) != mask)
			__atomic_or_fetch(word, mask, __ATOMIC_RELAXED);
	}
}

/* Length of the run of free objects at @at, which is free; not past @limit. */
static uint32_t free_run(const uint64_t *bits, uint32_t at, uint32_t limit)
{
	uint32_t end = at;
	uint64_t word;

	while (end < limit) {
		word = bits[2 * (end / 64)] >> end % 64;
		if (word) {
			end += __builtin_ctzl(word);
			break;
		}
		end = (end | 63) + 1;
	}
	return (end < limit ? end : limit) - at;
}

/* The first free object from @at on, or @count. */
static uint32_t free_next(const uint64_t *bits, uint32_t at, uint32_t count)
{
	uint64_t word;

	while (at < count) {
		word = ~bits[2 * (at / 64)] >> at % 64;
		if (word) {
			at += __builtin_ctzl(word);
			break;
		}
		at = (at | 63) + 1;
	}
	return at < count ? at : count;
}

static void clear(struct burrow_span *span, uint32_t size, uint32_t at,
		  uint32_t n)
{
	uint32_t end = at + n;

	if (at < span->touched)
		memset(span->start + (size_t)at * size, 0,
		       (size_t)((end < span->touched ? end : span->touched) -
				at) *
			       size);
	if (end > span->touched)
		span->touched = end;
}

static uint32_t run_objects(size_t size)
{
	size_t bytes = RUN_OBJECTS * size;

	if (bytes < RUN_LEAST)
		bytes = RUN_LEAST;
	if (bytes > RUN_MOST)
		bytes = RUN_MOST;
	return size < bytes ? bytes / size : 1;
}

/*
 * The bits are set when the memory is zero: a marker that finds the object
 * allocated may scan it.
 */
static bool run_take(struct burrow_heap_cache *cache, struct burrow_run *run,
		     const struct burrow_bin_info *info)
{
	struct burrow_heap *heap = cache->heap;
	struct burrow_span *span = run->span;
	const uint64_t *allocs = burrow_bits_word(heap->allocs, span->bits, 0);
	bool profile = __atomic_load_n(&heap->profile, __ATOMIC_RELAXED);
	uint32_t most, at, n;

	at = free_next(allocs, span->at, span->count);
	if (at == span->count) {
		span->at = at;
		return false;
	}
	most = run_objects(info->size);
	if (burrow_unlikely(profile))
		most = burrow_profile_run(cache, info->size, most);
	n = free_run(allocs, at,
		     span->count - at < most ? span->count : at + most);
	if (burrow_unlikely(profile))
		burrow_profile_took(cache, (size_t)n * info->size);
	span->at = at + n;
	clear(span, info->size, at, n);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	bits_set(heap->allocs, span->bits, at, n);
	span->fresh |= heap->marking;
	run->cur = span->start + (size_t)at * info->size;
	run->end = run->cur + (size_t)n * info->size;
	burrow_cache_account(cache, run->end - run->cur);
	return true;
}

/* The span has come to its end. */
static void run_drop(struct burrow_heap_cache *cache, struct burrow_run *run,
		     uint32_t number)
{
	struct burrow_bin *bin = &cache->heap->bins[number];

	pthread_mutex_lock(&bin->lock);
	burrow_span_push(&bin->full, run->span);
	pthread_mutex_unlock(&bin->lock);
	run->span = NULL;
	cache->active[number / 64] &= ~(1UL << number % 64);
}

bool burrow_cache_refill(struct burrow_heap_cache *cache, uint32_t number)
{
	const struct burrow_bin_info *info = &burrow_bin_infos[number];
	struct burrow_run *run = &cache->run[number];

	for (;;) {
		if (run->span) {
			if (run_take(cache, run, info))
				return true;
			run_drop(cache, run, number);
		}
		run->span = burrow_sweep_get(cache->heap, number);
		if (!run->span)
			run->span = burrow_span_new(cache->heap, number);
		if (!run->span)
			return false;
		burrow_holes_forget(cache->heap, run->span);
		run->size = info->size;
		cache->active[number / 64] |= 1UL << number % 64;
	}
}

static void each_run(struct burrow_heap *heap,
		     void (*fn)(struct burrow_heap_cache *cache,
				struct burrow_run *run))
{
	struct burrow_heap_cache *cache;
	uint32_t word;
	uint64_t bins;

	for (cache = heap->caches; cache; cache = cache->next) {
		for (word = 0; word < BURROW_BINS / 64; word++) {
			for (bins = cache->active[word]; bins; bins &= bins - 1)
				fn(cache, &cache->run[word * 64 +
						      __builtin_ctzl(bins)]);
		}
	}
}

/* What it has not handed out yet is nobody's, and stays. */
static void run_keep(struct burrow_heap_cache *cache, struct burrow_run *run)
{
	char *cur = __atomic_load_n(&run->cur, __ATOMIC_RELAXED);

	burrow_part_mark(cache->heap->parts,
			 burrow_page_number(cache->heap, run->span->start));
	bits_set(cache->heap->marks, run->span->bits,
		 (cur - run->span->start) / run->size,
		 (run->end - cur) / run->size);
}

void burrow_heap_mark_caches(struct burrow_heap *heap)
{
	assert(heap->marking);
	if (!heap->forgetful)
		each_run(heap, run_keep);
}

const void *burrow_heap_not_kept(struct burrow_heap *heap)
{
	const struct burrow_heap_cache *cache;
	const struct burrow_run *run;
	const char *at;

	for (cache = heap->caches; cache; cache = cache->next) {
		for (run = cache->run; run < cache->run + BURROW_BINS; run++) {
			for (at = run->cur; run->span && at < run->end;
			     at += run->size)
				if (!burrow_heap_is_marked(heap, at))
					return at;
		}
	}
	return NULL;
}

static void run_sweep(struct burrow_heap_cache *cache, struct burrow_run *run)
{
	burrow_sweep_one(cache->heap, run->span);
	/* It has more young than old, and will have more. */
	burrow_span_age(cache->heap, run->span, false);
	cache->heap->unswept -= run->span->pages << BURROW_HEAP_SHIFT;
}

void burrow_caches_mark_end(struct burrow_heap *heap)
{
	each_run(heap, run_sweep);
}
