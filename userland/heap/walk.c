// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways through the heap for those who don't mark it: objects one by one, the
 * pointers in them, and the addresses where writes matter. Nothing here is shared
 * with mark.c, which it checks.
 */
#include <assert.h>
#include <string.h>

#include "../include/burrow/gc.h"
#include "span.h"

/* Where the walk through an object is at. */
struct walk {
	void (*fn)(void **at, void *arg);
	void *arg;
};

static void words(const struct walk *walk, char *object, const uint32_t *at,
		  uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		walk->fn((void **)object + at[i], walk->arg);
}

/* As many elements as there are, but none past @end. */
static void elements(const struct walk *walk, char *first, const char *end,
		     size_t count, size_t size, const uint32_t *at, uint32_t nr)
{
	size_t i;

	for (i = 0; i < count && size <= (size_t)(end - first); i++) {
		words(walk, first, at, nr);
		first += size;
	}
}

static void headed(const struct walk *walk, char *object, const char *end)
{
	const struct burrow_header *header = (void *)object;
	const struct burrow_layout *layout = header->layout;
	char *first = object + BURROW_HEAP_HEADER;

	if (!layout || layout->size > (size_t)(end - first))
		return;
	if (!layout->tail_size) {
		elements(walk, first, end, header->count, layout->size,
			 layout->words, layout->nr);
		return;
	}
	words(walk, first, layout->words, layout->nr);
	elements(walk, first + layout->tail, end, header->count,
		 layout->tail_size, layout->words + layout->nr,
		 layout->tail_nr);
}

void burrow_heap_pointers(struct burrow_heap *heap,
			  const struct burrow_object *object,
			  void (*fn)(void **at, void *arg), void *arg)
{
	const struct burrow_bin_info *info =
		&burrow_bin_infos[object->span->bin];
	const struct walk walk = { .fn = fn, .arg = arg };
	char *end = object->start + object->size, *at;

	(void)heap;
	switch (info->kind) {
	case BURROW_PLAIN:
		return;
	case BURROW_TYPED:
		words(&walk, object->start, info->layout->words,
		      info->layout->nr);
		return;
	case BURROW_HEADED:
		headed(&walk, object->start, end);
		return;
	default:
		for (at = object->start; end - at >= (long)sizeof(void *);
		     at += sizeof(void *))
			fn((void **)at, arg);
	}
}

const char *burrow_heap_kind_name(const struct burrow_object *object)
{
	static const char *const names[] = {
		[BURROW_PLAIN] = "plain",
		[BURROW_WORDS] = "words",
		[BURROW_HEADED] = "headed",
		[BURROW_TYPED] = "typed",
	};

	return names[burrow_bin_infos[object->span->bin].kind];
}

static const struct burrow_layout *layout_of(const struct burrow_object *object)
{
	const struct burrow_bin_info *info =
		&burrow_bin_infos[object->span->bin];

	if (info->kind == BURROW_HEADED)
		return ((struct burrow_header *)object->start)->layout;
	return info->layout;
}

const char *burrow_heap_type_name(const struct burrow_object *object)
{
	const struct burrow_layout *layout = layout_of(object);

	return layout ? layout->name : NULL;
}

/* The @i-th of a list with commas between, from 0. */
static void copy_item(const char *list, size_t i, char *to, size_t size)
{
	size_t len;

	while (list && i--) {
		list = strchr(list, ',');
		list += list ? 1 : 0;
	}
	if (!list)
		return;
	list += strspn(list, " ");
	len = strcspn(list, ",");
	if (len >= size)
		len = size - 1;
	memcpy(to, list, len);
	to[len] = 0;
}

void burrow_heap_field_name(const struct burrow_object *object, size_t offset,
			    char *to, size_t size)
{
	const struct burrow_layout *layout = layout_of(object);
	size_t i;

	to[0] = 0;
	if (!layout || !layout->text)
		return;
	for (i = 0; i < layout->nr_fields; i++) {
		if (offset - layout->fields[i].offset < layout->fields[i].bytes)
			copy_item(layout->text, i + 1, to, size);
	}
}

bool burrow_heap_may_point(const struct burrow_object *object)
{
	return burrow_bin_infos[object->span->bin].kind != BURROW_PLAIN;
}

size_t burrow_heap_field_of(const struct burrow_object *object,
			    const void *word)
{
	size_t offset = (const char *)word - object->start;
	const struct burrow_layout *l;

	if (burrow_bin_infos[object->span->bin].kind != BURROW_HEADED)
		return offset;
	l = ((struct burrow_header *)object->start)->layout;
	if (!l || offset < BURROW_HEAP_HEADER)
		return offset;
	offset -= BURROW_HEAP_HEADER;
	if (!l->tail_size)
		return offset % l->size;
	if (offset < l->tail)
		return offset;
	return l->tail + (offset - l->tail) % l->tail_size;
}

static void each_of_span(struct burrow_heap *heap, struct burrow_span *span,
			 void (*fn)(const struct burrow_object *object,
				    void *arg),
			 void *arg)
{
	struct burrow_object object = {
		.span = span,
		.size = burrow_bin_infos[span->bin].size,
	};

	if (!object.size)
		object.size = span->object;
	for (; object.index < span->count; object.index++) {
		object.start = span->start + object.index * object.size;
		if (burrow_bits_test(heap->allocs, span->bits, object.index))
			fn(&object, arg);
	}
}

void burrow_heap_each(struct burrow_heap *heap,
		      void (*fn)(const struct burrow_object *object, void *arg),
		      void *arg)
{
	struct burrow_span *span;
	size_t number, end;
	int i;

	for (i = 0; i < 2; i++) {
		number = burrow_page_number(heap, heap->half[i].base);
		end = number + heap->half[i].top;
		for (; number < end; number += span->pages) {
			span = heap->spans[number];
			if (burrow_page_of(heap, number).bin)
				each_of_span(heap, span, fn, arg);
		}
	}
}

static bool has_marks(struct burrow_heap *heap, union burrow_page page,
		      uint32_t words)
{
	uint32_t i;

	for (i = 0; i < words; i++)
		if (__atomic_load_n(burrow_bits_word(heap->marks, page.bits,
						     i * 64),
				    __ATOMIC_RELAXED))
			return true;
	return false;
}

/* Pages of a span from page @number on, none past @end. */
static size_t span_pages(struct burrow_heap *heap, size_t number, size_t end,
			 union burrow_page page)
{
	size_t n = burrow_bin_infos[page.bin].pages;

	/* It may have come into being since the walk began. */
	if (n) {
		n -= page.back;
		return n < end - number ? n : end - number;
	}
	for (n = 1; number + n < end; n++) {
		union burrow_page next = burrow_page_of(heap, number + n);

		if (next.bin != page.bin || next.bits != page.bits)
			break;
	}
	return n;
}

static bool is_armed(const struct burrow_heap *heap, size_t number, size_t n)
{
	return memchr(heap->armed + number, 1, n);
}

void burrow_heap_armed(struct burrow_heap *heap, const char *low,
		       const char *high, bool armed)
{
	size_t first = burrow_page_number(heap, low);

	memset(heap->armed + first, armed,
	       burrow_page_number(heap, high - 1) + 1 - first);
}

/* Caches take new objects meanwhile: it is a guess. */
static bool is_loose(struct burrow_heap *heap, union burrow_page page)
{
	const struct burrow_bin_info *info = &burrow_bin_infos[page.bin];
	uint32_t lives = 0, i;

	for (i = 0; i < info->words; i++)
		lives += __builtin_popcountl(__atomic_load_n(
			burrow_bits_word(heap->allocs, page.bits, i * 64),
			__ATOMIC_RELAXED));
	return !burrow_span_is_dense(lives, info->count);
}

/* Of @n pages from @number on, which are a span, or one that is free. */
static bool is_in_part(struct burrow_heap *heap, enum burrow_heap_part part,
		       size_t number, size_t n, union burrow_page page)
{
	if (part == BURROW_HEAP_LOOSE)
		return is_armed(heap, number, n) &&
		       (!page.bin || is_loose(heap, page));
	if (!page.bin)
		return false;
	if (part == BURROW_HEAP_DENSE)
		return !has_marks(heap, page,
				  burrow_bin_infos[page.bin].words) &&
		       !is_loose(heap, page);
	if (__atomic_load_n(&heap->old[number], __ATOMIC_RELAXED))
		return part & BURROW_HEAP_OLD;
	return part & BURROW_HEAP_REST &&
	       has_marks(heap, page, burrow_bin_infos[page.bin].words);
}

#define AT_ONCE 8UL /* pages */
#define ALL_OLD 0x0101010101010101UL

typedef uint64_t __attribute__((may_alias)) old_pages;

/*
 * Pages from @number on that are all @in the part, or none of them is, which can be told
 * without a look at their spans. 0: one must look. Where they end may be in the middle of
 * a span.
 */
static size_t pages_at_once(const struct burrow_heap *heap,
			    enum burrow_heap_part part, size_t number,
			    size_t end, bool *in)
{
	old_pages old;

	if (part & ~BURROW_HEAP_BOTH || number % AT_ONCE ||
	    end - number < AT_ONCE)
		return 0;
	old = __atomic_load_n((const old_pages *)(heap->old + number),
			      __ATOMIC_RELAXED);
	*in = old && part & BURROW_HEAP_OLD;
	if (old == ALL_OLD)
		return AT_ONCE;
	if (old || __atomic_load_n(&heap->parts[number / BURROW_HEAP_PART],
				   __ATOMIC_RELAXED))
		return 0;
	return AT_ONCE;
}

static void forget(const struct burrow_heap *heap, union burrow_page page)
{
	uint32_t words = burrow_bin_infos[page.bin].words, i;

	for (i = 0; i < words; i++)
		__atomic_store_n(burrow_bits_word(heap->marks, page.bits,
						  i * 64),
				 0, __ATOMIC_RELAXED);
}

/*
 * Everything is swept and nothing marks, so spans only come, and those have no
 * marks.
 */
void burrow_heap_forget(struct burrow_heap *heap)
{
	union burrow_page page;
	size_t number, end, n;
	int i;

	assert(!heap->marking);
	heap->live = 0;
	for (i = 0; i < 2; i++) {
		number = burrow_page_number(heap, heap->half[i].base);
		end = number +
		      __atomic_load_n(&heap->half[i].top, __ATOMIC_ACQUIRE);
		if (end > number)
			memset(heap->parts + number / BURROW_HEAP_PART, 0,
			       (end - 1) / BURROW_HEAP_PART + 1 -
				       number / BURROW_HEAP_PART);
		for (; number < end; number += n) {
			n = 1;
			page = burrow_page_of(heap, number);
			if (!page.bin)
				continue;
			forget(heap, page);
			n = span_pages(heap, number, end, page);
		}
	}
}

const void *burrow_heap_not_in_part(struct burrow_heap *heap)
{
	size_t end = heap->half[0].top, number, n;
	union burrow_page page;

	for (number = 0; number < end; number += n) {
		n = 1;
		page = burrow_page_of(heap, number);
		if (!page.bin)
			continue;
		if (!heap->parts[number / BURROW_HEAP_PART] &&
		    has_marks(heap, page, burrow_bin_infos[page.bin].words))
			return heap->base + (number << BURROW_HEAP_SHIFT);
		n = span_pages(heap, number, end, page);
	}
	return NULL;
}

void burrow_heap_tracked_used(struct burrow_heap *heap,
			      void (*fn)(char *low, char *high, void *arg),
			      void *arg)
{
	size_t end = __atomic_load_n(&heap->half[0].top, __ATOMIC_ACQUIRE);

	if (end)
		fn(heap->base, heap->base + (end << BURROW_HEAP_SHIFT), arg);
}

/* Pages of one span from @number on, or one page. */
static size_t look_at(struct burrow_heap *heap, enum burrow_heap_part part,
		      size_t number, size_t end, bool *in)
{
	union burrow_page page = burrow_page_of(heap, number);
	size_t n = page.bin ? span_pages(heap, number, end, page) : 1;

	*in = is_in_part(heap, part, number, n, page);
	return n;
}

/*
 * Spans come and go meanwhile; the table of pages can be read at any time. That
 * of old ones is looked at first, which saves the marks of most.
 */
void burrow_heap_tracked(struct burrow_heap *heap, enum burrow_heap_part part,
			 void (*fn)(char *low, char *high, void *arg),
			 void *arg)
{
	size_t end = __atomic_load_n(&heap->half[0].top, __ATOMIC_ACQUIRE);
	size_t number, n, from = 0, to = 0;
	bool in;

	for (number = 0; number < end; number += n) {
		n = pages_at_once(heap, part, number, end, &in);
		if (!n)
			n = look_at(heap, part, number, end, &in);
		if (!in)
			continue;
		if (number != to && to > from)
			fn(heap->base + (from << BURROW_HEAP_SHIFT),
			   heap->base + (to << BURROW_HEAP_SHIFT), arg);
		if (number != to)
			from = number;
		to = number + n;
	}
	if (to > from)
		fn(heap->base + (from << BURROW_HEAP_SHIFT),
		   heap->base + (to << BURROW_HEAP_SHIFT), arg);
}
