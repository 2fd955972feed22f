/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of the heap: halves, bins, spans, caches.
 *
 * A bin is a kind of object and a size: there is one for each size class of
 * memory without pointers, of words that may all be pointers and of objects with
 * a header, and one for each small type. A span belongs to one bin, and holds
 * objects of its size. Where a span is found by an address in it, all that
 * marking needs is in the page's entry (struct burrow_page) and the bin
 * (struct burrow_bin_info): two tables that stay in the processor's caches.
 *
 * Whose a span is. A new one is its cache's, which hands out its free objects in
 * runs; a cache that has come to its end puts it on its bin's list of full ones.
 * At the end of marking all that no cache has become unswept; whoever takes an
 * unswept one off its list owns it, and puts it on a list of its bin again, or
 * gives its pages back if nothing is left in it. What is in a span is written by
 * its owner alone, but for mark bits, and with the world stopped by the collector.
 */
#ifndef BURROW_SPAN_H
#define BURROW_SPAN_H

#include <pthread.h>

#include "../sched/lock.h"
#include "heap.h"
#include "module.h"

#define BURROW_HEAP_SHIFT 13
#define BURROW_HEAP_SMALL 32768UL /* bytes of the largest that share a span */
#define BURROW_HEAP_QUICK 1024UL /* to here a table knows the class */
#define BURROW_HEAP_HEADER 16UL
#define BURROW_HEAP_MAX \
	(1UL << 46) /* bytes of an object, before anything else */

#define BURROW_BINS 4096
#define BURROW_BIN_KEPT BURROW_BINS /* no bin: of burrow_heap_keep() */
#define BURROW_CLASSES 72
#define BURROW_POISON 0xdb

/* What the words of an object are. */
enum burrow_kind {
	BURROW_PLAIN, /* no pointers */
	BURROW_WORDS, /* each may be one */
	BURROW_HEADED, /* as the layout in the header before it says */
	BURROW_TYPED, /* as the bin's layout says */
	BURROW_KINDS = BURROW_TYPED, /* that have bins by class */
};

/* Numbers of bins: large objects, classes of each kind, types. */
enum burrow_bin_number {
	BURROW_BIN_NONE,
	BURROW_BIN_LARGE,
	BURROW_BIN_CLASS = BURROW_BIN_LARGE + BURROW_KINDS,
	BURROW_BIN_TYPE = BURROW_BIN_CLASS + BURROW_KINDS * BURROW_CLASSES,
};

/**
 * struct burrow_layout - where the pointers of a type are
 * @next:	of the same hash; under the registry's lock
 * @size:	bytes of the type
 * @tail:	where its flexible tail begins; @size if it has none
 * @tail_size:	bytes of an element of that; 0: none
 * @nr:		pointers of the fixed part
 * @tail_nr:	of an element of the tail
 * @bin:	that objects of it are in, 0: they have headers
 * @name:	what the program calls it
 * @nr_fields:	how many fields @text names
 * @fields:	where they are, as the program gave them
 * @text:	the type, then the fields, with commas between; or NULL
 * @words:	offsets in words, of the fixed part, then of an element
 *
 * A copy of what the program gave: that may be in a library that is unloaded.
 * Types that are alike share one. Never changes, never goes.
 */
struct burrow_layout {
	struct burrow_layout *next;
	size_t size;
	size_t tail;
	size_t tail_size;
	uint32_t nr;
	uint32_t tail_nr;
	uint32_t bin;
	char name[44];
	size_t nr_fields;
	const struct burrow_type_field *fields;
	const char *text;
	uint32_t words[];
};

/**
 * struct burrow_header - before an object of kind BURROW_HEADED
 * @layout:	of an element or of the whole, NULL: not written yet
 * @count:	elements of the array, or of the flexible tail
 */
struct burrow_header {
	const struct burrow_layout *layout;
	size_t count;
};

/**
 * struct burrow_bin_info - what marking and allocation know of a bin
 * @magic:	2^32 / @size rounded up: offset * magic >> 32 is the index. 0 for
 *		large objects
 * @size:	bytes of an object; 0: see the span
 * @count:	objects of a span
 * @pages:	of a span; 0: see the span
 * @words:	of each of its bitmaps
 * @kind:	enum burrow_kind
 * @layout:	of BURROW_TYPED
 * @pointers:	the words that are pointers, or may be, as bits; 0: none is, one lies
 *		past the first 64, or the object's header says it
 *
 * In one table for the whole process (bin.c); those of types are added under the
 * registry's lock, before anybody knows their number.
 */
struct burrow_bin_info {
	uint32_t magic;
	uint32_t size;
	uint32_t count;
	uint8_t pages;
	uint8_t words;
	uint8_t kind;
	const struct burrow_layout *layout;
	uint64_t pointers;
};

extern struct burrow_bin_info *burrow_bin_infos;
extern const uint8_t burrow_class_quick[BURROW_HEAP_QUICK / 16 + 1];

/**
 * union burrow_page - what the table of pages has on one page
 * @bits:	of the span: its first word in each of the two bitmaps
 * @bin:	of its span, BURROW_BIN_NONE: it is in none
 * @back:	pages of the span before it (small objects)
 * @all:	is written and read at once
 */
union burrow_page {
	struct {
		uint32_t bits;
		uint16_t bin;
		uint16_t back;
	};
	uint64_t all;
};

/* What a free run has. */
enum burrow_memory {
	BURROW_MEMORY_USED,
	BURROW_MEMORY_NONE, /* zero once it is touched */
	BURROW_MEMORY_ZERO,
	BURROW_MEMORIES,
};

/**
 * struct burrow_span - a run of pages, of objects of one bin or free
 * @start:	its first byte
 * @pages:	how many
 * @next:	on a list of its bin, or of unused structs
 * @object:	large: bytes that were asked for, header included
 * @bits:	its first word in each of the two bitmaps
 * @count:	objects
 * @at:		index where a cache looks for the next free one
 * @holes:	bytes that the system was given back, since a cache had it last
 * @touched:	objects below this may be other than zero
 * @bin:	0: free
 * @plain:	of the plain half
 * @fresh:	objects of it were handed out while marking
 * @memory:	enum burrow_memory, of one that is free, or what it was when taken
 * @left:	free: tree of half.free
 * @right:	free: the same
 */
struct burrow_span {
	char *start;
	size_t pages;
	struct burrow_span *next;
	union {
		size_t object;
		struct burrow_span *left;
	};
	struct burrow_span *right;
	uint32_t bits;
	uint32_t count;
	uint32_t at;
	uint32_t touched;
	uint32_t holes;
	uint16_t bin;
	bool plain;
	bool fresh;
	uint8_t memory;
};

/**
 * struct burrow_span_list - spans, singly linked
 */
struct burrow_span_list {
	struct burrow_span *first;
	struct burrow_span *last;
};

/**
 * struct burrow_bin - the spans of a bin
 * @lock:	over the lists
 * @partial:	swept, with free objects
 * @full:	swept, and come to their end
 * @unswept:	of the last cycle
 */
struct burrow_bin {
	pthread_mutex_t lock;
	struct burrow_span_list partial;
	struct burrow_span_list full;
	struct burrow_span_list unswept;
};

#define BURROW_HEAP_PART 64UL /* pages */
#define BURROW_BITS_SIZES 5 /* 1, 2, 4, 8, 16 words */

/**
 * struct burrow_half - one of the two ranges of addresses
 * @lock:	over everything here
 * @base:	its first byte
 * @pages:	of the reservation
 * @top:	pages below were in use once
 * @committed:	pages below may be touched
 * @mapped:	bytes from @base that the module has mapped
 * @free:	trees of free runs below @top, by size, then address
 * @free_pages:	how many of these pages have memory; read without the lock
 * @zero_pages:	how many of those are zero
 * @grows:	the last pages taken were not from what was used before
 * @structs:	of spans, to use again
 * @tables:	memory that those lie in, linked
 * @bits_free:	words of the bitmaps to use again, by size, as index + 1
 * @bits_at:	the next that was never used
 * @bits_ready:	words below may be written
 * @bits_end:	its end
 * @plain:	which one it is
 */
struct burrow_half {
	pthread_mutex_t lock;
	char *base;
	size_t pages;
	size_t top;
	size_t committed;
	size_t mapped;
	struct burrow_span *free[BURROW_MEMORIES];
	size_t free_pages;
	size_t zero_pages;
	bool grows;
	struct burrow_span *structs;
	struct burrow_span *tables;
	uint32_t bits_free[BURROW_BITS_SIZES];
	uint32_t bits_at;
	uint32_t bits_ready;
	uint32_t bits_end;
	bool plain;
};

/**
 * struct burrow_run - free objects that a cache hands out
 * @cur:	the next one
 * @end:	behind the last one
 * @size:	bytes of each
 * @span:	theirs, the cache's own
 */
struct burrow_run {
	char *cur;
	char *end;
	uint64_t size;
	struct burrow_span *span;
};

/**
 * struct burrow_heap_cache - a thread's free objects
 * @run:	by bin
 * @active:	bins that have a span, as bits
 * @heap:	whose it is
 * @next:	of heap.caches
 * @spare_next:	of heap.spare_caches
 * @taken:	bytes taken since they were last added to heap.allocated
 * @rate:	heap.profile as @until was drawn for
 * @until:	bytes to the one that is to be sampled, profile.c
 * @random:	state of the generator for that
 * @sampled:	the next object is a sample
 *
 * Its thread's alone, from inside but for what the fast path does: that moves
 * @run.cur, outside too. The collector reads and writes it with nobody inside.
 */
struct burrow_heap_cache {
	struct burrow_run run[BURROW_BINS];
	uint64_t active[BURROW_BINS / 64];
	struct burrow_heap *heap;
	struct burrow_heap_cache *next;
	struct burrow_heap_cache *spare_next;
	uint64_t taken;
	uint64_t rate;
	uint64_t until;
	uint64_t random;
	bool sampled;
};

/**
 * struct burrow_heap_source - where a heap's memory comes from
 * @reserve:	address space for both halves: 0 or a negative errno
 * @commit:	makes pages of a half, from half.committed on, ready to be
 *		touched: 0 or a negative errno
 * @ready:	gives memory to a block of BURROW_HEAP_BLOCK that has none, a huge
 *		page if it can be had: 0 or a negative errno. NULL: not here
 * @release:	gives pages of a half to the system: they are zero then
 * @close:	undoes @reserve
 */
struct burrow_heap_source {
	int (*reserve)(struct burrow_heap *heap, size_t bytes);
	int (*commit)(struct burrow_heap *heap, struct burrow_half *half,
		      size_t pages);
	int (*ready)(char *start);
	void (*release)(struct burrow_heap *heap, struct burrow_half *half,
			char *start, size_t bytes);
	void (*close)(struct burrow_heap *heap);
};

extern const struct burrow_heap_source burrow_heap_kmod;
extern const struct burrow_heap_source burrow_heap_mmap;

/**
 * struct burrow_heap - a heap
 * @base:	the first byte of both halves, the tracked one first
 * @bytes:	of both
 * @pages:	entry of each page
 * @spans:	span of each page; of free runs, of the first and the last one
 * @old:	of each page: something in its span has lived through a cycle. A
 *		hint, of the owner
 * @parts:	of each BURROW_HEAP_PART pages: something is marked, or was when
 *		the last full cycle began, in a span that begins there
 * @armed:	of each page: it may be write-protected. The collector's
 * @bits:	words of the bitmaps, in pairs
 * @allocs:	the word of each pair that says what is allocated, every other one
 *		from here
 * @marks:	the one that says what is marked; of what is swept, what the last
 *		cycle left: a part of what is allocated
 * @half:	tracked and plain
 * @bins:	spans by bin
 * @hooks:	the collector's, or NULL
 * @source:	of memory
 * @fd:		the module's context, or -1
 * @module:	its arena, if @source is the module
 * @poison:	options
 * @check:	options
 * @forgetful:	options
 * @marking:	between mark_begin and mark_end; written with nobody inside
 * @lock:	over caches and blocks of markers
 * @caches:	all of them
 * @spare_caches: those that no thread has
 * @blocks:	of markers, that are shared
 * @free_blocks: that are empty
 * @block_tables: memory that blocks lie in
 * @nr_blocks:	how many are shared; read without the lock
 * @mapped:	bytes of markers' blocks
 * @allocated:	see burrow_heap_counts; atomic
 * @trigger:	when hook soon is called; atomic
 * @marked:	bytes that closed markers have marked in this cycle, and all in
 *		the end; atomic
 * @live:	see burrow_heap_counts; 0 once they are forgotten
 * @in_use:	bytes of spans; atomic
 * @kept:	bytes of burrow_heap_keep(); atomic
 * @swept:	bytes; atomic
 * @unswept:	bytes; atomic
 * @holes:	see burrow_heap_counts; atomic
 * @asked:	the collector's thread was asked for more stock; atomic
 * @unlisted:	bytes of large spans that are being made; atomic
 * @limit:	of @in_use, @kept and free pages with memory; atomic
 * @most:	what @limit can't be above
 * @profile:	one sample in so many bytes, 0: none; atomic
 * @sweep_bin:	where sweeping looks next; atomic
 */
struct burrow_heap {
	char *base;
	size_t bytes;
	union burrow_page *pages;
	struct burrow_span **spans;
	uint8_t *old;
	uint8_t *parts;
	uint8_t *armed;
	uint64_t *bits;
	uint64_t *allocs;
	uint64_t *marks;
	struct burrow_half half[2];
	const struct burrow_heap_hooks *hooks;
	const struct burrow_heap_source *source;
	int fd;
	struct burrow_heap_module module;
	bool poison;
	bool check;
	bool forgetful;
	bool marking;
	pthread_mutex_t lock;
	struct burrow_heap_cache *caches;
	struct burrow_heap_cache *spare_caches;
	struct burrow_mark_block *blocks;
	struct burrow_mark_block *free_blocks;
	struct burrow_mark_block *block_tables;
	size_t nr_blocks;
	size_t mapped;
	uint64_t allocated;
	uint64_t trigger;
	uint64_t marked;
	uint64_t live;
	uint64_t in_use;
	uint64_t kept;
	uint64_t swept;
	uint64_t unswept;
	uint64_t holes;
	uint64_t unlisted;
	uint64_t limit;
	uint64_t most;
	uint64_t profile;
	uint32_t sweep_bin;
	uint32_t asked;
	struct burrow_bin bins[BURROW_BINS];
};

/* bin.c: sizes and bins. */
int burrow_bins_open(void);
uint32_t burrow_class_of(size_t size); /* at most BURROW_HEAP_SMALL */
uint32_t burrow_bin_add(size_t size, const struct burrow_layout *layout);
uint32_t burrow_bins_count(void);

static inline uint32_t burrow_bin_of(enum burrow_kind kind, uint32_t class)
{
	return BURROW_BIN_CLASS + kind * BURROW_CLASSES + class;
}

/*
 * pages.c: runs of pages. take: a struct with start, pages, memory and bin set;
 * NULL: no memory, or past the limit. block: one of BURROW_HEAP_BLOCK and so
 * aligned, without memory, that is nobody's until it is put back. Under half.lock.
 */
struct burrow_span *burrow_pages_take(struct burrow_heap *heap,
				      struct burrow_half *half, size_t pages,
				      uint32_t bin);
void burrow_pages_put(struct burrow_heap *heap, struct burrow_half *half,
		      struct burrow_span *span);
size_t burrow_pages_scavenge(struct burrow_heap *heap, struct burrow_half *half,
			     size_t bytes);
struct burrow_span *burrow_pages_block(struct burrow_heap *heap,
				       struct burrow_half *half);
void burrow_pages_block_put(struct burrow_heap *heap, struct burrow_half *half,
			    struct burrow_span *span);
void burrow_pages_close(struct burrow_half *half);

/* stock.c: under half.lock: it grows, and has little that is ready. */
bool burrow_stock_is_low(const struct burrow_heap *heap,
			 const struct burrow_half *half);

/* span.c: NULL: no memory. */
struct burrow_span *burrow_span_new(struct burrow_heap *heap, uint32_t bin);
struct burrow_span *burrow_span_large(struct burrow_heap *heap,
				      enum burrow_kind kind, size_t bytes);
/* Makes a large one known to others; its memory is zero. */
void burrow_span_publish(struct burrow_heap *heap, struct burrow_span *span);
void burrow_span_free(struct burrow_heap *heap, struct burrow_span *span);
void burrow_span_push(struct burrow_span_list *list, struct burrow_span *span);
struct burrow_span *burrow_span_pop(struct burrow_span_list *list);

/*
 * sweep.c. one: returns the number of objects left in it. get: a span of the bin
 * with free objects, the caller's own; NULL: none is left.
 */
uint32_t burrow_sweep_one(struct burrow_heap *heap, struct burrow_span *span);
struct burrow_span *burrow_sweep_get(struct burrow_heap *heap, uint32_t number);

/* holes.c: memory will be where there was none: it is a cache's now, or free. */
void burrow_holes_forget(struct burrow_heap *heap, struct burrow_span *span);

/*
 * cache.c. tls: the thread's, NULL if it has none; a function that may come back
 * on another thread must not look at it twice. self: the same for those. Programs
 * look at it, too: burrow/alloc_inline.h.
 */
extern __thread struct burrow_heap_cache *burrow_cache_tls
	__attribute__((tls_model("initial-exec"), visibility("default")));
struct burrow_heap_cache *burrow_cache_self(void);
/* The thread's, a new one if need be; NULL: no memory. */
struct burrow_heap_cache *burrow_cache_get(void);
/* False: no memory. */
bool burrow_cache_refill(struct burrow_heap_cache *cache, uint32_t bin);
void burrow_cache_account(struct burrow_heap_cache *cache, size_t bytes);
void burrow_caches_mark_end(struct burrow_heap *heap);

/* type.c: the layout of a type, or NULL: it lies, and *@why says how. */
struct burrow_type;
const struct burrow_layout *burrow_layout_of(const struct burrow_type *type,
					     const char **why);

/* check.c: with the world stopped, at the end of marking. */
void burrow_check_types(struct burrow_heap *heap);

/* mark.c */
void burrow_mark_blocks_free(struct burrow_heap *heap);

/* heap.c: memory for tables, zeroed, that is there when touched; or NULL. */
void *burrow_table_map(size_t bytes);

/* Bytes of a table, or the entries of some pages, can be written from now on. */
bool burrow_table_ready(void *table, size_t low, size_t high);
bool burrow_tables_ready(struct burrow_heap *heap, char *start, size_t pages);

static inline const struct burrow_heap_hooks *
burrow_heap_hooks_of(const struct burrow_heap *heap)
{
	return __atomic_load_n(&heap->hooks, __ATOMIC_ACQUIRE);
}

/*
 * Of functions that read what the program has: stacks, between its variables too,
 * and objects that it may be writing.
 */
#define BURROW_UNSANITIZED __attribute__((no_sanitize("address", "thread")))

static inline struct burrow_half *burrow_half_of(struct burrow_heap *heap,
						 enum burrow_kind kind)
{
	return &heap->half[kind == BURROW_PLAIN];
}

static inline size_t burrow_page_number(const struct burrow_heap *heap,
					const void *address)
{
	return (size_t)((const char *)address - heap->base) >>
	       BURROW_HEAP_SHIFT;
}

/*
 * Words lie in pairs, so that one miss brings both: that of object @index of a
 * span whose first pair is @first. @map: heap.allocs or heap.marks.
 */
static inline uint64_t *burrow_bits_word(uint64_t *map, uint32_t first,
					 uint32_t index)
{
	return &map[2 * ((size_t)first + index / 64)];
}

static inline bool burrow_bits_test(uint64_t *map, uint32_t first,
				    uint32_t index)
{
	uint64_t *word = burrow_bits_word(map, first, index);

	return __atomic_load_n(word, __ATOMIC_RELAXED) >> index % 64 & 1;
}

/* So that few new objects will be beside those that live there. */
static inline bool burrow_span_is_dense(uint32_t lives, uint32_t count)
{
	return lives >= count - count / 2;
}

static inline void burrow_span_age(struct burrow_heap *heap,
				   const struct burrow_span *span, bool old)
{
	uint8_t *first = &heap->old[burrow_page_number(heap, span->start)];
	size_t i;

	for (i = 0; i < span->pages; i++)
		__atomic_store_n(&first[i], old, __ATOMIC_RELAXED);
}

/* Something is marked in the span whose first page is @number. */
static inline void burrow_part_mark(uint8_t *parts, size_t number)
{
	uint8_t *part = &parts[number / BURROW_HEAP_PART];

	/* Others read it: no more writes than it takes. */
	if (burrow_unlikely(!__atomic_load_n(part, __ATOMIC_RELAXED)))
		__atomic_store_n(part, 1, __ATOMIC_RELAXED);
}

static inline union burrow_page burrow_page_of(const struct burrow_heap *heap,
					       size_t number)
{
	union burrow_page page;

	page.all = __atomic_load_n(&heap->pages[number].all, __ATOMIC_RELAXED);
	return page;
}

#endif /* BURROW_SPAN_H */
