// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * BURROW_DEBUG=gcverify=1: do trackers say what was written?
 *
 * Of each page that is armed a hash of what is on it is kept, taken after it was
 * armed: whatever changes it later has to be reported. A page that is reported and
 * armed again gets a new hash, one that is not armed again is forgotten. In the
 * last stop all pages that are still remembered must be what they were, or be
 * reported when the tracker is asked once more: the kernel goes on with what it was
 * asked to read into the heap. (A write that leaves a page as it was is not noticed.)
 *
 * By whoever runs the cycle. Memory comes from the system by doubling.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../debug/print.h"
#include "hashes.h"

#define PAGE 4096UL
#define ROOM_FIRST (1UL << 12) /* a power of two */

/**
 * struct page - one that was armed
 * @start:	its address, 0: no entry
 * @hash:	of what is on it
 * @armed:	it is remembered
 */
struct page {
	uintptr_t start;
	uint64_t hash;
	bool armed;
};

static struct page *pages;
static size_t room, used;

static struct page *get_pages(size_t n)
{
	void *p = mmap(NULL, n * sizeof(*pages), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p != MAP_FAILED)
		return p;
	burrow_print(STDERR_FILENO, "burrow: gcverify: out of memory\n");
	abort();
}

/* Its place, or the free one where it would be. */
static struct page *place_of(struct page *in, size_t n, uintptr_t start)
{
	/* Fibonacci hashing */
	size_t i = (start * 0x9e3779b97f4a7c15ULL >> 32) & (n - 1);

	while (in[i].start && in[i].start != start)
		i = (i + 1) & (n - 1);
	return &in[i];
}

static void grow(void)
{
	struct page *more = get_pages(2 * room);
	size_t i;

	for (i = 0; i < room; i++) {
		if (pages[i].start)
			*place_of(more, 2 * room, pages[i].start) = pages[i];
	}
	munmap(pages, room * sizeof(*pages));
	pages = more;
	room *= 2;
}

void burrow_hashes_open(void)
{
	room = ROOM_FIRST;
	used = 0;
	pages = get_pages(room);
}

void burrow_hashes_close(void)
{
	munmap(pages, room * sizeof(*pages));
	pages = NULL;
}

/* The program may be writing it. */
__attribute__((no_sanitize("address", "thread"))) static uint64_t
hash_of(const char *page)
{
	const uint64_t *word = (const uint64_t *)page;
	uint64_t hash = 0;
	size_t i;

	for (i = 0; i < PAGE / sizeof(*word); i++) {
		hash = (hash ^ __atomic_load_n(&word[i], __ATOMIC_RELAXED)) *
		       0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

void burrow_hashes_take(const char *low, const char *high)
{
	struct page *page;

	for (; low < high; low += PAGE) {
		page = place_of(pages, room, (uintptr_t)low);
		if (!page->start && ++used > room / 2) {
			grow();
			page = place_of(pages, room, (uintptr_t)low);
		}
		page->start = (uintptr_t)low;
		page->hash = hash_of(low);
		page->armed = true;
	}
}

void burrow_hashes_forget(const char *low, const char *high)
{
	struct page *page;

	for (; low < high; low += PAGE) {
		page = place_of(pages, room, (uintptr_t)low);
		page->armed = false;
	}
}

void burrow_hashes_compare(void)
{
	struct page *page;

	for (page = pages; page < pages + room; page++) {
		if (page->armed &&
		    hash_of((const char *)page->start) == page->hash)
			page->armed = false;
	}
}

void burrow_hashes_check(const char *tracker)
{
	const struct page *page;

	for (page = pages; page < pages + room; page++) {
		if (!page->armed)
			continue;
		burrow_print(
			STDERR_FILENO,
			"burrow: gcverify: page %lx was written, and %s did not say so\n",
			(unsigned long)page->start, tracker);
		abort();
	}
}
