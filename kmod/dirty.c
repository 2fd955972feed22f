// SPDX-License-Identifier: GPL-2.0
/*
 * The harvest of written pages, for a collector that wants no write barrier.
 *
 * Three sources make up the answer, none of them a fault:
 * - the hardware's dirty bits, which mm/mapping_dirty_helpers.c collects and
 *   clears with one ranged TLB flush a step: a PTE that was dirty when the
 *   walk began is recorded; one that becomes dirty meanwhile is recorded, or
 *   stays dirty for the next harvest, or both;
 * - block->dirty: writes that set no dirty bit where a walk would see it (see
 *   burrow_block_dirty_folio());
 * - pages that somebody else holds, for I/O may be writing into them now.
 *
 * Order matters: the walk first, then block->dirty. A PTE zapped dirty between
 * the two is in block->dirty by then; the other way round it could be missed
 * by both. Nothing that was read and cleared is lost: if the user's bitmap
 * can't be written, the bits go back to block->dirty.
 */
#include <linux/bitmap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"
#include "trace.h"

/* Pages harvested in one step: the bits of a page, 128 MiB. */
#define BURROW_STEP (PAGE_SIZE * BITS_PER_BYTE)

/* A step of a harvest: pages [@first, @first + @n) of the arena, @bits zeroed. */
struct burrow_harvest {
	struct burrow_arena *arena;
	unsigned long *bits;
	unsigned long first;
	unsigned long n;
};

/* Hand a block's own bits over: atomically, writers do not stop. */
static void burrow_dirty_take(struct burrow_harvest *h,
			      struct burrow_block *block, unsigned long page,
			      unsigned long end)
{
	unsigned long in = page & ((1UL << h->arena->block_shift) - 1);
	unsigned long *own = block->dirty + BIT_WORD(in);
	unsigned long *out = h->bits + BIT_WORD(page - h->first);

	for (; page < end; page += BITS_PER_LONG, own++, out++)
		if (READ_ONCE(*own))
			*out |= xchg(own, 0);
}

/*
 * A page that somebody else holds is reported now, and in the next harvest too:
 * a registered buffer may be written after this one and let go before the next
 * without a word (its mapping's dirty_folio() was called when it was pinned).
 */
static void burrow_dirty_mark_held(struct burrow_harvest *h,
				   struct burrow_block *block,
				   struct page *page, unsigned long nr)
{
	/* One reference is the owner's, one each mapping's. */
	if (!page || page_ref_count(page) <= 1 + burrow_page_mapcount(page) ||
	    nr < h->first || nr - h->first >= h->n)
		return;
	__set_bit(nr - h->first, h->bits);
	set_bit(nr & ((1UL << h->arena->block_shift) - 1), block->dirty);
}

static void burrow_dirty_held_stacks(struct burrow_harvest *h,
				     struct burrow_block *block,
				     unsigned long page, unsigned long end)
{
	struct burrow_arena *arena = h->arena;
	unsigned long slot = page >> arena->stride_shift;
	unsigned long mask = (1UL << burrow_arena_slots_shift(arena)) - 1;
	unsigned long last = (end - 1) >> arena->stride_shift;

	for (; slot <= last; slot++) {
		struct burrow_stack *stack = &block->stacks[slot & mask];
		unsigned long nr =
			((slot + 1) << arena->stride_shift) - stack->pages;
		struct page *p = stack->lowest;
		u32 i;

		for (i = 0; i < stack->pages; i++, nr++) {
			burrow_dirty_mark_held(h, block, p, nr);
			p = burrow_page_next(p);
		}
	}
}

/* The software half for the part [@page, @end) of one block. */
static void burrow_dirty_block(struct burrow_harvest *h,
			       struct burrow_block *block, unsigned long page,
			       unsigned long end)
{
	unsigned long mask = BURROW_BLOCK_PAGES - 1;
	unsigned long nr;

	mutex_lock(&block->lock);
	burrow_dirty_take(h, block, page, end);
	if (h->arena->kind == BURROW_ARENA_STACK) {
		burrow_dirty_held_stacks(h, block, page, end);
	} else {
		for (nr = page; nr < end; nr++)
			burrow_dirty_mark_held(h, block,
					       block->pages[nr & mask], nr);
	}
	mutex_unlock(&block->lock);
}

static unsigned long burrow_dirty_block_end(struct burrow_harvest *h,
					    unsigned long page)
{
	unsigned long size = 1UL << h->arena->block_shift;

	return min(round_down(page, size) + size, h->first + h->n);
}

/* A stretch [@page, @end) of blocks that all exist. */
static void burrow_dirty_stretch(struct burrow_harvest *h, unsigned long page,
				 unsigned long end)
{
	struct burrow_arena *arena = h->arena;
	pgoff_t low = 0, high = 0;
	unsigned long next;

	clean_record_shared_mapping_range(arena->ctx->inode->i_mapping,
					  arena->window + page, end - page,
					  arena->window + h->first, h->bits,
					  &low, &high);
	for (; page < end; page = next) {
		next = burrow_dirty_block_end(h, page);
		burrow_dirty_block(h, burrow_block_find(arena, page), page,
				   next);
	}
}

static void burrow_dirty_step(struct burrow_harvest *h)
{
	unsigned long page, next, end = h->first + h->n;

	bitmap_zero(h->bits, h->n);
	for (page = h->first; page < end; page = next) {
		next = page;
		while (next < end && burrow_block_find(h->arena, next))
			next = burrow_dirty_block_end(h, next);
		if (next > page)
			burrow_dirty_stretch(h, page, next);
		else
			next = burrow_dirty_block_end(h, page);
		cond_resched();
	}
}

/* The user's bitmap could not be written: forget nothing. */
static void burrow_dirty_restore(struct burrow_harvest *h)
{
	unsigned long in_block = (1UL << h->arena->block_shift) - 1;
	struct burrow_block *block;
	unsigned long bit;

	for_each_set_bit(bit, h->bits, h->n) {
		block = burrow_block_find(h->arena, h->first + bit);
		if (block)
			set_bit((h->first + bit) & in_block, block->dirty);
	}
}

static long burrow_dirty_all(struct burrow_harvest *h,
			     struct burrow_dirty *args)
{
	u64 __user *user = u64_to_user_ptr(args->bitmap);
	unsigned long set;
	bool lost;

	while (args->done < args->pages && !fatal_signal_pending(current)) {
		h->first = args->first_page + args->done;
		h->n = min_t(u64, args->pages - args->done, BURROW_STEP);
		down_read(&h->arena->life);
		burrow_dirty_step(h);
		up_read(&h->arena->life);
		set = bitmap_weight(h->bits, h->n);
		lost = copy_to_user(user + args->done / 64, h->bits, h->n / 8);
		if (lost) {
			down_read(&h->arena->life);
			burrow_dirty_restore(h);
			up_read(&h->arena->life);
			return -EFAULT;
		}
		if (set)
			burrow_tell(burrow_heap_dirty, h->arena, h->first, h->n,
				    set);
		args->done += h->n;
		args->dirty += set;
		cond_resched();
	}
	return 0;
}

/**
 * burrow_dirty() - the ioctl: harvest the pages that were written
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_dirty(struct burrow_context *ctx, struct burrow_dirty *args)
{
	struct burrow_harvest h = {};
	long ret;

	if (args->pad || args->done || args->dirty)
		return -EINVAL;
	h.arena = burrow_arena_get(ctx, args->arena, 0);
	if (IS_ERR(h.arena))
		return PTR_ERR(h.arena);
	ret = -EINVAL;
	if (!IS_ALIGNED(args->first_page, 64) || !IS_ALIGNED(args->pages, 64) ||
	    args->first_page > h.arena->length ||
	    args->pages > h.arena->length - args->first_page)
		goto out;
	ret = -ENOMEM;
	h.bits = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!h.bits)
		goto out;
	ret = burrow_dirty_all(&h, args);
	free_page((unsigned long)h.bits);
out:
	burrow_arena_put(h.arena);
	return ret;
}
