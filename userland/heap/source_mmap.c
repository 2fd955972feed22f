// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap's memory from anonymous mappings.
 *
 * The range is reserved so that nothing can touch it, and made accessible from
 * below as it comes into use: a system that does not overcommit says then that
 * it has no more. Memory comes at the first touch, page by page, or before by whole
 * blocks, in huge pages where the system has them (stock.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "../stack/stack.h"
#include "span.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int mmap_reserve(struct burrow_heap *heap, size_t bytes)
{
	heap->base = burrow_stack_reserve_space(bytes);
	return heap->base ? 0 : -ENOMEM;
}

static int mmap_commit(struct burrow_heap *heap, struct burrow_half *half,
		       size_t pages)
{
	char *start = half->base + (half->committed << BURROW_HEAP_SHIFT);

	(void)heap;
	if (mprotect(start, pages << BURROW_HEAP_SHIFT, PROT_READ | PROT_WRITE))
		return -errno;
	return 0;
}

static int mmap_ready(char *start)
{
	int err;

	madvise(start, BURROW_HEAP_BLOCK, MADV_HUGEPAGE);
	if (!madvise(start, BURROW_HEAP_BLOCK, MADV_POPULATE_WRITE))
		return 0;
	err = errno;
	madvise(start, BURROW_HEAP_BLOCK, MADV_DONTNEED);
	return -err;
}

static void mmap_release(struct burrow_heap *heap, struct burrow_half *half,
			 char *start, size_t bytes)
{
	(void)heap;
	(void)half;
	madvise(start, bytes, MADV_DONTNEED);
	/* Who touches it next is to have one page, not wait for a huge one. */
	if (bytes >= BURROW_HEAP_BLOCK)
		madvise(start, bytes, MADV_NOHUGEPAGE);
}

static void mmap_close(struct burrow_heap *heap)
{
	munmap(heap->base, heap->bytes);
}

const struct burrow_heap_source burrow_heap_mmap = {
	.reserve = mmap_reserve,
	.commit = mmap_commit,
	.ready = mmap_ready,
	.release = mmap_release,
	.close = mmap_close,
};
