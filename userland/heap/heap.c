// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap as a whole: its range of addresses, its tables, and the ends of
 * marking.
 *
 * The tables are as large as the range could need and have memory where they are
 * touched. Where so much address space is refused all is tried again with half
 * of it.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "span.h"

#define RESERVE (1UL << 40)
#define RESERVE_MIN (64UL << 20)
#define SPANS_ENTRY sizeof(void *) /* of heap->spans: a pointer to a span */
#define BITS_WORDS \
	(BURROW_HEAP_PAGE / 16 / 64) /* that a page may need, twice */

static struct burrow_heap *heap_now;

struct burrow_heap *burrow_heap_now(void)
{
	return __atomic_load_n(&heap_now, __ATOMIC_ACQUIRE);
}

void burrow_heap_now_set(struct burrow_heap *heap)
{
	struct burrow_heap *old;

	old = __atomic_exchange_n(&heap_now, heap, __ATOMIC_ACQ_REL);
	if (old && !heap)
		__atomic_store_n(&old->hooks, NULL, __ATOMIC_RELEASE);
}

void *burrow_table_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* After mlockall(MCL_FUTURE) it would all get memory. */
	munlock(p, bytes);
	if (!mprotect(p, bytes, PROT_READ | PROT_WRITE))
		return p;
	munmap(p, bytes);
	return NULL;
}

/*
 * One whose parts are made writable as they come into use: mlockall() gives
 * memory to all that is writable. @prot: of the rest, which is zero if it can be
 * read.
 */
static void *large_table_map(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

bool burrow_table_ready(void *table, size_t low, size_t high)
{
	char *from = (char *)table + (low & ~4095UL);

	high = (high + 4095) & ~4095UL;
	return !mprotect(from, (char *)table + high - from,
			 PROT_READ | PROT_WRITE);
}

bool burrow_tables_ready(struct burrow_heap *heap, char *start, size_t pages)
{
	size_t low = burrow_page_number(heap, start), high = low + pages;

	return burrow_table_ready(heap->pages, low * sizeof(*heap->pages),
				  high * sizeof(*heap->pages)) &&
	       burrow_table_ready(heap->spans, low * SPANS_ENTRY,
				  high * SPANS_ENTRY) &&
	       burrow_table_ready(heap->old, low, high) &&
	       burrow_table_ready(heap->parts, low / BURROW_HEAP_PART,
				  high / BURROW_HEAP_PART + 1) &&
	       burrow_table_ready(heap->armed, low, high);
}

static void table_unmap(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes);
}

static void tables_close(struct burrow_heap *heap)
{
	size_t pages = heap->bytes >> BURROW_HEAP_SHIFT;

	table_unmap(heap->pages, pages * sizeof(*heap->pages));
	table_unmap(heap->spans, pages * SPANS_ENTRY);
	table_unmap(heap->old, pages);
	table_unmap(heap->parts, pages / BURROW_HEAP_PART + 1);
	table_unmap(heap->armed, pages);
	table_unmap(heap->bits, pages * BITS_WORDS * 16);
}

static int tables_open(struct burrow_heap *heap)
{
	size_t pages = heap->bytes >> BURROW_HEAP_SHIFT;

	/* Any address in the range is looked up in this one. */
	heap->pages = large_table_map(pages * sizeof(*heap->pages), PROT_READ);
	heap->spans = large_table_map(pages * SPANS_ENTRY, PROT_NONE);
	heap->old = large_table_map(pages, PROT_NONE);
	heap->parts = large_table_map(pages / BURROW_HEAP_PART + 1, PROT_NONE);
	heap->armed = large_table_map(pages, PROT_NONE);
	heap->bits = large_table_map(pages * BITS_WORDS * 16, PROT_NONE);
	if (heap->pages && heap->spans && heap->old && heap->parts &&
	    heap->armed && heap->bits)
		return 0;
	tables_close(heap);
	return -ENOMEM;
}

static void halves_open(struct burrow_heap *heap)
{
	size_t pages = heap->bytes >> BURROW_HEAP_SHIFT >> 1;
	int i;

	for (i = 0; i < 2; i++) {
		struct burrow_half *half = &heap->half[i];

		pthread_mutex_init(&half->lock, NULL);
		half->base = heap->base + i * (heap->bytes / 2);
		half->pages = pages;
		half->bits_at = i * pages * BITS_WORDS;
		half->bits_ready = half->bits_at;
		half->bits_end = half->bits_at + pages * BITS_WORDS;
		half->plain = i;
	}
}

/* Where address space is limited an eighth of it, as each sort of stack does. */
static size_t most_bytes(void)
{
	size_t bytes = RESERVE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return bytes;
	while (bytes > limit.rlim_cur / 8 && bytes > RESERVE_MIN)
		bytes /= 2;
	return bytes;
}

static int memory_from(struct burrow_heap *heap,
		       const struct burrow_heap_source *source)
{
	size_t bytes;
	int ret = -ENOMEM;

	heap->source = source;
	for (bytes = most_bytes(); bytes >= RESERVE_MIN; bytes /= 2) {
		ret = heap->source->reserve(heap, bytes);
		if (ret)
			continue;
		heap->bytes = bytes;
		ret = tables_open(heap);
		if (!ret)
			return 0;
		heap->source->close(heap);
	}
	return ret;
}

static int memory_open(struct burrow_heap *heap)
{
	if (heap->fd >= 0 && !memory_from(heap, &burrow_heap_kmod))
		return 0;
	return memory_from(heap, &burrow_heap_mmap);
}

const struct burrow_heap_module *
burrow_heap_module_of(const struct burrow_heap *heap)
{
	return heap->source == &burrow_heap_kmod ? &heap->module : NULL;
}

int burrow_heap_open(struct burrow_heap **out,
		     const struct burrow_heap_options *options)
{
	struct burrow_heap *heap;
	int ret;

	ret = burrow_bins_open();
	if (ret)
		return ret;
	heap = burrow_table_map(sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	heap->fd = options->fd;
	heap->poison = options->poison;
	heap->check = options->check;
	heap->forgetful = options->forgetful;
	heap->hooks = options->hooks;
	heap->trigger = UINT64_MAX;
	heap->most = UINT64_MAX;
	ret = memory_open(heap);
	if (ret) {
		munmap(heap, sizeof(*heap));
		return ret;
	}
	burrow_heap_limit(heap, 0);
	halves_open(heap);
	heap->allocs = heap->bits;
	heap->marks = heap->bits + 1;
	pthread_mutex_init(&heap->lock, NULL);
	*out = heap;
	return 0;
}

void burrow_heap_close(struct burrow_heap *heap)
{
	struct burrow_heap_cache *cache;

	while ((cache = heap->caches)) {
		heap->caches = cache->next;
		munmap(cache, sizeof(*cache));
	}
	burrow_mark_blocks_free(heap);
	burrow_pages_close(&heap->half[0]);
	burrow_pages_close(&heap->half[1]);
	tables_close(heap);
	heap->source->close(heap);
	munmap(heap, sizeof(*heap));
}

bool burrow_heap_holds(const struct burrow_heap *heap, const void *address)
{
	return (size_t)((const char *)address - heap->base) < heap->bytes;
}

bool burrow_heap_find(struct burrow_heap *heap, const void *address,
		      struct burrow_object *object)
{
	const struct burrow_bin_info *info;
	struct burrow_span *span;
	union burrow_page page;
	size_t number, index;

	if (!burrow_heap_holds(heap, address))
		return false;
	number = burrow_page_number(heap, address);
	page = burrow_page_of(heap, number);
	if (!page.bin)
		return false;
	info = &burrow_bin_infos[page.bin];
	span = heap->spans[number];
	index = info->size ?
			((const char *)address - span->start) / info->size :
			0;
	if (index >= span->count ||
	    !burrow_bits_test(heap->allocs, page.bits, index))
		return false;
	object->size = info->size ? info->size : span->object;
	object->start = span->start + index * object->size;
	object->span = span;
	object->index = index;
	return (const char *)address < object->start + object->size;
}

bool burrow_heap_is_marked(struct burrow_heap *heap, const void *address)
{
	struct burrow_object object;

	if (!burrow_heap_find(heap, address, &object))
		return false;
	return burrow_bits_test(heap->marks, object.span->bits, object.index);
}

bool burrow_heap_marking(const struct burrow_heap *heap)
{
	return heap->marking;
}

void burrow_heap_mark_begin(struct burrow_heap *heap)
{
	assert(!heap->marking);
	assert(!__atomic_load_n(&heap->unswept, __ATOMIC_ACQUIRE));
	heap->marking = true;
	heap->marked = 0;
}

/* All spans of the bin that no cache has. */
static void unsweep(struct burrow_bin *bin)
{
	bin->unswept = bin->full;
	if (bin->partial.first) {
		bin->partial.last->next = bin->full.first;
		bin->unswept.first = bin->partial.first;
		if (!bin->full.first)
			bin->unswept.last = bin->partial.last;
	}
	bin->partial = (struct burrow_span_list){ 0 };
	bin->full = (struct burrow_span_list){ 0 };
}

void burrow_heap_mark_end(struct burrow_heap *heap)
{
	uint32_t bins = burrow_bins_count(), number;
	uint64_t *marks = heap->marks;

	assert(heap->marking);
	assert(!heap->nr_blocks);
	if (heap->check)
		burrow_check_types(heap);
	heap->marks = heap->allocs;
	heap->allocs = marks;
	heap->marking = false;
	for (number = BURROW_BIN_LARGE; number < bins; number++)
		unsweep(&heap->bins[number]);
	heap->unswept = heap->in_use - heap->unlisted;
	burrow_caches_mark_end(heap);
	heap->live += heap->marked;
}

void burrow_heap_tracked_half(const struct burrow_heap *heap, char **low,
			      char **high)
{
	*low = heap->half[0].base;
	*high = *low + (heap->half[0].pages << BURROW_HEAP_SHIFT);
}

size_t burrow_heap_scavenge(struct burrow_heap *heap, size_t bytes)
{
	size_t done = 0;
	int i;

	for (i = 0; i < 2; i++) {
		struct burrow_half *half = &heap->half[i];

		pthread_mutex_lock(&half->lock);
		done += burrow_pages_scavenge(heap, half, bytes - done);
		pthread_mutex_unlock(&half->lock);
		if (done >= bytes)
			break;
	}
	return done;
}

void burrow_heap_count(struct burrow_heap *heap,
		       struct burrow_heap_counts *counts)
{
	uint64_t free = 0;
	int i;

	for (i = 0; i < 2; i++)
		free += __atomic_load_n(&heap->half[i].free_pages,
					__ATOMIC_RELAXED);
	*counts = (struct burrow_heap_counts){
		.allocated =
			__atomic_load_n(&heap->allocated, __ATOMIC_RELAXED),
		.live = __atomic_load_n(&heap->live, __ATOMIC_RELAXED),
		.marked = __atomic_load_n(&heap->marked, __ATOMIC_RELAXED),
		.in_use = __atomic_load_n(&heap->in_use, __ATOMIC_RELAXED),
		.kept = __atomic_load_n(&heap->kept, __ATOMIC_RELAXED),
		.holes = __atomic_load_n(&heap->holes, __ATOMIC_RELAXED),
		.free = free << BURROW_HEAP_SHIFT,
		.swept = __atomic_load_n(&heap->swept, __ATOMIC_RELAXED),
		.unswept = __atomic_load_n(&heap->unswept, __ATOMIC_RELAXED),
		.tables = __atomic_load_n(&heap->mapped, __ATOMIC_RELAXED),
	};
}

void burrow_heap_trigger(struct burrow_heap *heap, uint64_t allocated)
{
	__atomic_store_n(&heap->trigger, allocated, __ATOMIC_RELAXED);
}

uint64_t burrow_heap_limit(struct burrow_heap *heap, uint64_t bytes)
{
	if (!bytes || bytes > heap->most)
		bytes = heap->most;
	__atomic_store_n(&heap->limit, bytes, __ATOMIC_RELAXED);
	return bytes == UINT64_MAX ? 0 : bytes;
}
