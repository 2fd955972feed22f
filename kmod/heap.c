// SPDX-License-Identifier: GPL-2.0
/*
 * Heap arenas: zeroed pages, mapped by fault in naturally aligned groups of
 * arena->batch, and given back by range. Pages never come from the pool (they
 * would have to be zeroed) and never go to it.
 */
#include <linux/sched/signal.h>

#include "burrow.h"

/* Own the pages [@first, @first + @n) of a block; returns how many are there. */
static unsigned int burrow_heap_fill(struct burrow_arena *arena,
				     struct burrow_block *block,
				     unsigned long start, unsigned int first,
				     unsigned int n, int *err)
{
	struct burrow_context *ctx = arena->ctx;
	struct page *pages[BURROW_BATCH];
	unsigned int i = 0, missing, j;
	int got;

	while (i < n) {
		if (block->pages[first + i]) {
			i++;
			continue;
		}
		missing = 1;
		while (i + missing < n && missing < BURROW_BATCH &&
		       !block->pages[first + i + missing])
			missing++;
		got = burrow_pool_alloc(ctx, pages, missing);
		if (got < 0) {
			*err = got;
			break;
		}
		for (j = 0; j < got; j++, i++) {
			burrow_page_set_place(pages[j], ctx->inode->i_mapping,
					      arena->window + start + first +
						      i);
			set_page_private(pages[j], (unsigned long)block);
			block->pages[first + i] = pages[j];
		}
		burrow_count(ctx, heap_pages, got);
	}
	return i;
}

static vm_fault_t burrow_heap_map(struct burrow_arena *arena,
				  struct burrow_block *block,
				  struct vm_fault *vmf)
{
	unsigned long page = vmf->pgoff & BURROW_WINDOW_MASK;
	unsigned long start = page & ~(BURROW_BLOCK_PAGES - 1);
	unsigned int batch =
		min_t(unsigned int, arena->batch, BURROW_BLOCK_PAGES);
	unsigned int first = (page - start) & ~(batch - 1);
	unsigned int want = page - start - first, n;
	int err = 0;

	n = burrow_heap_fill(arena, block, start, first, batch, &err);
	if (n <= want) {
		/* Memory is short: the one page that is needed, then. */
		first += want;
		want = 0;
		n = burrow_heap_fill(arena, block, start, first, 1, &err);
		if (!n) {
			burrow_pool_refused(arena->ctx, err);
			return VM_FAULT_SIGBUS;
		}
	}
	if (burrow_block_insert(vmf->vma, vmf->pgoff - want,
				block->pages + first, n))
		return VM_FAULT_SIGBUS;
	return VM_FAULT_NOPAGE;
}

/**
 * burrow_heap_fault() - a fault in a heap arena
 * @arena:	the arena
 * @vmf:	in a mapping of the owner
 *
 * Context: mmap_lock or the VMA's lock held for reading; sleeps.
 *
 * Return: NOPAGE with the page mapped, or SIGBUS for want of memory.
 */
vm_fault_t burrow_heap_fault(struct burrow_arena *arena, struct vm_fault *vmf)
{
	unsigned long page = vmf->pgoff & BURROW_WINDOW_MASK;
	struct burrow_block *block;
	vm_fault_t ret;

	if (page >= arena->length)
		return VM_FAULT_SIGBUS;
	/* A core dump reads what is there and must not allocate the rest. */
	if (current->flags & PF_DUMPCORE) {
		block = burrow_block_find(arena, page);
		if (!block || !block->pages[page & (BURROW_BLOCK_PAGES - 1)])
			return VM_FAULT_SIGBUS;
	}
	block = burrow_block_get(arena, page);
	if (!block)
		return VM_FAULT_SIGBUS;
	mutex_lock(&block->lock);
	ret = burrow_heap_map(arena, block, vmf);
	mutex_unlock(&block->lock);
	return ret;
}

/* The part of [@page, @end) that lies in one block. */
static void burrow_heap_release_block(struct burrow_arena *arena,
				      unsigned long page, unsigned long end)
{
	struct burrow_block *block = burrow_block_find(arena, page);
	unsigned long mask = BURROW_BLOCK_PAGES - 1;
	long dropped = 0;

	if (!block)
		return;
	mutex_lock(&block->lock);
	unmap_mapping_range(arena->ctx->inode->i_mapping,
			    burrow_arena_offset(arena, page),
			    (loff_t)(end - page) << PAGE_SHIFT, 1);
	for (; page < end; page++) {
		if (!block->pages[page & mask])
			continue;
		burrow_pool_free(arena->ctx, block->pages[page & mask]);
		block->pages[page & mask] = NULL;
		clear_bit(page & mask, block->dirty);
		dropped++;
	}
	burrow_count(arena->ctx, heap_pages, -dropped);
	mutex_unlock(&block->lock);
}

/**
 * burrow_heap_release() - the ioctl: give heap pages to the system
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_heap_release(struct burrow_context *ctx,
			 struct burrow_release *args)
{
	struct burrow_arena *arena;
	unsigned long page, next, end;
	long ret = 0;

	if (args->pad || args->done)
		return -EINVAL;
	arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_HEAP);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	if (args->first_page > arena->length ||
	    args->pages > arena->length - args->first_page) {
		ret = -EINVAL;
		goto out;
	}
	page = args->first_page;
	end = page + args->pages;
	for (; page < end && !fatal_signal_pending(current); page = next) {
		next = min(round_down(page, BURROW_BLOCK_PAGES) +
				   BURROW_BLOCK_PAGES,
			   end);
		down_read(&arena->life);
		burrow_heap_release_block(arena, page, next);
		up_read(&arena->life);
		args->done += next - page;
		cond_resched();
	}
out:
	burrow_arena_put(arena);
	return ret;
}
