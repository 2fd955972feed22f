// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs of free pages of a half.
 *
 * A free run is a span that belongs to no bin. Runs that have memory which was used,
 * runs that have memory which is zero (stock.c), and runs that have none (it went back
 * to the system, or was never there) are in a tree each, ordered by size and then by
 * address: the smallest that is long enough is taken, the lowest of those, in that
 * order of sorts. A run that becomes free joins its neighbours of the same sort, which
 * the table of spans finds: it knows the first and the last page of each. Above
 * half.top nothing was ever in use.
 *
 * The trees are treaps (Seidel and Aragon, 1996) whose priority is a hash of the
 * run's address, so they need no field for it.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "span.h"

#define COMMIT_PAGES (16UL << 20 >> BURROW_HEAP_SHIFT)

/* Fibonacci hashing: high bits of the product are well mixed. */
static uint64_t priority(const struct burrow_span *span)
{
	return (uintptr_t)span->start / BURROW_HEAP_PAGE *
	       0x9e3779b97f4a7c15ULL;
}

static bool before(const struct burrow_span *a, const struct burrow_span *b)
{
	return a->pages != b->pages ? a->pages < b->pages : a->start < b->start;
}

/* Parts a tree at @span: what is before it goes to *@low, the rest to *@high. */
static void split(struct burrow_span *tree, const struct burrow_span *span,
		  struct burrow_span **low, struct burrow_span **high)
{
	while (tree) {
		if (before(tree, span)) {
			*low = tree;
			low = &tree->right;
			tree = tree->right;
		} else {
			*high = tree;
			high = &tree->left;
			tree = tree->left;
		}
	}
	*low = NULL;
	*high = NULL;
}

static void insert(struct burrow_span **tree, struct burrow_span *span)
{
	while (*tree && priority(*tree) >= priority(span))
		tree = before(*tree, span) ? &(*tree)->right : &(*tree)->left;
	split(*tree, span, &span->left, &span->right);
	*tree = span;
}

static void erase(struct burrow_span **tree, struct burrow_span *span)
{
	struct burrow_span *a = span->left, *b = span->right;

	while (*tree != span)
		tree = before(*tree, span) ? &(*tree)->right : &(*tree)->left;
	while (a && b) {
		if (priority(a) >= priority(b)) {
			*tree = a;
			tree = &a->right;
			a = a->right;
		} else {
			*tree = b;
			tree = &b->left;
			b = b->left;
		}
	}
	*tree = a ? a : b;
}

/* The first in the tree's order that has @pages. */
static struct burrow_span *best(struct burrow_span *tree, size_t pages)
{
	struct burrow_span *found = NULL;

	while (tree) {
		if (tree->pages >= pages) {
			found = tree;
			tree = tree->left;
		} else {
			tree = tree->right;
		}
	}
	return found;
}

static void count_free(struct burrow_half *half, enum burrow_memory memory,
		       size_t pages)
{
	if (memory == BURROW_MEMORY_NONE)
		return;
	__atomic_store_n(&half->free_pages, half->free_pages + pages,
			 __ATOMIC_RELAXED);
	if (memory == BURROW_MEMORY_ZERO)
		half->zero_pages += pages;
}

static void free_add(struct burrow_heap *heap, struct burrow_half *half,
		     struct burrow_span *span)
{
	size_t first = burrow_page_number(heap, span->start);

	span->bin = BURROW_BIN_NONE;
	heap->spans[first] = span;
	heap->spans[first + span->pages - 1] = span;
	insert(&half->free[span->memory], span);
	count_free(half, span->memory, span->pages);
}

static void free_remove(struct burrow_half *half, struct burrow_span *span)
{
	erase(&half->free[span->memory], span);
	count_free(half, span->memory, -span->pages);
}

#define STRUCTS_BYTES (64UL << 10)

static struct burrow_span *struct_get(struct burrow_half *half)
{
	struct burrow_span *span = half->structs;
	size_t i;

	if (!span) {
		span = burrow_table_map(STRUCTS_BYTES);
		if (!span)
			return NULL;
		for (i = 2; i < STRUCTS_BYTES / sizeof(*span); i++)
			span[i - 1].next = &span[i];
		span->next = half->tables;
		half->tables = span++;
	}
	half->structs = span->next;
	*span = (struct burrow_span){ .plain = half->plain };
	return span;
}

static void struct_put(struct burrow_half *half, struct burrow_span *span)
{
	span->next = half->structs;
	half->structs = span;
}

/* Bytes that may still come into use. */
static bool within_limit(struct burrow_heap *heap, size_t bytes)
{
	uint64_t used = __atomic_load_n(&heap->in_use, __ATOMIC_RELAXED) +
			__atomic_load_n(&heap->kept, __ATOMIC_RELAXED);
	int i;

	for (i = 0; i < 2; i++)
		used += __atomic_load_n(&heap->half[i].free_pages,
					__ATOMIC_RELAXED)
			<< BURROW_HEAP_SHIFT;
	return used + bytes <= __atomic_load_n(&heap->limit, __ATOMIC_RELAXED);
}

/* Pages above the top that may be touched. */
static bool commit(struct burrow_heap *heap, struct burrow_half *half,
		   size_t pages)
{
	size_t more;

	if (half->top + pages <= half->committed)
		return true;
	more = half->top + pages - half->committed;
	more = (more + COMMIT_PAGES - 1) / COMMIT_PAGES * COMMIT_PAGES;
	if (more > half->pages - half->committed)
		more = half->pages - half->committed;
	if (heap->source->commit(heap, half, more) ||
	    !burrow_tables_ready(
		    heap, half->base + (half->committed << BURROW_HEAP_SHIFT),
		    more))
		return false;
	half->committed += more;
	return true;
}

/* Pages that were never in use. */
static struct burrow_span *extend(struct burrow_heap *heap,
				  struct burrow_half *half, size_t pages)
{
	struct burrow_span *span;

	if (pages > half->pages - half->top || !commit(heap, half, pages))
		return NULL;
	span = struct_get(half);
	if (!span)
		return NULL;
	span->start = half->base + (half->top << BURROW_HEAP_SHIFT);
	span->pages = pages;
	span->memory = BURROW_MEMORY_NONE;
	__atomic_store_n(&half->top, half->top + pages, __ATOMIC_RELEASE);
	return span;
}

/* What is behind the first @pages becomes a run of its own. */
static bool cut(struct burrow_heap *heap, struct burrow_half *half,
		struct burrow_span *span, size_t pages)
{
	struct burrow_span *rest = struct_get(half);

	if (!rest)
		return false;
	rest->start = span->start + (pages << BURROW_HEAP_SHIFT);
	rest->pages = span->pages - pages;
	rest->memory = span->memory;
	span->pages = pages;
	free_add(heap, half, rest);
	return true;
}

/* Not free any more, as its neighbours see it. */
static void hold(struct burrow_heap *heap, struct burrow_span *span,
		 uint32_t bin)
{
	size_t first = burrow_page_number(heap, span->start);

	span->bin = bin;
	heap->spans[first] = span;
	heap->spans[first + span->pages - 1] = span;
}

static void claim(struct burrow_heap *heap, struct burrow_span *span,
		  uint32_t bin)
{
	hold(heap, span, bin);
	__atomic_add_fetch(bin == BURROW_BIN_KEPT ? &heap->kept : &heap->in_use,
			   span->pages << BURROW_HEAP_SHIFT, __ATOMIC_RELAXED);
}

struct burrow_span *burrow_pages_take(struct burrow_heap *heap,
				      struct burrow_half *half, size_t pages,
				      uint32_t bin)
{
	size_t bytes = pages << BURROW_HEAP_SHIFT;
	struct burrow_span *span;

	span = best(half->free[BURROW_MEMORY_USED], pages);
	half->grows = !span;
	if (!span)
		span = best(half->free[BURROW_MEMORY_ZERO], pages);
	if (!span) {
		if (!within_limit(heap, bytes) &&
		    (!burrow_pages_scavenge(heap, half, bytes) ||
		     !within_limit(heap, bytes)))
			return NULL;
		span = best(half->free[BURROW_MEMORY_NONE], pages);
	}
	if (!span) {
		span = extend(heap, half, pages);
	} else {
		free_remove(half, span);
		if (span->pages > pages && !cut(heap, half, span, pages)) {
			free_add(heap, half, span);
			return NULL;
		}
	}
	if (span)
		claim(heap, span, bin);
	return span;
}

/* The free run of the same sort that page @number is the edge of, or NULL. */
static struct burrow_span *neighbour(struct burrow_heap *heap,
				     struct burrow_half *half, size_t number,
				     enum burrow_memory memory)
{
	size_t first = burrow_page_number(heap, half->base);
	struct burrow_span *span;

	if (number < first || number >= first + half->top)
		return NULL;
	span = heap->spans[number];
	return span && span->bin == BURROW_BIN_NONE && span->memory == memory ?
		       span :
		       NULL;
}

/* Joined with its neighbours, into the tree. */
static void settle(struct burrow_heap *heap, struct burrow_half *half,
		   struct burrow_span *span)
{
	size_t first = burrow_page_number(heap, span->start);
	struct burrow_span *low, *high;

	span->bin = BURROW_BIN_NONE;
	low = neighbour(heap, half, first - 1, span->memory);
	high = neighbour(heap, half, first + span->pages, span->memory);
	if (low) {
		free_remove(half, low);
		span->start = low->start;
		span->pages += low->pages;
		struct_put(half, low);
	}
	if (high) {
		free_remove(half, high);
		span->pages += high->pages;
		struct_put(half, high);
	}
	free_add(heap, half, span);
}

void burrow_pages_put(struct burrow_heap *heap, struct burrow_half *half,
		      struct burrow_span *span)
{
	__atomic_sub_fetch(&heap->in_use, span->pages << BURROW_HEAP_SHIFT,
			   __ATOMIC_RELAXED);
	settle(heap, half, span);
}

/* Free, and used or in stock: the longest, as it takes the fewest calls; or NULL. */
static struct burrow_span *longest(const struct burrow_half *half)
{
	struct burrow_span *span = half->free[BURROW_MEMORY_USED];

	if (!span)
		span = half->free[BURROW_MEMORY_ZERO];
	while (span && span->right)
		span = span->right;
	return span;
}

size_t burrow_pages_scavenge(struct burrow_heap *heap, struct burrow_half *half,
			     size_t bytes)
{
	struct burrow_span *span;
	size_t done = 0;

	/* It is the last that will be missed, too. */
	while (done < bytes && (span = longest(half))) {
		free_remove(half, span);
		heap->source->release(heap, half, span->start,
				      span->pages << BURROW_HEAP_SHIFT);
		done += span->pages << BURROW_HEAP_SHIFT;
		span->memory = BURROW_MEMORY_NONE;
		settle(heap, half, span);
	}
	return done;
}

#define BLOCK_PAGES (BURROW_HEAP_BLOCK >> BURROW_HEAP_SHIFT)

/* What is before a block's boundary is free again; NULL: no memory for that. */
static struct burrow_span *align(struct burrow_heap *heap,
				 struct burrow_half *half,
				 struct burrow_span *span, size_t lead)
{
	struct burrow_span *block = struct_get(half);

	if (block) {
		block->start = span->start + (lead << BURROW_HEAP_SHIFT);
		block->pages = span->pages - lead;
		block->memory = span->memory;
		hold(heap, block, BURROW_BIN_LARGE);
		span->pages = lead;
	}
	settle(heap, half, span);
	return block;
}

struct burrow_span *burrow_pages_block(struct burrow_heap *heap,
				       struct burrow_half *half)
{
	struct burrow_span *span;
	size_t lead;

	if (!within_limit(heap, BURROW_HEAP_BLOCK))
		return NULL;
	span = best(half->free[BURROW_MEMORY_NONE], 2 * BLOCK_PAGES - 1);
	if (span)
		free_remove(half, span);
	else
		span = extend(heap, half,
			      -half->top % BLOCK_PAGES + BLOCK_PAGES);
	if (!span)
		return NULL;
	lead = -burrow_page_number(heap, span->start) % BLOCK_PAGES;
	if (span->pages > lead + BLOCK_PAGES &&
	    !cut(heap, half, span, lead + BLOCK_PAGES)) {
		settle(heap, half, span);
		return NULL;
	}
	hold(heap, span, BURROW_BIN_LARGE);
	if (lead)
		span = align(heap, half, span, lead);
	/* It counts as had. */
	if (span)
		count_free(half, BURROW_MEMORY_ZERO, BLOCK_PAGES);
	/* Whoever wants more while it is made ready would wait for mmap_lock. */
	if (half->pages - half->top >= COMMIT_PAGES)
		commit(heap, half, COMMIT_PAGES);
	return span;
}

void burrow_pages_block_put(struct burrow_heap *heap, struct burrow_half *half,
			    struct burrow_span *span)
{
	count_free(half, BURROW_MEMORY_ZERO, -BLOCK_PAGES);
	settle(heap, half, span);
}

void burrow_pages_close(struct burrow_half *half)
{
	struct burrow_span *table;

	while ((table = half->tables)) {
		half->tables = table->next;
		munmap(table, STRUCTS_BYTES);
	}
}
