// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap's memory from the kernel module: one arena for both halves.
 *
 * Each half is mapped from below, by chunks that double up to those of a stack arena:
 * each is a mapping of its own, of which a process may have some tens of thousands, and
 * what was never mapped is not in a core dump. Memory comes at the first touch.
 */
#include "span.h"

#define CHUNK_FIRST (64UL << 20)
#define CHUNK_MAX (1UL << 30)

/* As much again as there is. */
static size_t chunk_after(const struct burrow_half *half)
{
	size_t left = (half->pages << BURROW_HEAP_SHIFT) - half->mapped;
	size_t bytes = half->mapped;

	if (bytes < CHUNK_FIRST)
		bytes = CHUNK_FIRST;
	if (bytes > CHUNK_MAX)
		bytes = CHUNK_MAX;
	return bytes < left ? bytes : left;
}

static int kmod_reserve(struct burrow_heap *heap, size_t bytes)
{
	int ret = burrow_heap_module_open(&heap->module, heap->fd, bytes);

	if (ret)
		return ret;
	heap->base = heap->module.base;
	/* A page refused is SIGBUS: some are left for stacks. */
	heap->most = burrow_heap_module_limit(&heap->module) / 10 * 9;
	return 0;
}

static int kmod_commit(struct burrow_heap *heap, struct burrow_half *half,
		       size_t pages)
{
	size_t end = (half->committed + pages) << BURROW_HEAP_SHIFT;
	size_t bytes;
	int ret;

	while (half->mapped < end) {
		bytes = chunk_after(half);
		ret = burrow_heap_module_map(&heap->module,
					     half->base + half->mapped, bytes);
		if (ret)
			return ret;
		half->mapped += bytes;
	}
	return 0;
}

static void kmod_release(struct burrow_heap *heap, struct burrow_half *half,
			 char *start, size_t bytes)
{
	(void)half;
	burrow_heap_module_release(&heap->module, start, bytes);
}

static void kmod_close(struct burrow_heap *heap)
{
	burrow_heap_module_close(&heap->module);
}

const struct burrow_heap_source burrow_heap_kmod = {
	.reserve = kmod_reserve,
	.commit = kmod_commit,
	.release = kmod_release,
	.close = kmod_close,
};
