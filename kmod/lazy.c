// SPDX-License-Identifier: GPL-2.0
/*
 * Slots trimmed lazily: their pages stay mapped, and may be taken when somebody
 * needs them. Until then a stack that is used again is as warm as it was.
 *
 * A context lists such slots, the one trimmed longest ago first, each with the
 * word that its user saw and what it keeps (the record is in its block, so that
 * putting a slot on the list or to its end costs the same however many there
 * are). A slot that was woken since has another word and is dropped when it is
 * met. From others pages are taken by the protocol of trim.c: compare, unmap,
 * flush, compare again.
 *
 * Pages are taken, no more than are wanted, by
 * - a fault in a stack that finds the pool empty,
 * - whoever is refused a page, by a limit or for want of memory,
 * - reclaim (shrink.c), which may run under any lock.
 *
 * So who takes may hold the lock of a block, and others hold theirs while they
 * wait for something that we hold: the victim's arena and block are only ever
 * tried. A slot that can't be had now goes to the end of the list.
 *
 * A record on the list keeps its arena from going: the block that it is in goes
 * with the arena's last mapping, and takes its records off the list before.
 */
#include "burrow.h"

/* At least so many pages of a slot at a time, to be worth a flush. */
#define BURROW_LAZY_LEAST BURROW_BATCH

/* The lock is held. No pages: off the list. */
static void burrow_lazy_set(struct burrow_lazies *lazies,
			    struct burrow_lazy *lazy, u32 pages)
{
	lockdep_assert_held(&lazies->lock);
	WRITE_ONCE(lazies->pages, lazies->pages + pages - lazy->pages);
	lazy->pages = pages;
	if (pages)
		return;
	list_del_init(&lazy->node);
	WRITE_ONCE(lazies->count, lazies->count - 1);
}

static bool burrow_lazy_alloc(struct burrow_arena *arena,
			      struct burrow_block *block)
{
	unsigned long i, n = 1UL << burrow_arena_slots_shift(arena);

	block->lazy = burrow_pool_zalloc(arena->ctx, n * sizeof(*block->lazy));
	if (!block->lazy)
		return false;
	for (i = 0; i < n; i++)
		INIT_LIST_HEAD(&block->lazy[i].node);
	return true;
}

/**
 * burrow_lazy_add() - a slot's pages may be taken from now on
 * @arena:	its arena
 * @block:	its block, locked
 * @entry:	slot, word and what to keep
 * @pages:	how many may be taken; at least 1
 *
 * Return: false for want of memory for the first record of a block.
 */
bool burrow_lazy_add(struct burrow_arena *arena, struct burrow_block *block,
		     const struct burrow_trim_entry *entry, unsigned long pages)
{
	struct burrow_lazies *lazies = &arena->ctx->lazies;
	struct burrow_lazy *lazy;

	lockdep_assert_held(&block->lock);
	if (!block->lazy && !burrow_lazy_alloc(arena, block))
		return false;
	lazy = &block->lazy[burrow_block_slot(arena, entry->slot)];
	spin_lock(&lazies->lock);
	if (list_empty(&lazy->node))
		WRITE_ONCE(lazies->count, lazies->count + 1);
	list_move_tail(&lazy->node, &lazies->slots);
	lazy->arena = arena;
	lazy->slot = entry->slot;
	lazy->word = entry->word;
	lazy->keep = PAGE_ALIGN(entry->keep) >> PAGE_SHIFT;
	burrow_lazy_set(lazies, lazy, pages);
	spin_unlock(&lazies->lock);
	return true;
}

/**
 * burrow_lazy_forget() - a slot has nothing to give any more
 * @arena:	its arena
 * @block:	its block, locked, with records
 * @i:		its place in the block
 */
void burrow_lazy_forget(struct burrow_arena *arena, struct burrow_block *block,
			unsigned long i)
{
	struct burrow_lazies *lazies = &arena->ctx->lazies;
	struct burrow_lazy *lazy = &block->lazy[i];

	spin_lock(&lazies->lock);
	if (!list_empty(&lazy->node))
		burrow_lazy_set(lazies, lazy, 0);
	spin_unlock(&lazies->lock);
}

/* A slot to take pages from: block locked, arena held and its life read. */
struct burrow_victim {
	struct burrow_arena *arena;
	struct burrow_block *block;
	struct burrow_trim_entry entry;
};

/* Lock what taking from @v needs, without waiting. @held is locked already. */
static bool burrow_lazy_lock(struct burrow_victim *v, struct burrow_block *held)
{
	struct burrow_arena *arena = v->arena;

	if (!down_read_trylock(&arena->life))
		return false;
	v->block =
		burrow_block_find(arena, v->entry.slot << arena->stride_shift);
	if (v->block != held && !mutex_trylock(&v->block->lock)) {
		up_read(&arena->life);
		return false;
	}
	kref_get(&arena->ref);
	return true;
}

static void burrow_lazy_unlock(struct burrow_victim *v,
			       struct burrow_block *held)
{
	if (v->block != held)
		mutex_unlock(&v->block->lock);
	up_read(&v->arena->life);
	burrow_arena_put(v->arena);
}

/*
 * The slot trimmed longest ago, @lazy, is to give up to @want pages: decide
 * what it keeps, and what the list says of it afterwards.
 */
static void burrow_lazy_share(struct burrow_lazies *lazies,
			      struct burrow_lazy *lazy, struct burrow_victim *v,
			      unsigned long want)
{
	unsigned long i = burrow_block_slot(v->arena, lazy->slot);
	unsigned long have = v->block->stacks[i].pages, spare = 0;

	if (have > lazy->keep)
		spare = have - lazy->keep;
	want = min(spare, max_t(unsigned long, want, BURROW_LAZY_LEAST));
	v->entry.keep = (u64)(have - want) << PAGE_SHIFT;
	burrow_lazy_set(lazies, lazy, spare - want);
}

/*
 * Look at the slot that was trimmed longest ago. True if pages can be taken
 * from it now, and all that it needs is locked.
 */
static bool burrow_lazy_oldest(struct burrow_context *ctx,
			       struct burrow_block *held,
			       const struct burrow_stack *busy,
			       unsigned long want, struct burrow_victim *v)
{
	struct burrow_lazies *lazies = &ctx->lazies;
	struct burrow_lazy *lazy;
	bool locked = false;

	spin_lock(&lazies->lock);
	lazy = list_first_entry_or_null(&lazies->slots, struct burrow_lazy,
					node);
	if (!lazy)
		goto out;
	v->arena = lazy->arena;
	v->entry.slot = lazy->slot;
	v->entry.word = lazy->word;
	if (burrow_stack_word(v->arena, v->entry.slot) != v->entry.word) {
		burrow_lazy_set(lazies, lazy, 0);
		goto out;
	}
	if (!burrow_lazy_lock(v, held)) {
		list_move_tail(&lazy->node, &lazies->slots);
		goto out;
	}
	locked = true;
	/* Who faults on it runs on it, whatever its word says. */
	if (&v->block->stacks[burrow_block_slot(v->arena, lazy->slot)] ==
	    busy) {
		burrow_lazy_set(lazies, lazy, 0);
		v->entry.keep = U64_MAX;
	} else {
		burrow_lazy_share(lazies, lazy, v, want);
	}
out:
	spin_unlock(&lazies->lock);
	return locked;
}

/**
 * burrow_lazy_take() - take pages of slots that were trimmed lazily
 * @ctx:	whose
 * @held:	a block of it whose lock the caller holds, or NULL
 * @busy:	a stack in @held to take nothing from, or NULL
 * @want:	pages; up to %BURROW_LAZY_LEAST more may be taken
 *
 * They are in the pool afterwards or, past its bound, with the system.
 *
 * Context: may sleep; under any lock that reclaim with __GFP_FS may run under.
 *
 * Return: how many were taken.
 */
unsigned long burrow_lazy_take(struct burrow_context *ctx,
			       struct burrow_block *held,
			       const struct burrow_stack *busy,
			       unsigned long want)
{
	unsigned long looks = READ_ONCE(ctx->lazies.count), got = 0;
	struct burrow_victim v;

	/* Each is looked at once: those that are locked may stay so. */
	for (; looks && got < want; looks--) {
		if (!burrow_lazy_oldest(ctx, held, busy, want - got, &v))
			continue;
		burrow_trim_slot(v.arena, v.block, &v.entry);
		burrow_lazy_unlock(&v, held);
		if (v.entry.result <= 0)
			continue;
		got += v.entry.result >> PAGE_SHIFT;
		burrow_count(ctx, lazy_taken, 1);
		cond_resched();
	}
	return got;
}

void burrow_lazy_open(struct burrow_context *ctx)
{
	spin_lock_init(&ctx->lazies.lock);
	INIT_LIST_HEAD(&ctx->lazies.slots);
}
