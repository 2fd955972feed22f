// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sizes and bins: which sizes objects have, and how they fill a span.
 *
 * Sizes go by 16 bytes up to 256, then in eighths of a power of two, so that at
 * most a ninth of an object is lost (more only to the 16 bytes of alignment). A
 * span is as long as it takes to hold some dozens of objects, which shares the
 * cost of getting one among them, and no longer than 128 KiB.
 *
 * The table is one for the process, as types are: it outlives the heap of a run.
 */
#include <errno.h>
#include <sys/mman.h>

#include "span.h"

#define SPAN_OBJECTS 64 /* of a span at least, while that is not too long */
#define SPAN_PAGES 8 /* too long */
#define SPAN_PAGES_MAX 16 /* to lose less at the end */
#define BITS 64U /* of info.pointers */

static pthread_mutex_t bins_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t nr_bins;

struct burrow_bin_info *burrow_bin_infos;

/* Class of (size + 15) / 16. */
const uint8_t burrow_class_quick[BURROW_HEAP_QUICK / 16 + 1] = {
	0,  0,	1,  2,	3,  4,	5,  6,	7,  8,	9,  10, 11, 12, 13, 14, 15,
	16, 16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24,
	24, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27, 27, 28, 28,
	28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31,
};

_Static_assert(BURROW_CLASSES == 16 + 8 * 7, "classes to 32 KiB");

/* Of one of more than 256 bytes: in which eighth of which doubling. */
static uint32_t class_large(size_t size)
{
	uint32_t shift = 63 - __builtin_clzl(size - 1);
	size_t base = 1UL << shift;

	return 16 + (shift - 8) * 8 + (size - 1 - base) / (base / 8);
}

uint32_t burrow_class_of(size_t size)
{
	if (size <= BURROW_HEAP_QUICK)
		return burrow_class_quick[(size + 15) / 16];
	return class_large(size);
}

static size_t class_size(uint32_t class)
{
	size_t base;

	if (class < 16)
		return 16 * (class + 1);
	base = 256UL << (class - 16) / 8;
	return base + base / 8 * ((class - 16) % 8 + 1);
}

static uint32_t span_pages(size_t size)
{
	uint32_t pages, best;
	size_t least;

	pages = (SPAN_OBJECTS * size + BURROW_HEAP_PAGE - 1) / BURROW_HEAP_PAGE;
	if (pages > SPAN_PAGES)
		pages = SPAN_PAGES;
	best = pages;
	least = pages * BURROW_HEAP_PAGE % size;
	for (; pages <= SPAN_PAGES_MAX; pages++) {
		size_t lost = pages * BURROW_HEAP_PAGE % size;

		if (lost * best >= least * pages)
			continue;
		if (least * 16 <= best * BURROW_HEAP_PAGE)
			break;
		best = pages;
		least = lost;
	}
	return best;
}

/* 0: none, or more than there are bits for. */
static uint64_t pointers_of(const struct burrow_bin_info *info)
{
	const struct burrow_layout *layout = info->layout;
	uint64_t pointers = 0;
	uint32_t i;

	if (info->kind == BURROW_WORDS && info->size <= BITS * sizeof(void *))
		return ~0UL >> (BITS - info->size / sizeof(void *));
	for (i = 0; layout && i < layout->nr; i++) {
		if (layout->words[i] >= BITS)
			return 0;
		pointers |= 1UL << layout->words[i];
	}
	return pointers;
}

static void bin_fill(struct burrow_bin_info *info, size_t size,
		     enum burrow_kind kind, const struct burrow_layout *layout)
{
	info->magic = ((1UL << 32) + size - 1) / size;
	info->size = size;
	info->pages = span_pages(size);
	info->count = info->pages * BURROW_HEAP_PAGE / size;
	info->words = (info->count + 63) / 64;
	info->kind = kind;
	info->layout = layout;
	info->pointers = pointers_of(info);
}

static void fill_classes(void)
{
	uint32_t kind, class;

	for (kind = 0; kind < BURROW_KINDS; kind++) {
		burrow_bin_infos[BURROW_BIN_LARGE + kind] =
			(struct burrow_bin_info){
				.count = 1,
				.words = 1,
				.kind = kind,
			};
		for (class = 0; class < BURROW_CLASSES; class ++)
			bin_fill(&burrow_bin_infos[burrow_bin_of(kind, class)],
				 class_size(class), kind, NULL);
	}
	nr_bins = BURROW_BIN_TYPE;
}

int burrow_bins_open(void)
{
	int ret = 0;

	pthread_mutex_lock(&bins_lock);
	if (!burrow_bin_infos) {
		burrow_bin_infos = burrow_table_map(BURROW_BINS *
						    sizeof(*burrow_bin_infos));
		if (burrow_bin_infos)
			fill_classes();
		else
			ret = -ENOMEM;
	}
	pthread_mutex_unlock(&bins_lock);
	return ret;
}

/* Of a type of at most BURROW_HEAP_SMALL bytes. 0: there are too many. */
uint32_t burrow_bin_add(size_t size, const struct burrow_layout *layout)
{
	uint32_t number = 0;

	pthread_mutex_lock(&bins_lock);
	if (nr_bins < BURROW_BINS) {
		number = nr_bins;
		bin_fill(&burrow_bin_infos[number], (size + 15) & ~15UL,
			 BURROW_TYPED, layout);
		__atomic_store_n(&nr_bins, number + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&bins_lock);
	return number;
}

uint32_t burrow_bins_count(void)
{
	return __atomic_load_n(&nr_bins, __ATOMIC_ACQUIRE);
}
