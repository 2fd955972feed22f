// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Marking.
 *
 * An object that is greyed has its mark set and is pushed on the marker's stack,
 * unless it has no pointers; what is popped waits in a ring while its memory is
 * prefetched, and is scanned when it comes out (Cher, Hosking and Vitek, 2004).
 * So some misses are under way at any time, where a plain depth-first search
 * would wait for each. The stack is in blocks; one that is full goes to the list
 * that all markers share, and who has run out takes one from there.
 *
 * An entry is the address of an object with its bin above bit 48. A large object
 * is scanned in pieces: the entry has the address of one, and before it is
 * scanned the next piece is pushed, for others to take.
 *
 * Marks are set by several threads, and by caches, at once; each bit is set by
 * one of them. What a marker reads of an object, its goroutine may be writing:
 * it is found again by the page then.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../debug/print.h"
#include "span.h"

#define PIECE (8UL << 10) /* of a large object, scanned at a time */
#define BLOCKS 32 /* that are mapped at a time */
#define BIN_SHIFT 48
#define ADDRESS_MASK ((1UL << BIN_SHIFT) - 1)

/* Blocks: under heap->lock. */

static bool blocks_map(struct burrow_heap *heap)
{
	struct burrow_mark_block *block;
	size_t bytes = BLOCKS * sizeof(*block), i;

	block = burrow_table_map(bytes);
	if (!block)
		return false;
	heap->mapped += bytes;
	block->next = heap->block_tables;
	heap->block_tables = block;
	for (i = 1; i < BLOCKS; i++) {
		block[i].next = heap->free_blocks;
		heap->free_blocks = &block[i];
	}
	return true;
}

/* The first of each table links them. */
void burrow_mark_blocks_free(struct burrow_heap *heap)
{
	struct burrow_mark_block *table;

	while ((table = heap->block_tables)) {
		heap->block_tables = table->next;
		munmap(table, BLOCKS * sizeof(*table));
	}
}

static struct burrow_mark_block *block_get(struct burrow_heap *heap)
{
	struct burrow_mark_block *block;

	pthread_mutex_lock(&heap->lock);
	if (!heap->free_blocks)
		blocks_map(heap);
	block = heap->free_blocks;
	if (block)
		heap->free_blocks = block->next;
	pthread_mutex_unlock(&heap->lock);
	return block;
}

static void block_put(struct burrow_heap *heap, struct burrow_mark_block *block)
{
	if (!block)
		return;
	pthread_mutex_lock(&heap->lock);
	block->next = heap->free_blocks;
	heap->free_blocks = block;
	pthread_mutex_unlock(&heap->lock);
}

static void block_share(struct burrow_heap *heap,
			struct burrow_mark_block *block)
{
	pthread_mutex_lock(&heap->lock);
	block->next = heap->blocks;
	heap->blocks = block;
	__atomic_store_n(&heap->nr_blocks, heap->nr_blocks + 1,
			 __ATOMIC_RELEASE);
	pthread_mutex_unlock(&heap->lock);
}

static struct burrow_mark_block *block_take(struct burrow_heap *heap)
{
	struct burrow_mark_block *block;

	if (!burrow_mark_shared(heap))
		return NULL;
	pthread_mutex_lock(&heap->lock);
	block = heap->blocks;
	if (block) {
		heap->blocks = block->next;
		__atomic_store_n(&heap->nr_blocks, heap->nr_blocks - 1,
				 __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&heap->lock);
	return block;
}

bool burrow_mark_shared(const struct burrow_heap *heap)
{
	return __atomic_load_n(&heap->nr_blocks, __ATOMIC_ACQUIRE);
}

static void no_memory(void)
{
	burrow_report_begin();
	burrow_print(STDERR_FILENO,
		     "burrow: out of memory: none to mark the heap with\n");
	abort();
}

/* @count: of its entries that are to be scanned. */
static void use_block(struct burrow_marker *m, struct burrow_mark_block *block,
		      uint64_t count)
{
	m->block = block;
	m->low = block->entries;
	m->top = block->entries + count;
	m->end = block->entries + BURROW_MARK_BLOCK;
}

/* What is in its block goes to all. */
static __attribute__((noinline)) void overflow(struct burrow_marker *m)
{
	struct burrow_mark_block *full = m->block, *block = m->spare;

	full->count = m->top - m->low;
	if (!block)
		block = block_get(m->heap);
	if (!block)
		no_memory();
	m->spare = NULL;
	use_block(m, block, 0);
	block_share(m->heap, full);
}

/* Its block is empty. */
static __attribute__((noinline)) bool underflow(struct burrow_marker *m)
{
	struct burrow_mark_block *block = block_take(m->heap);

	if (!block)
		return false;
	if (m->spare)
		block_put(m->heap, m->block);
	else
		m->spare = m->block;
	use_block(m, block, block->count);
	return true;
}

static inline void push(struct burrow_marker *m, uintptr_t entry)
{
	if (burrow_unlikely(m->top == m->end))
		overflow(m);
	*m->top++ = entry;
}

static uintptr_t entry_of(const char *object, uint32_t bin)
{
	return (uintptr_t)object | (uintptr_t)bin << BIN_SHIFT;
}

int burrow_mark_open(struct burrow_marker *m, struct burrow_heap *heap)
{
	struct burrow_mark_block *block = block_get(heap);

	*m = (struct burrow_marker){ .heap = heap };
	if (!block)
		return -ENOMEM;
	use_block(m, block, 0);
	return 0;
}

void burrow_mark_close(struct burrow_marker *m)
{
	assert(!m->ring_count && m->top == m->low);
	block_put(m->heap, m->block);
	block_put(m->heap, m->spare);
	__atomic_add_fetch(&m->heap->marked, m->bytes, __ATOMIC_RELAXED);
	m->block = NULL;
}

/* True: it was not marked before. */
static inline bool set_mark(uint64_t *word, uint64_t index)
{
	uint64_t bit = 1UL << index % 64;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) >> index % 64 & 1)
		return false;
	return !(__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit);
}

static __attribute__((noinline)) void
grey_large(struct burrow_marker *m, size_t number, union burrow_page page)
{
	struct burrow_heap *heap = m->heap;
	struct burrow_span *span = heap->spans[number];

	if (!set_mark(burrow_bits_word(heap->marks, page.bits, 0), 0))
		return;
	burrow_part_mark(heap->parts, burrow_page_number(heap, span->start));
	m->bytes += span->pages << BURROW_HEAP_SHIFT;
	if (page.bin != BURROW_BIN_LARGE + BURROW_PLAIN)
		push(m, entry_of(span->start, page.bin));
}

/**
 * struct view - what marking reads all the time, in registers as far as they go
 * @m:		the marker
 * @base:	of the heap
 * @bytes:	of the heap
 * @pages:	of the heap
 * @infos:	of bins
 * @allocs:	of the heap
 * @marks:	of the heap
 * @parts:	of the heap
 *
 * A copy: the compiler can't know that setting a mark changes none of it.
 */
struct view {
	struct burrow_marker *m;
	uintptr_t base;
	size_t bytes;
	const union burrow_page *pages;
	const struct burrow_bin_info *infos;
	uint64_t *allocs;
	uint64_t *marks;
	uint8_t *parts;
};

static inline struct view view_of(struct burrow_marker *m)
{
	const struct burrow_heap *heap = m->heap;

	return (struct view){
		.m = m,
		.base = (uintptr_t)heap->base,
		.bytes = heap->bytes,
		.pages = heap->pages,
		.infos = burrow_bin_infos,
		.allocs = heap->allocs,
		.marks = heap->marks,
		.parts = heap->parts,
	};
}

/*
 * @exact: a pointer as far as the type knows; else any word, which has no business
 * to mark what is not allocated.
 */
static inline __attribute__((always_inline)) BURROW_UNSANITIZED void
grey(const struct view v, uintptr_t word, bool exact)
{
	size_t offset = word - v.base;
	const struct burrow_bin_info *info;
	union burrow_page page;
	uint64_t in, index;

	if (offset >= v.bytes)
		return;
	page.all = __atomic_load_n(&v.pages[offset >> BURROW_HEAP_SHIFT].all,
				   __ATOMIC_RELAXED);
	if (burrow_unlikely(page.bin < BURROW_BIN_CLASS)) {
		if (page.bin)
			grey_large(v.m, offset >> BURROW_HEAP_SHIFT, page);
		return;
	}
	info = &v.infos[page.bin];
	in = offset % BURROW_HEAP_PAGE +
	     ((uint64_t)page.back << BURROW_HEAP_SHIFT);
	index = in * info->magic >> 32;
	if (burrow_unlikely(index >= info->count))
		return;
	if (!exact && !burrow_bits_test(v.allocs, page.bits, index))
		return;
	if (!set_mark(burrow_bits_word(v.marks, page.bits, index), index))
		return;
	burrow_part_mark(v.parts, (offset >> BURROW_HEAP_SHIFT) - page.back);
	v.m->bytes += info->size;
	if (info->kind != BURROW_PLAIN)
		push(v.m, (word - in + index * info->size) |
				  (uintptr_t)page.bin << BIN_SHIFT);
}

BURROW_UNSANITIZED void burrow_mark_word(struct burrow_marker *m,
					 uintptr_t word)
{
	grey(view_of(m), word, false);
}

static inline __attribute__((always_inline)) BURROW_UNSANITIZED void
scan_words(const struct view v, const char *low, const char *high)
{
	const uintptr_t *at = (const uintptr_t *)low;
	const uintptr_t *end = (const uintptr_t *)high;

	for (; at < end; at++)
		grey(v, __atomic_load_n(at, __ATOMIC_RELAXED), false);
}

static inline __attribute__((always_inline)) BURROW_UNSANITIZED void
scan_layout(const struct view v, const char *object, const uint32_t *words,
	    uint32_t nr)
{
	const uintptr_t *at = (const uintptr_t *)object;
	uint32_t i;

	for (i = 0; i < nr; i++)
		grey(v, __atomic_load_n(&at[words[i]], __ATOMIC_RELAXED), true);
}

/* Elements of @size, from @first to @end, that overlap [@low, @high). */
BURROW_UNSANITIZED static void scan_elements(const struct view v,
					     const char *first, const char *end,
					     size_t size, const uint32_t *words,
					     uint32_t nr, const char *low,
					     const char *high)
{
	const char *at = first;

	if (!nr)
		return;
	if (low > first)
		at += (low - first) / size * size;
	if (high < end)
		end = high;
	for (; at < end; at += size)
		scan_layout(v, at, words, nr);
}

/*
 * What of an object with a header lies in [@low, @high). The count is the
 * program's to spoil; the object's end is not.
 */
static __attribute__((noinline)) BURROW_UNSANITIZED void
scan_headed(struct burrow_marker *m, const char *object, size_t bytes,
	    const char *low, const char *high)
{
	const struct burrow_header *header = (const void *)object;
	const struct burrow_layout *l;
	const char *first = object + BURROW_HEAP_HEADER;
	const struct view v = view_of(m);
	size_t n, room = bytes - BURROW_HEAP_HEADER;

	/* Pairs with the release where the header is written. */
	l = __atomic_load_n(&header->layout, __ATOMIC_ACQUIRE);
	if (!l)
		return;
	n = __atomic_load_n(&header->count, __ATOMIC_RELAXED);
	if (!l->tail_size) {
		n = n < room / l->size ? n : room / l->size;
		scan_elements(v, first, first + n * l->size, l->size, l->words,
			      l->nr, low, high);
		return;
	}
	if (l->size > room)
		return;
	if (low < first + l->tail)
		scan_layout(v, first, l->words, l->nr);
	first += l->tail;
	room = (room - l->tail) / l->tail_size;
	n = n < room ? n : room;
	scan_elements(v, first, first + n * l->tail_size, l->tail_size,
		      l->words + l->nr, l->tail_nr, low, high);
}

/* What of a large object lies in [@low, @high). */
BURROW_UNSANITIZED static void scan_part(const struct view v,
					 const struct burrow_span *span,
					 const char *low, const char *high)
{
	const char *end = span->start + (span->object & -sizeof(void *));

	low = low > span->start ? low : span->start;
	high = high < end ? high : end;
	if (low >= high)
		return;
	if (span->bin == BURROW_BIN_LARGE + BURROW_HEADED)
		scan_headed(v.m, span->start, span->object, low, high);
	else
		scan_words(v, low, high);
}

static __attribute__((noinline)) BURROW_UNSANITIZED size_t
scan_piece(struct burrow_marker *m, char *at)
{
	struct burrow_heap *heap = m->heap;
	struct burrow_span *span = heap->spans[burrow_page_number(heap, at)];

	if ((size_t)(at - span->start) + PIECE < span->object)
		push(m, entry_of(at + PIECE, span->bin));
	scan_part(view_of(m), span, at, at + PIECE);
	return PIECE;
}

/* Of most objects: bit by bit of which words are pointers. */
static inline __attribute__((always_inline)) BURROW_UNSANITIZED void
scan_pointers(const struct view v, const char *object, uint64_t pointers,
	      bool exact)
{
	const uintptr_t *at = (const uintptr_t *)object;

	for (; pointers; pointers &= pointers - 1)
		grey(v,
		     __atomic_load_n(&at[__builtin_ctzl(pointers)],
				     __ATOMIC_RELAXED),
		     exact);
}

/* Apart, so that scanning the others keeps more in registers. */
static __attribute__((noinline)) BURROW_UNSANITIZED void
scan_rest(struct burrow_marker *m, const char *object,
	  const struct burrow_bin_info *info)
{
	if (info->kind == BURROW_WORDS)
		scan_words(view_of(m), object, object + info->size);
	else if (info->kind == BURROW_TYPED)
		scan_layout(view_of(m), object, info->layout->words,
			    info->layout->nr);
	else
		scan_headed(m, object, info->size, object, object + info->size);
}

/* Returns about how many bytes that were. */
static inline __attribute__((always_inline)) BURROW_UNSANITIZED size_t
scan_small(const struct view v, const char *object, uint32_t bin)
{
	const struct burrow_bin_info *info = &v.infos[bin];

	if (burrow_likely(info->pointers))
		scan_pointers(v, object, info->pointers,
			      info->kind == BURROW_TYPED);
	else
		scan_rest(v.m, object, info);
	return info->size;
}

BURROW_UNSANITIZED static inline size_t scan(const struct view v,
					     uintptr_t entry)
{
	char *object = (char *)(entry & ADDRESS_MASK);
	uint32_t bin = entry >> BIN_SHIFT;

	if (burrow_unlikely(bin < BURROW_BIN_CLASS))
		return scan_piece(v.m, object);
	return scan_small(v, object, bin);
}

/* Out of the marker's block; has its memory fetched. */
static inline uintptr_t pop(struct burrow_marker *m)
{
	uintptr_t entry = *--m->top;

	__builtin_prefetch((void *)(entry & ADDRESS_MASK));
	return entry;
}

/*
 * Where there is more than the ring takes, which is most of the time, what was popped
 * takes the place of the oldest.
 */
BURROW_UNSANITIZED bool burrow_mark_drain(struct burrow_marker *m, size_t bytes)
{
	const struct view v = view_of(m);
	uint32_t at = m->ring_at, count = m->ring_count;
	uintptr_t entry;
	size_t done = 0;

	while (done < bytes) {
		if (burrow_unlikely(m->top == m->low)) {
			if (!count && !underflow(m))
				break;
			if (!count)
				continue;
			entry = m->ring[at];
			count--;
		} else if (burrow_unlikely(count < BURROW_MARK_RING)) {
			m->ring[(at + count++) % BURROW_MARK_RING] = pop(m);
			continue;
		} else {
			entry = m->ring[at];
			m->ring[at] = pop(m);
		}
		at = (at + 1) % BURROW_MARK_RING;
		done += scan(v, entry);
	}
	m->ring_at = at;
	m->ring_count = count;
	return done >= bytes;
}

void burrow_mark_share(struct burrow_marker *m)
{
	for (; m->ring_count; m->ring_count--)
		push(m, m->ring[m->ring_at++ % BURROW_MARK_RING]);
	m->ring_at = 0;
	if (m->top != m->low)
		overflow(m);
}

void burrow_mark_share_half(struct burrow_marker *m)
{
	size_t n = (m->top - m->low) / 2;
	struct burrow_mark_block *block = n ? block_get(m->heap) : NULL;

	if (!block)
		return;
	block->count = n;
	memcpy(block->entries, m->low, n * sizeof(*m->top));
	m->top -= n;
	memmove(m->low, m->low + n, (m->top - m->low) * sizeof(*m->top));
	block_share(m->heap, block);
}

#define AT_ONCE 4 /* words */

/* Some of these words may be pointers to objects. */
static inline BURROW_UNSANITIZED bool some_point(const uintptr_t *at,
						 uintptr_t base, size_t bytes)
{
	int i;

#pragma GCC unroll 4
	for (i = 0; i < AT_ONCE; i++) {
		if (burrow_unlikely(__atomic_load_n(&at[i], __ATOMIC_RELAXED) -
					    base <
				    bytes))
			return true;
	}
	return false;
}

/* Most words of roots are no pointers to objects: those are passed over quickly. */
BURROW_UNSANITIZED void burrow_mark_range(struct burrow_marker *m,
					  const void *low, const void *high)
{
	const struct view v = view_of(m);
	const uintptr_t *at = (uintptr_t *)(((uintptr_t)low + 7) & -8UL);
	const uintptr_t *end = (uintptr_t *)((uintptr_t)high & -8UL);

	for (; end - at >= AT_ONCE; at += AT_ONCE) {
		if (some_point(at, v.base, v.bytes))
			scan_words(v, (char *)at, (char *)(at + AT_ONCE));
	}
	scan_words(v, (char *)at, (char *)end);
}

/* The marked objects of a span that overlap [@low, @high). */
BURROW_UNSANITIZED static void rescan_span(const struct view v,
					   const struct burrow_span *span,
					   const char *low, const char *high)
{
	const struct burrow_bin_info *info = &burrow_bin_infos[span->bin];
	uint32_t index = 0, end = span->count;
	uint64_t *marks = v.marks, word;

	if (!info->size) {
		if (burrow_bits_test(marks, span->bits, 0))
			scan_part(v, span, low, high);
		return;
	}
	if (low > span->start)
		index = (low - span->start) / info->size;
	if (high < span->start + (size_t)end * info->size)
		end = (high - span->start + info->size - 1) / info->size;
	while (index < end) {
		word = *burrow_bits_word(marks, span->bits, index) >>
		       index % 64;
		if (!word) {
			index = (index | 63) + 1;
			continue;
		}
		index += __builtin_ctzl(word);
		if (index < end)
			scan_small(v, span->start + (size_t)index * info->size,
				   span->bin);
		index++;
	}
}

BURROW_UNSANITIZED void burrow_mark_rescan(struct burrow_marker *m,
					   const void *low, const void *high)
{
	struct burrow_heap *heap = m->heap;
	const char *at = low;
	struct burrow_span *span;
	size_t number;

	while (at < (const char *)high) {
		number = burrow_page_number(heap, at);
		span = burrow_page_of(heap, number).bin ? heap->spans[number] :
							  NULL;
		if (!span) {
			at = heap->base + ((number + 1) << BURROW_HEAP_SHIFT);
			continue;
		}
		rescan_span(view_of(m), span, at, high);
		at = span->start + (span->pages << BURROW_HEAP_SHIFT);
	}
}
