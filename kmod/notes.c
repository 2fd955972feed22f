// SPDX-License-Identifier: GPL-2.0
/*
 * What a collector knows of hibernated stacks. It notes what is saved of them
 * (BURROW_SAVED_NOTE) and need not look at it again until somebody touches the
 * stack; which were touched since, it asks with BURROW_IOC_RESTORED. So what a
 * stop costs goes with those that came and went, not with all that sleep.
 *
 * The slot says that it was noted (told), and that what was noted is not saved any
 * more (over), under its block's lock. So that nobody looks at all slots for these,
 * an arena has two bits for each block:
 *
 *	fresh	a slot may be hibernated that was not noted
 *	over	a slot may be over
 *
 * They are set under the block's lock, and cleared there when none was left. Who
 * reads them without it may miss what happens at this moment: it is there in the
 * next call. A restore before the call is in it: the bit is set before the page
 * is mapped.
 */
#include <linux/bitmap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"

/* Slots told before user memory is written. */
#define BURROW_RESTORED_SLOTS 32

/**
 * struct burrow_notes - news of an arena, by block
 * @blocks:	how many it has
 * @pages:	charged for this
 * @fresh:	bits; atomic
 * @over:	bits; atomic
 * @bits:	both
 */
struct burrow_notes {
	unsigned long blocks;
	unsigned long pages;
	unsigned long *fresh;
	unsigned long *over;
	unsigned long bits[];
};

static struct burrow_notes *burrow_notes_of(struct burrow_arena *arena)
{
	/* Pairs with smp_store_release() in burrow_notes_open(). */
	return smp_load_acquire(&arena->notes);
}

static unsigned long burrow_notes_block(struct burrow_arena *arena,
					unsigned long slot)
{
	return slot >> burrow_arena_slots_shift(arena);
}

static struct burrow_notes *burrow_notes_new(struct burrow_arena *arena)
{
	unsigned long blocks =
		DIV_ROUND_UP(arena->length, 1UL << arena->block_shift);
	unsigned long longs = BITS_TO_LONGS(blocks);
	struct burrow_notes *notes;
	size_t size = struct_size(notes, bits, 2 * longs);
	unsigned long pages = DIV_ROUND_UP(size, PAGE_SIZE);

	if (!burrow_pool_charge_records(arena->ctx, pages))
		return NULL;
	notes = burrow_pool_zalloc(arena->ctx, size);
	if (!notes) {
		burrow_pool_uncharge(arena->ctx, pages);
		return NULL;
	}
	notes->blocks = blocks;
	notes->pages = pages;
	notes->fresh = notes->bits;
	notes->over = notes->bits + longs;
	return notes;
}

/*
 * What was hibernated before anybody wanted to know. Who hibernates a slot and sees
 * no notes has made its block before, by a cmpxchg(); we have shown the notes before
 * we look for blocks.
 */
static void burrow_notes_fill(struct burrow_arena *arena,
			      struct burrow_notes *notes)
{
	unsigned long page = 0;

	/* Pairs with the cmpxchg() in burrow_block_publish(). */
	smp_mb();
	down_read(&arena->life);
	while ((page = burrow_block_next(arena, page, arena->length)) <
	       arena->length) {
		set_bit(page >> arena->block_shift, notes->fresh);
		page += 1UL << arena->block_shift;
		cond_resched();
	}
	up_read(&arena->life);
}

/**
 * burrow_notes_open() - from now on there is news of an arena
 * @arena:	a stack arena
 *
 * Return: 0 or -ENOMEM.
 */
int burrow_notes_open(struct burrow_arena *arena)
{
	struct burrow_context *ctx = arena->ctx;
	struct burrow_notes *notes;

	mutex_lock(&ctx->lock);
	notes = arena->notes;
	if (!notes) {
		notes = burrow_notes_new(arena);
		/* Pairs with burrow_notes_of(). */
		smp_store_release(&arena->notes, notes);
		if (notes)
			burrow_notes_fill(arena, notes);
	}
	mutex_unlock(&ctx->lock);
	return notes ? 0 : -ENOMEM;
}

/* The arena goes. */
void burrow_notes_close(struct burrow_arena *arena)
{
	if (!arena->notes)
		return;
	burrow_pool_uncharge(arena->ctx, arena->notes->pages);
	kvfree(arena->notes);
}

/**
 * burrow_notes_saved() - a slot was hibernated
 * @arena:	its arena
 * @slot:	its block is locked
 */
void burrow_notes_saved(struct burrow_arena *arena, unsigned long slot)
{
	struct burrow_notes *notes = burrow_notes_of(arena);

	if (notes)
		set_bit(burrow_notes_block(arena, slot), notes->fresh);
}

/**
 * burrow_notes_told() - all that is saved in a block was noted
 * @arena:	its arena, with notes
 * @slot:	one of the block, which is locked
 */
void burrow_notes_told(struct burrow_arena *arena, unsigned long slot)
{
	clear_bit(burrow_notes_block(arena, slot), arena->notes->fresh);
}

/**
 * burrow_notes_over() - what is saved of a slot goes
 * @arena:	its arena
 * @stack:	what is in the slot
 * @slot:	its block is locked
 */
void burrow_notes_over(struct burrow_arena *arena, struct burrow_stack *stack,
		       unsigned long slot)
{
	if (!stack->told)
		return;
	stack->told = 0;
	stack->over = 1;
	set_bit(burrow_notes_block(arena, slot), arena->notes->over);
}

/**
 * burrow_notes_next() - the first page from one on whose block has fresh slots
 * @arena:	with notes
 * @page:	where to begin
 * @end:	where to end
 *
 * Return: @page, the first page of a later block, or @end.
 */
unsigned long burrow_notes_next(struct burrow_arena *arena, unsigned long page,
				unsigned long end)
{
	struct burrow_notes *notes = burrow_notes_of(arena);
	unsigned long nr = page >> arena->block_shift;

	nr = find_next_bit(notes->fresh, notes->blocks, nr);
	return min(max(page, nr << arena->block_shift), end);
}

/* A call under way. */
struct burrow_restoring {
	struct burrow_arena *arena;
	u64 slots[BURROW_RESTORED_SLOTS];
	unsigned int room;
	unsigned int count;
	unsigned long block; /* the next to look at */
};

/* Those of one block. False: there is no room for more. */
static bool burrow_restored_block(struct burrow_restoring *r,
				  struct burrow_block *block)
{
	unsigned long in = 1UL << burrow_arena_slots_shift(r->arena), i;
	u64 first = (u64)r->block << burrow_arena_slots_shift(r->arena);
	bool all = true;

	mutex_lock(&block->lock);
	for (i = 0; i < in; i++) {
		if (!block->stacks[i].over)
			continue;
		all = r->count < r->room;
		if (!all)
			break;
		block->stacks[i].over = 0;
		r->slots[r->count++] = first + i;
	}
	if (all)
		clear_bit(r->block, r->arena->notes->over);
	mutex_unlock(&block->lock);
	return all;
}

/* As many as there is room for. */
static void burrow_restored_some(struct burrow_restoring *r)
{
	struct burrow_notes *notes = burrow_notes_of(r->arena);
	struct burrow_block *block;

	r->count = 0;
	down_read(&r->arena->life);
	for (;; r->block++) {
		r->block = find_next_bit(notes->over, notes->blocks, r->block);
		if (r->block >= notes->blocks)
			break;
		block = burrow_block_find(r->arena,
					  r->block << r->arena->block_shift);
		if (!block)
			clear_bit(r->block, notes->over);
		else if (!burrow_restored_block(r, block))
			break;
	}
	up_read(&r->arena->life);
}

/* They could not be told. */
static void burrow_restored_undo(struct burrow_restoring *r)
{
	struct burrow_arena *arena = r->arena;
	struct burrow_block *block;
	unsigned int i;

	down_read(&arena->life);
	for (i = 0; i < r->count; i++) {
		block = burrow_block_find(arena,
					  r->slots[i] << arena->stride_shift);
		if (!block)
			continue;
		mutex_lock(&block->lock);
		block->stacks[burrow_block_slot(arena, r->slots[i])].over = 1;
		set_bit(burrow_notes_block(arena, r->slots[i]),
			arena->notes->over);
		mutex_unlock(&block->lock);
	}
	up_read(&arena->life);
}

static long burrow_restored_all(struct burrow_restoring *r,
				struct burrow_restored *args)
{
	u64 __user *user = u64_to_user_ptr(args->slots);

	while (args->done < args->room && !fatal_signal_pending(current)) {
		r->room = min_t(u64, args->room - args->done,
				BURROW_RESTORED_SLOTS);
		burrow_restored_some(r);
		if (copy_to_user(user + args->done, r->slots,
				 r->count * sizeof(*r->slots))) {
			burrow_restored_undo(r);
			return -EFAULT;
		}
		args->done += r->count;
		if (r->count < r->room)
			break;
		cond_resched();
	}
	return 0;
}

/**
 * burrow_restored() - the ioctl: of which slots what was noted is over
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_restored(struct burrow_context *ctx, struct burrow_restored *args)
{
	struct burrow_restoring r = {};
	long ret = 0;

	if (args->pad || args->done)
		return -EINVAL;
	r.arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(r.arena))
		return PTR_ERR(r.arena);
	if (burrow_notes_of(r.arena))
		ret = burrow_restored_all(&r, args);
	burrow_arena_put(r.arena);
	return ret;
}
