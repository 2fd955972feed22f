// SPDX-License-Identifier: GPL-2.0
/*
 * Reading what is saved of hibernated stacks, restoring none: for a collector,
 * to which they are roots, and for dumps of all goroutines.
 *
 * A call gathers records into a buffer of its own, one block at a time under
 * the block's lock, and copies them out with no lock held. What was never
 * touched is passed over by gigabytes, blocks without a hibernated slot by a
 * look at their count, and blocks in which all was noted before by the bits of
 * notes.c.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"

/* Bytes gathered before they are copied out. */
#define BURROW_SAVED_BUFFER (16 * PAGE_SIZE)

/* Blocks looked at before the arena may be emptied. */
#define BURROW_SAVED_BLOCKS 512

/* A call under way. */
struct burrow_gather {
	struct burrow_arena *arena;
	u32 flags;
	void *buffer;
	size_t room; /* in the buffer, or in the user's if that has less */
	size_t used;
	u64 count;
	u64 slot; /* the next to look at */
	u64 end;
	bool full; /* it did not fit */
};

/* The record of a hibernated slot; its block is locked. False: it does not fit. */
static bool burrow_saved_put(struct burrow_gather *g,
			     struct burrow_stack *stack)
{
	struct burrow_saved_slot record = {
		.slot = g->slot,
		.word = burrow_stack_word(g->arena, g->slot),
		.live = burrow_stack_saved(stack),
	};

	if (sizeof(record) + record.live > g->room - g->used)
		return false;
	memcpy(g->buffer + g->used, &record, sizeof(record));
	g->used += sizeof(record);
	memcpy(g->buffer + g->used, stack->saved, record.live);
	g->used += record.live;
	g->count++;
	if (g->flags & BURROW_SAVED_NOTE) {
		stack->told = 1;
		stack->over = 0;
	}
	return true;
}

static bool burrow_saved_wants(const struct burrow_gather *g,
			       const struct burrow_stack *stack)
{
	return burrow_stack_saved(stack) &&
	       !(g->flags & BURROW_SAVED_NEW && stack->told);
}

/* What is saved of the slots before @end, all of one block. */
static void burrow_saved_block(struct burrow_gather *g,
			       struct burrow_block *block, u64 end)
{
	bool all = !burrow_block_slot(g->arena, g->slot);
	struct burrow_stack *stack;

	/* Hibernated meanwhile is hibernated afterwards. */
	if (!READ_ONCE(block->saved) && !(g->flags & BURROW_SAVED_NEW)) {
		g->slot = end;
		return;
	}
	mutex_lock(&block->lock);
	for (; g->slot < end; g->slot++) {
		stack = &block->stacks[burrow_block_slot(g->arena, g->slot)];
		if (burrow_saved_wants(g, stack) &&
		    !burrow_saved_put(g, stack)) {
			g->full = true;
			break;
		}
	}
	all &= end == g->arena->slots || !burrow_block_slot(g->arena, end);
	if (g->flags & BURROW_SAVED_NOTE && all && !g->full)
		burrow_notes_told(g->arena, end - 1);
	mutex_unlock(&block->lock);
}

/* The first page from that of the next slot on whose block is to be looked at. */
static unsigned long burrow_saved_next(const struct burrow_gather *g)
{
	unsigned long page = g->slot << g->arena->stride_shift;
	unsigned long end = g->end << g->arena->stride_shift;

	if (g->flags & BURROW_SAVED_NEW)
		page = burrow_notes_next(g->arena, page, end);
	return burrow_block_next(g->arena, page, end);
}

/* Nothing was hibernated since it was all noted. */
static bool burrow_saved_knows_all(const struct burrow_gather *g)
{
	unsigned long page = g->slot << g->arena->stride_shift;
	unsigned long end = g->end << g->arena->stride_shift;

	return burrow_notes_next(g->arena, page, end) == end;
}

/* On to the next record that does not fit, the end, or a rest. */
static void burrow_saved_step(struct burrow_gather *g)
{
	unsigned int slots_shift = burrow_arena_slots_shift(g->arena);
	unsigned int shift = g->arena->stride_shift;
	unsigned long page, blocks;
	u64 end;

	for (blocks = 0; blocks < BURROW_SAVED_BLOCKS; blocks++) {
		page = burrow_saved_next(g);
		g->slot = page >> shift;
		if (g->slot == g->end || g->full)
			break;
		end = ((g->slot >> slots_shift) + 1) << slots_shift;
		burrow_saved_block(g, burrow_block_find(g->arena, page),
				   min(end, g->end));
	}
}

static long burrow_saved_all(struct burrow_gather *g, struct burrow_saved *args)
{
	void __user *user = u64_to_user_ptr(args->buffer);

	while (g->slot < g->end && !fatal_signal_pending(current)) {
		g->used = 0;
		g->count = 0;
		g->full = false;
		g->room = min_t(u64, args->bytes - args->done,
				BURROW_SAVED_BUFFER);
		down_read(&g->arena->life);
		burrow_saved_step(g);
		up_read(&g->arena->life);
		if (copy_to_user(user + args->done, g->buffer, g->used))
			return -EFAULT;
		args->done += g->used;
		args->count += g->count;
		args->next = g->slot;
		/* The user's room ends here, not ours. */
		if (g->full && g->room < BURROW_SAVED_BUFFER)
			break;
		cond_resched();
	}
	return 0;
}

/**
 * burrow_saved() - the ioctl: read what is saved of hibernated stacks
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_saved(struct burrow_context *ctx, struct burrow_saved *args)
{
	struct burrow_gather g = { .flags = args->flags };
	long ret = -EINVAL;

	BUILD_BUG_ON(sizeof(struct burrow_saved_slot) + BURROW_STORE_MAX >
		     BURROW_SAVED_MIN);
	if (args->pad || args->done || args->count || args->next ||
	    args->bytes < BURROW_SAVED_MIN)
		return -EINVAL;
	if (g.flags & BURROW_SAVED_NEW)
		g.flags |= BURROW_SAVED_NOTE;
	g.arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(g.arena))
		return PTR_ERR(g.arena);
	if (args->first > g.arena->slots ||
	    args->slots > g.arena->slots - args->first)
		goto out;
	g.slot = args->first;
	g.end = args->first + args->slots;
	ret = g.flags ? burrow_notes_open(g.arena) : 0;
	if (ret)
		goto out;
	args->next = g.slot;
	if (g.flags & BURROW_SAVED_NEW && burrow_saved_knows_all(&g)) {
		args->next = g.end;
		goto out;
	}
	ret = -ENOMEM;
	g.buffer = kvmalloc(BURROW_SAVED_BUFFER, GFP_KERNEL_ACCOUNT);
	if (!g.buffer)
		goto out;
	ret = burrow_saved_all(&g, args);
	kvfree(g.buffer);
out:
	burrow_arena_put(g.arena);
	return ret;
}
