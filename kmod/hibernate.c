// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation: of a stack that is parked for long only the bytes stay that it
 * holds, in the store; its pages go to the pool. The call that does it, and what
 * a fault and a trim need to undo it.
 *
 * Live bytes lie in the slot's highest page: more of them, or more than the
 * bound, and the stack stays as it is.
 *
 * Neighbouring slots of one block are worked on as a run, as in trim.c: one
 * unmap, one TLB flush. Against a waking goroutine the slot's word decides, by
 * the protocol of trim.c. Against others that write to the live bytes (through a
 * pointer, or by a system call):
 *
 *	hibernation, under block->lock	writer
 *	room in the store
 *	unmap, TLB flush		writes before it are in the page
 *	page_count() is 1?
 *	 more: leave it owned		it is pinned: writes by no page table
 *	 1: copy, drop the pages	faults, waits for the block's lock
 *
 * Who pins by walking page tables without a lock takes its reference first and
 * looks at the entry again afterwards; we clear the entry first and look at the
 * references afterwards. One of the two sees the other.
 *
 * A restored stack has one page; what is below the live bytes in it is whatever
 * the context had in that page.
 */
#include <linux/highmem.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"
#include "trace.h"

/* Entries copied in at a time: a page of them, or a few on our own stack. */
#define BURROW_HIBERNATE_ENTRIES 128
#define BURROW_HIBERNATE_FEW 8

/* Slots of a run, for each of which there is room in the store. */
#define BURROW_HIBERNATE_RUN 16

/* Five in a group of the store; what is longer saves a fifth of a page at most. */
static unsigned int burrow_hibernate_limit = 3264;
module_param_named(hibernate_limit, burrow_hibernate_limit, uint, 0644);
MODULE_PARM_DESC(
	hibernate_limit,
	"live bytes of a stack that can be hibernated (default: 3264, at most 4064)");

/* A chunk of entries under work. */
struct burrow_hibernating {
	struct burrow_arena *arena;
	struct burrow_hibernate_entry *entries;
	unsigned int room;
	unsigned int count;
	u64 bytes;
	u64 freed;
};

static unsigned int burrow_hibernate_bytes(u64 live)
{
	return round_up(live, sizeof(u64));
}

static struct burrow_stack *burrow_hibernate_stack(struct burrow_arena *arena,
						   struct burrow_block *block,
						   u64 slot)
{
	return &block->stacks[burrow_block_slot(arena, slot)];
}

/* What is wrong with an entry, whatever the slot's state. */
static int burrow_hibernate_check(struct burrow_arena *arena,
				  const struct burrow_hibernate_entry *entry)
{
	u64 most =
		min_t(u64, READ_ONCE(burrow_hibernate_limit), BURROW_STORE_MAX);

	if (entry->slot >= arena->slots || !entry->live ||
	    entry->live > (u64)arena->limit << PAGE_SHIFT)
		return -EINVAL;
	return entry->live > most ? -E2BIG : 0;
}

/*
 * Room in the store for what @entry's slot holds; its block is locked. NULL if
 * there is nothing to save, or a reason not to: the result says which.
 */
static void *burrow_hibernate_room(struct burrow_arena *arena,
				   struct burrow_block *block,
				   struct burrow_hibernate_entry *entry)
{
	void *saved;

	entry->result = burrow_hibernate_check(arena, entry);
	if (entry->result ||
	    !burrow_hibernate_stack(arena, block, entry->slot)->pages)
		return NULL;
	if (burrow_stack_word(arena, entry->slot) != entry->word) {
		entry->result = -EAGAIN;
		return NULL;
	}
	saved = burrow_store_alloc(arena->ctx,
				   burrow_hibernate_bytes(entry->live));
	if (!saved)
		entry->result = -ENOMEM;
	return saved;
}

/*
 * Slots from @entry's on that make a run with it, and room for each in @saved.
 * The run ends where the next entry is another block's, not the neighbour's, or
 * can't be hibernated; that one is looked at again.
 */
static unsigned int burrow_hibernate_run(struct burrow_hibernating *h,
					 struct burrow_block *block,
					 unsigned int i, void **saved)
{
	unsigned int in_block = 1U << burrow_arena_slots_shift(h->arena);
	struct burrow_hibernate_entry *entry = h->entries + i;
	unsigned int most, run;

	most = in_block - (entry->slot & (in_block - 1));
	most = min3(most, h->count - i, (unsigned int)BURROW_HIBERNATE_RUN);
	for (run = 0; run < most; run++) {
		if (entry[run].slot != entry->slot + run)
			break;
		saved[run] =
			burrow_hibernate_room(h->arena, block, entry + run);
		if (!saved[run])
			break;
	}
	return run;
}

static void burrow_hibernate_unmap(struct burrow_arena *arena,
				   struct burrow_block *block,
				   const struct burrow_hibernate_entry *entry,
				   unsigned int run)
{
	unsigned long low, high;

	low = ((entry->slot + 1) << arena->stride_shift) -
	      burrow_hibernate_stack(arena, block, entry->slot)->pages;
	high = (entry->slot + run) << arena->stride_shift;
	unmap_mapping_range(arena->ctx->inode->i_mapping,
			    burrow_arena_offset(arena, low),
			    (loff_t)(high - low) << PAGE_SHIFT, 1);
}

/* Pages are unmapped and flushed: save a slot, or say why not. */
static int burrow_hibernate_save(struct burrow_arena *arena,
				 struct burrow_stack *stack,
				 const struct burrow_hibernate_entry *entry,
				 void *saved)
{
	unsigned int bytes = burrow_hibernate_bytes(entry->live);
	u32 peak = stack->peak;
	struct page *page;

	if (burrow_stack_word(arena, entry->slot) != entry->word)
		return -EAGAIN;
	burrow_stack_collect(stack, 0, &page, 1);
	if (page_ref_count(page) != 1)
		return -EBUSY;
	memcpy_from_page(saved, page, PAGE_SIZE - bytes, bytes);
	burrow_stack_drop(arena, stack, 0);
	stack->peak = peak;
	stack->saved = saved;
	stack->live = bytes / sizeof(u64);
	return 0;
}

static void burrow_hibernate_settle(struct burrow_hibernating *h,
				    struct burrow_block *block,
				    struct burrow_hibernate_entry *entry,
				    void *saved)
{
	unsigned int bytes = burrow_hibernate_bytes(entry->live);
	struct burrow_arena *arena = h->arena;
	struct burrow_context *ctx = arena->ctx;
	struct burrow_stack *stack;
	unsigned long before;

	stack = burrow_hibernate_stack(arena, block, entry->slot);
	before = stack->pages;
	entry->result = burrow_hibernate_save(arena, stack, entry, saved);
	if (entry->result) {
		burrow_store_free(ctx, saved, bytes);
		return;
	}
	WRITE_ONCE(block->saved, block->saved + 1);
	burrow_notes_saved(arena, entry->slot);
	if (block->lazy)
		burrow_lazy_forget(arena, block,
				   burrow_block_slot(arena, entry->slot));
	entry->result = (u64)before << PAGE_SHIFT;
	h->freed += entry->result;
	h->bytes += bytes;
	burrow_count(ctx, hibernates, 1);
	burrow_count(ctx, saved_bytes, bytes);
	burrow_count(ctx, hibernated, 1);
	burrow_tell(burrow_stack_hibernate, arena, entry->slot,
		    burrow_stack_goroutine(arena, entry->slot), bytes, before,
		    0);
}

/* Entry @i and those that make a run with it; returns how many. */
static unsigned int burrow_hibernate_some(struct burrow_hibernating *h,
					  unsigned int i)
{
	struct burrow_hibernate_entry *entry = h->entries + i;
	void *saved[BURROW_HIBERNATE_RUN];
	struct burrow_block *block;
	unsigned int run, j;

	entry->result = burrow_hibernate_check(h->arena, entry);
	if (entry->result)
		return 1;
	block = burrow_block_find(h->arena,
				  entry->slot << h->arena->stride_shift);
	if (!block)
		return 1;
	mutex_lock(&block->lock);
	run = burrow_hibernate_run(h, block, i, saved);
	if (run)
		burrow_hibernate_unmap(h->arena, block, entry, run);
	for (j = 0; j < run; j++)
		burrow_hibernate_settle(h, block, entry + j, saved[j]);
	mutex_unlock(&block->lock);

	run = max(run, 1U);
	for (j = 0; j < run; j++)
		if (entry[j].result == -EAGAIN)
			burrow_count(h->arena->ctx, hibernate_races, 1);
	return run;
}

/*
 * Who has stacks hibernate wants their memory back: of its pages the pool keeps no
 * more than one part in 64 of what it may, for stacks that start meanwhile. No more goes
 * than what this chunk gave.
 */
static void burrow_hibernate_shrink(struct burrow_context *ctx,
				    unsigned long given)
{
	unsigned long bound = READ_ONCE(burrow_pool_limit) >> PAGE_SHIFT >> 6;
	unsigned long count = READ_ONCE(ctx->pool.count);

	if (count > bound)
		burrow_pool_shrink(ctx, min(given, count - bound));
}

static void burrow_hibernate_chunk(struct burrow_hibernating *h)
{
	u64 before = h->freed;
	unsigned int i;

	down_read(&h->arena->life);
	for (i = 0; i < h->count; i += burrow_hibernate_some(h, i))
		cond_resched();
	up_read(&h->arena->life);
	burrow_hibernate_shrink(h->arena->ctx,
				(h->freed - before) >> PAGE_SHIFT);
}

static long burrow_hibernate_all(struct burrow_hibernating *h,
				 struct burrow_hibernate *args)
{
	struct burrow_hibernate_entry __user *user =
		u64_to_user_ptr(args->entries);
	size_t bytes;

	while (args->done < args->count && !fatal_signal_pending(current)) {
		h->count = min_t(u64, args->count - args->done, h->room);
		bytes = h->count * sizeof(*h->entries);
		if (copy_from_user(h->entries, user + args->done, bytes))
			return -EFAULT;
		burrow_hibernate_chunk(h);
		args->bytes = h->bytes;
		args->freed = h->freed;
		if (copy_to_user(user + args->done, h->entries, bytes))
			return -EFAULT;
		args->done += h->count;
		cond_resched();
	}
	return 0;
}

/**
 * burrow_hibernate() - the ioctl: keep only what stacks hold
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_hibernate(struct burrow_context *ctx, struct burrow_hibernate *args)
{
	struct burrow_hibernate_entry few[BURROW_HIBERNATE_FEW];
	struct burrow_hibernating h = {
		.entries = few,
		.room = ARRAY_SIZE(few),
	};
	long ret;

	if (args->done || args->bytes || args->freed)
		return -EINVAL;
	h.arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(h.arena))
		return PTR_ERR(h.arena);
	if (args->count > h.room) {
		h.room = BURROW_HIBERNATE_ENTRIES;
		h.entries = kmalloc_array(h.room, sizeof(*h.entries),
					  GFP_KERNEL_ACCOUNT);
	}
	burrow_dump_prepare(h.arena);
	ret = h.entries ? burrow_hibernate_all(&h, args) : -ENOMEM;
	if (h.entries != few)
		kfree(h.entries);
	burrow_arena_put(h.arena);
	return ret;
}

/**
 * burrow_hibernate_forget() - give up what is saved of a stack, if anything
 * @arena:	its arena
 * @block:	its block, locked
 * @slot:	is empty afterwards
 */
void burrow_hibernate_forget(struct burrow_arena *arena,
			     struct burrow_block *block, unsigned long slot)
{
	struct burrow_stack *stack = burrow_hibernate_stack(arena, block, slot);
	unsigned int bytes = burrow_stack_saved(stack);

	if (!bytes)
		return;
	burrow_notes_over(arena, stack, slot);
	if (arena->flags & BURROW_ARENA_ZERO)
		memset(stack->saved, 0, bytes);
	burrow_store_free(arena->ctx, stack->saved, bytes);
	burrow_count(arena->ctx, saved_bytes, -(long)bytes);
	burrow_count(arena->ctx, hibernated, -1);
	stack->lowest = NULL;
	stack->live = 0;
	stack->peak = 0;
	WRITE_ONCE(block->saved, block->saved - 1);
}

/**
 * burrow_hibernate_restore() - write what is saved of a stack into a page
 * @arena:	its arena
 * @block:	its block, locked
 * @slot:	is hibernated; empty afterwards, but for its peak
 * @page:	to be the slot's highest; counts as written
 */
void burrow_hibernate_restore(struct burrow_arena *arena,
			      struct burrow_block *block, unsigned long slot,
			      struct page *page)
{
	struct burrow_stack *stack = burrow_hibernate_stack(arena, block, slot);
	unsigned long top = ((slot + 1) << arena->stride_shift) - 1;
	unsigned int bytes = burrow_stack_saved(stack);
	u32 peak = stack->peak;

	memcpy_to_page(page, PAGE_SIZE - bytes, stack->saved, bytes);
	burrow_hibernate_forget(arena, block, slot);
	stack->peak = peak;
	set_bit(top & block->mask, block->dirty);
	burrow_count(arena->ctx, restores, 1);
	burrow_tell(burrow_stack_restore, arena, slot,
		    burrow_stack_goroutine(arena, slot), bytes, 0, 1);
}
