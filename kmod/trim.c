// SPDX-License-Identifier: GPL-2.0
/*
 * The trim call: pages below the live end of many stacks go to the pool.
 *
 * Neighbouring slots of one block that keep little are worked on as a run: one
 * unmap, and with it one TLB flush, from the first slot's lowest page to the
 * last slot's upper end; then what is kept is mapped again. A slot that keeps
 * more is a run of its own, and only what goes is unmapped: to put many pages
 * back would cost more than the flush.
 *
 * Against a waking goroutine (its waker changes the slot's word, then touches
 * the stack):
 *
 *	trim				waker
 *	compare word
 *	unmap, TLB flush
 *	compare word again		word = new
 *	 same: drop the pages		touch the stack
 *	 other: leave them owned
 *
 * If the second comparison sees the old word, the waker's store was not yet
 * visible after the flush, so its touches (later in program order; stores are
 * not reordered with stores on x86, elsewhere there is a barrier) come after
 * the flush too: they fault, wait for the block's lock, and find a trimmed
 * stack. What they touch is above the live end (kept) or dead anyway. If it
 * sees the new word, the pages are still whole and the next touch maps them.
 *
 * A lazy trim compares the word and puts the slot on a list (lazy.c), and the
 * rest of the protocol runs when somebody needs the pages.
 */
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"
#include "trace.h"

/* Entries copied in at a time: a page of them, or a few on our own stack. */
#define BURROW_TRIM_ENTRIES 128
#define BURROW_TRIM_FEW 8

/* A slot joins a run if it keeps at most so many pages. */
#define BURROW_TRIM_KEEP 2

/* A chunk of entries under work. */
struct burrow_trimming {
	struct burrow_arena *arena;
	struct burrow_trim_entry *entries;
	unsigned int room;
	unsigned int count;
	bool lazy;
	struct vm_area_struct *vma; /* of the last run, under mmap_lock */
	u64 bytes;
};

static unsigned long burrow_trim_keep(const struct burrow_trim_entry *entry)
{
	return (entry->keep >> PAGE_SHIFT) + !!offset_in_page(entry->keep);
}

static bool burrow_trim_word_is(struct burrow_arena *arena,
				const struct burrow_trim_entry *entry)
{
	return burrow_stack_word(arena, entry->slot) == entry->word;
}

static struct burrow_stack *burrow_trim_stack(struct burrow_arena *arena,
					      struct burrow_block *block,
					      u64 slot)
{
	return &block->stacks[burrow_block_slot(arena, slot)];
}

static bool burrow_trim_has_more(struct burrow_arena *arena,
				 struct burrow_block *block,
				 const struct burrow_trim_entry *entry)
{
	return burrow_trim_stack(arena, block, entry->slot)->pages >
	       burrow_trim_keep(entry);
}

static void burrow_trim_lost(struct burrow_arena *arena,
			     struct burrow_trim_entry *entry)
{
	entry->result = -EAGAIN;
	burrow_count(arena->ctx, trim_races, 1);
}

/* No page goes, but a slot that keeps nothing is not hibernated any more. */
static void burrow_trim_saved(struct burrow_arena *arena,
			      struct burrow_block *block,
			      struct burrow_trim_entry *entry)
{
	struct burrow_stack *stack =
		burrow_trim_stack(arena, block, entry->slot);

	if (entry->keep || !burrow_stack_saved(stack))
		return;
	if (burrow_trim_word_is(arena, entry))
		burrow_hibernate_forget(arena, block, entry->slot);
	else
		burrow_trim_lost(arena, entry);
}

/*
 * Slots from @entry's on that make a run with it; their block's lock is held.
 * The run ends where the next entry is another block's, not the neighbour's,
 * keeps too much, or has nothing to give.
 */
static unsigned int burrow_trim_run(struct burrow_trimming *t,
				    struct burrow_block *block, unsigned int i)
{
	unsigned int in_block = 1U << burrow_arena_slots_shift(t->arena);
	struct burrow_trim_entry *entry = t->entries + i;
	unsigned int most, run;

	most = in_block - (entry->slot & (in_block - 1));
	most = min(most, t->count - i);
	for (run = 0; run < most; run++) {
		if (entry[run].slot != entry->slot + run ||
		    entry[run].keep > BURROW_TRIM_KEEP * PAGE_SIZE ||
		    !burrow_trim_has_more(t->arena, block, entry + run) ||
		    !burrow_trim_word_is(t->arena, entry + run))
			break;
	}
	return max(run, 1U);
}

static void burrow_trim_unmap(struct burrow_arena *arena,
			      struct burrow_block *block,
			      const struct burrow_trim_entry *entry,
			      unsigned int run)
{
	unsigned long stride = 1UL << arena->stride_shift;
	unsigned long low, high;

	low = ((entry->slot + 1) << arena->stride_shift) -
	      burrow_trim_stack(arena, block, entry->slot)->pages;
	if (run == 1)
		high = ((entry->slot + 1) << arena->stride_shift) -
		       burrow_trim_keep(entry);
	else
		high = (entry->slot + run - 1) * stride + stride;
	unmap_mapping_range(arena->ctx->inode->i_mapping,
			    burrow_arena_offset(arena, low),
			    (loff_t)(high - low) << PAGE_SHIFT, 1);
}

/* Map what a slot of a run kept; a failure costs a fault later, no more. */
static void burrow_trim_remap(struct burrow_trimming *t,
			      struct burrow_block *block,
			      const struct burrow_stack *stack, u64 slot)
{
	struct burrow_arena *arena = t->arena;
	struct page *pages[BURROW_TRIM_KEEP];
	unsigned long page;
	unsigned int n;

	if (!stack->pages)
		return;
	page = ((slot + 1) << arena->stride_shift) - stack->pages;
	t->vma = burrow_arena_vma(arena, page, t->vma);
	if (!t->vma)
		return;
	n = burrow_stack_collect(stack, stack->pages - 1, pages,
				 ARRAY_SIZE(pages));
	WRITE_ONCE(block->tables, true);
	burrow_block_insert(t->vma, arena->window + page, pages, n);
}

/* Pages are unmapped and flushed: drop those of a slot that did not wake. */
static void burrow_trim_settle(struct burrow_trimming *t,
			       struct burrow_block *block,
			       struct burrow_trim_entry *entry, bool remap)
{
	struct burrow_arena *arena = t->arena;
	struct burrow_stack *stack;
	unsigned long before;

	stack = burrow_trim_stack(arena, block, entry->slot);
	before = stack->pages;
	if (!burrow_trim_word_is(arena, entry)) {
		burrow_trim_lost(arena, entry);
		return;
	}
	burrow_stack_drop(arena, stack, burrow_trim_keep(entry));
	if (block->lazy && !t->lazy)
		burrow_lazy_forget(arena, block,
				   burrow_block_slot(arena, entry->slot));
	entry->result = (before - stack->pages) << PAGE_SHIFT;
	t->bytes += entry->result;
	burrow_count(arena->ctx, trims, 1);
	if (remap)
		burrow_trim_remap(t, block, stack, entry->slot);
	burrow_tell(burrow_stack_trim, arena, entry->slot,
		    burrow_stack_goroutine(arena, entry->slot), before,
		    stack->pages);
}

/* Entry @i and those that make a run with it; returns how many. */
static unsigned int burrow_trim_one(struct burrow_trimming *t, unsigned int i)
{
	struct burrow_arena *arena = t->arena;
	struct burrow_trim_entry *entry = t->entries + i;
	struct burrow_block *block;
	unsigned int run = 1, j;

	if (entry->slot >= arena->slots) {
		entry->result = -EINVAL;
		return 1;
	}
	entry->result = 0;
	block = burrow_block_find(arena, entry->slot << arena->stride_shift);
	if (!block)
		return 1;
	mutex_lock(&block->lock);
	if (!burrow_trim_has_more(arena, block, entry)) {
		burrow_trim_saved(arena, block, entry);
	} else if (burrow_trim_word_is(arena, entry)) {
		run = burrow_trim_run(t, block, i);
		burrow_trim_unmap(arena, block, entry, run);
		for (j = 0; j < run; j++)
			burrow_trim_settle(t, block, entry + j, run > 1);
	} else {
		burrow_trim_lost(arena, entry);
	}
	mutex_unlock(&block->lock);
	return run;
}

/* Each entry a run of its own. */
static void burrow_trim_alone(struct burrow_trimming *t,
			      struct burrow_block *block,
			      struct burrow_trim_entry *entry)
{
	burrow_trim_unmap(t->arena, block, entry, 1);
	burrow_trim_settle(t, block, entry, false);
}

/**
 * burrow_trim_slot() - take what a slot was trimmed of lazily
 * @arena:	its arena; held, life read
 * @block:	its block, locked
 * @entry:	the result is 0 if nothing is left to take
 */
void burrow_trim_slot(struct burrow_arena *arena, struct burrow_block *block,
		      struct burrow_trim_entry *entry)
{
	struct burrow_trimming t = { .arena = arena, .lazy = true };

	entry->result = 0;
	if (burrow_trim_has_more(arena, block, entry))
		burrow_trim_alone(&t, block, entry);
}

/* An entry of a lazy trim; at once where there is no memory to remember it. */
static void burrow_trim_later(struct burrow_trimming *t,
			      struct burrow_trim_entry *entry)
{
	struct burrow_arena *arena = t->arena;
	struct burrow_block *block;
	unsigned long pages;

	entry->result = 0;
	block = burrow_block_find(arena, entry->slot << arena->stride_shift);
	if (!block)
		return;
	mutex_lock(&block->lock);
	if (!burrow_trim_has_more(arena, block, entry)) {
		burrow_trim_saved(arena, block, entry);
		goto out;
	}
	if (!burrow_trim_word_is(arena, entry)) {
		burrow_trim_lost(arena, entry);
		goto out;
	}
	pages = burrow_trim_stack(arena, block, entry->slot)->pages -
		burrow_trim_keep(entry);
	if (burrow_lazy_add(arena, block, entry, pages)) {
		entry->result = (u64)pages << PAGE_SHIFT;
		t->bytes += entry->result;
		burrow_count(arena->ctx, lazy_trims, 1);
	} else {
		burrow_trim_alone(t, block, entry);
	}
out:
	mutex_unlock(&block->lock);
}

/* As burrow_trim_chunk(); no mapping is looked for, so no mmap_lock. */
static void burrow_trim_chunk_later(struct burrow_trimming *t)
{
	struct burrow_trim_entry *entry = t->entries;

	down_read(&t->arena->life);
	for (; entry < t->entries + t->count; entry++) {
		if (entry->slot < t->arena->slots)
			burrow_trim_later(t, entry);
		else
			entry->result = -EINVAL;
	}
	up_read(&t->arena->life);
}

static int burrow_trim_chunk(struct burrow_trimming *t)
{
	struct burrow_arena *arena = t->arena;
	struct mm_struct *mm = arena->ctx->mm;
	unsigned int i;

	/* The caller runs in this mm, so it is alive. */
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	down_read(&arena->life);
	t->vma = NULL;
	for (i = 0; i < t->count; i += burrow_trim_one(t, i))
		cond_resched();
	up_read(&arena->life);
	mmap_read_unlock(mm);
	return 0;
}

static long burrow_trim_all(struct burrow_trimming *t, struct burrow_trim *args)
{
	struct burrow_trim_entry __user *user = u64_to_user_ptr(args->entries);
	size_t bytes;

	while (args->done < args->count && !fatal_signal_pending(current)) {
		t->count = min_t(u64, args->count - args->done, t->room);
		bytes = t->count * sizeof(*t->entries);
		if (copy_from_user(t->entries, user + args->done, bytes))
			return -EFAULT;
		if (t->lazy)
			burrow_trim_chunk_later(t);
		else if (burrow_trim_chunk(t))
			break;
		args->bytes = t->bytes;
		if (copy_to_user(user + args->done, t->entries, bytes))
			return -EFAULT;
		args->done += t->count;
		cond_resched();
	}
	return 0;
}

/**
 * burrow_trim() - the ioctl: take pages below the live end of stacks
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_trim(struct burrow_context *ctx, struct burrow_trim *args)
{
	struct burrow_trim_entry few[BURROW_TRIM_FEW];
	struct burrow_trimming t = {
		.lazy = args->flags & BURROW_TRIM_LAZY,
		.entries = few,
		.room = ARRAY_SIZE(few),
	};
	long ret;

	if (args->done || args->bytes)
		return -EINVAL;
	t.arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(t.arena))
		return PTR_ERR(t.arena);
	if (args->count > t.room) {
		t.room = BURROW_TRIM_ENTRIES;
		t.entries = kmalloc_array(t.room, sizeof(*t.entries),
					  GFP_KERNEL_ACCOUNT);
	}
	ret = t.entries ? burrow_trim_all(&t, args) : -ENOMEM;
	if (t.entries != few)
		kfree(t.entries);
	burrow_arena_put(t.arena);
	return ret;
}
