// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap's memory from anonymous mappings.
 *
 * The range is reserved so that nothing can touch it, and made accessible from
 * below as it comes into use: a system that does not overcommit says then that
 * it has no more. Memory comes at the first touch, page by page; past the first
 * 32 MiB in huge pages where the system has them, for marking follows pointers
 * from page to page, and most of its time would be misses of the TLB.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "../stack/stack.h"
#include "span.h"

#define HUGE_FROM (32UL << 20) /* of a half: what lies above is in huge pages */

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
	if (half->committed << BURROW_HEAP_SHIFT >= HUGE_FROM)
		madvise(start, pages << BURROW_HEAP_SHIFT, MADV_HUGEPAGE);
	return 0;
}

static void mmap_release(struct burrow_heap *heap, struct burrow_half *half,
			 char *start, size_t bytes)
{
	(void)heap;
	(void)half;
	madvise(start, bytes, MADV_DONTNEED);
}

static void mmap_close(struct burrow_heap *heap)
{
	munmap(heap->base, heap->bytes);
}

const struct burrow_heap_source burrow_heap_mmap = {
	.reserve = mmap_reserve,
	.commit = mmap_commit,
	.release = mmap_release,
	.close = mmap_close,
};
