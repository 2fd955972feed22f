// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of slots that are hibernated or empty: a call that gives them back,
 * half a kilobyte for a parked stack of 256 KiB. Unmapping pages leaves their tables
 * where they are; the core frees them with a mapping. So a range of the arena is
 * mapped over itself, by vm_mmap() of the same file at the same place: the core
 * unmaps what was there and frees its tables. Pages stay with their owners, dirty bits
 * go to their blocks as in any unmapping, and whoever touches a page faults it in again.
 *
 * vm_mmap() takes mmap_lock itself, and it replaces whatever it finds. What it finds
 * is looked at under that same lock: the core asks the file for an address first,
 * a fixed one too, and burrow_pgtable_area() is asked in the midst of our own call. It
 * refuses if anything but a plain mapping of this very range is there: the user unmapped
 * a part, mapped something else, changed a flag that the new mapping would not have.
 *
 *	tables call			core, mmap_lock held for writing
 *	remap->task = current
 *	vm_mmap()			->get_unmapped_area: is all ours? hold it
 *					unmap, free tables; ->close of what was
 *					->mmap of what is to be: count what went
 *	let go
 *
 * To hold an arena is to count as one of its mappings: if its only one is replaced, it
 * is not emptied in between.
 *
 * The new mapping takes memory, which some kernels allocate when the old one is gone
 * already. If they get none there is a hole, and a touch of it would be a SIGSEGV. So
 * the call may use the reserves, as befits who is about to free memory; and as long as
 * there is a hole it tries again, for a while.
 *
 * Faults, trims and what else maps pages hold mmap_lock or the mapping's own lock, and
 * so are either over or find the new mapping. Hibernation and reclaim unmap pages with
 * neither. Where they find no entry because we cleared it, and did not flush yet, the
 * core still holds the page, and they take it for pinned; nor can it be written by
 * then: the core flushes what was dirty before it lets go of the page table, and a
 * write to what was clean has to set a bit in an entry that is gone.
 */
#include <linux/mman.h>
#include <linux/personality.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "burrow.h"

/* The longest range of a call: what its lock is held for grows with that. */
#define BURROW_PGTABLE_PAGES (BURROW_PGTABLES_MAX >> PAGE_SHIFT)

/* Times that a hole is tried to be mapped, a tick after one another. */
#define BURROW_PGTABLE_TRIES 100

static bool burrow_pgtable_is_ours(const struct burrow_remap *remap)
{
	return READ_ONCE(remap->task) == current;
}

/* Is the range a plain mapping of itself? mmap_lock is held. */
static bool burrow_pgtable_is_whole(const struct burrow_remap *remap)
{
	unsigned long addr = remap->addr, end = addr + remap->bytes, page;
	struct vm_area_struct *vma;

	for (; addr < end; addr = vma->vm_end) {
		page = remap->first + ((addr - remap->addr) >> PAGE_SHIFT);
		vma = find_vma(remap->arena->ctx->mm, addr);
		if (!vma ||
		    !burrow_arena_is_plain(remap->arena, vma, addr, page))
			return false;
	}
	return true;
}

/* Is nothing there? mmap_lock is held. */
static bool burrow_pgtable_is_hole(const struct burrow_remap *remap)
{
	struct vm_area_struct *vma =
		find_vma(remap->arena->ctx->mm, remap->addr);

	return !vma || vma->vm_start >= remap->addr + remap->bytes;
}

/**
 * burrow_pgtable_area() - the core asks where to map
 * @ctx:	of the file
 * @addr:	where the caller would have it
 *
 * Context: mmap_lock held for writing.
 *
 * Return: @addr if a call of ours may go on, -ENXIO if it may not; 0: it is not ours.
 */
unsigned long burrow_pgtable_area(struct burrow_context *ctx,
				  unsigned long addr)
{
	struct burrow_remap *remap = &ctx->remap;

	if (!burrow_pgtable_is_ours(remap))
		return 0;
	if (!burrow_pgtable_is_whole(remap) &&
	    !(remap->torn && burrow_pgtable_is_hole(remap)))
		return -ENXIO;
	if (!remap->held) {
		burrow_arena_hold(remap->arena);
		remap->held = true;
		remap->before = mm_pgtables_bytes(ctx->mm);
	}
	return addr;
}

/* A mapping of the context goes: there may be a hole, if it is our doing. */
void burrow_pgtable_closed(struct burrow_context *ctx)
{
	if (burrow_pgtable_is_ours(&ctx->remap))
		ctx->remap.torn = true;
}

/* One was made; mmap_lock is held for writing. */
void burrow_pgtable_mapped(struct burrow_context *ctx)
{
	struct burrow_remap *remap = &ctx->remap;
	unsigned long page, end, after;

	if (!burrow_pgtable_is_ours(remap))
		return;
	after = mm_pgtables_bytes(ctx->mm);
	remap->freed = remap->before > after ? remap->before - after : 0;
	/* Nobody can fault here before we are through. */
	end = remap->first + (remap->bytes >> PAGE_SHIFT);
	for (page = burrow_block_next(remap->arena, remap->first, end);
	     page < end; page = burrow_block_next(remap->arena, page, end)) {
		WRITE_ONCE(burrow_block_find(remap->arena, page)->tables,
			   false);
		page += 1UL << remap->arena->block_shift;
	}
}

static int burrow_pgtable_map(struct burrow_remap *remap, struct file *file)
{
	unsigned int reserves = memalloc_noreclaim_save();
	unsigned long ret;

	ret = vm_mmap(file, remap->addr, remap->bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED,
		      burrow_arena_offset(remap->arena, remap->first));
	memalloc_noreclaim_restore(reserves);
	return IS_ERR_VALUE(ret) ? (int)ret : 0;
}

static int burrow_pgtable_try(struct burrow_remap *remap, struct file *file)
{
	unsigned int tries = 1;
	int err;

	err = burrow_pgtable_map(remap, file);
	while (err == -ENOMEM && remap->torn &&
	       tries++ < BURROW_PGTABLE_TRIES &&
	       !fatal_signal_pending(current)) {
		schedule_timeout_uninterruptible(1);
		err = burrow_pgtable_map(remap, file);
	}
	return err;
}

/* Let go of the arena, and see whether a failure left it as it was. */
static int burrow_pgtable_let_go(struct burrow_remap *remap, int err)
{
	struct mm_struct *mm = remap->arena->ctx->mm;

	if (!remap->held)
		return err;
	/* Nobody maps the arena anew while it is emptied, if it is. */
	mmap_read_lock(mm);
	if (err && remap->torn && !burrow_pgtable_is_whole(remap))
		err = -ENOTRECOVERABLE;
	burrow_arena_unhold(remap->arena);
	mmap_read_unlock(mm);
	return err;
}

/* @remap says what; its lock is held. */
static int burrow_pgtable_remap(struct burrow_remap *remap, struct file *file)
{
	int err;

	/* The new mapping would be executable, and so be refused. */
	if (current->personality & READ_IMPLIES_EXEC)
		return -ENXIO;
	remap->held = false;
	remap->torn = false;
	remap->freed = 0;
	WRITE_ONCE(remap->task, current);
	err = burrow_pgtable_try(remap, file);
	WRITE_ONCE(remap->task, NULL);
	return burrow_pgtable_let_go(remap, err);
}

/* Blocks of a range: what they would give, and who would have to fault again. */
struct burrow_pgtable_worth {
	u64 bytes;
	u64 resident;
};

static void burrow_pgtable_weigh_block(struct burrow_arena *arena,
				       struct burrow_block *block,
				       struct burrow_pgtable_worth *worth)
{
	unsigned long i, n = 1UL << burrow_arena_slots_shift(arena);
	u64 resident = 0;

	if (!READ_ONCE(block->tables))
		return;
	mutex_lock(&block->lock);
	for (i = 0; i < n; i++)
		resident += block->stacks[i].pages != 0;
	mutex_unlock(&block->lock);
	worth->resident += resident;
	if (!resident)
		worth->bytes += PAGE_SIZE;
}

static struct burrow_pgtable_worth
burrow_pgtable_weigh(struct burrow_arena *arena, unsigned long first,
		     unsigned long pages)
{
	unsigned long page = first, end = first + pages;
	struct burrow_pgtable_worth worth = {};

	down_read(&arena->life);
	while (!fatal_signal_pending(current)) {
		page = burrow_block_next(arena, page, end);
		if (page >= end)
			break;
		burrow_pgtable_weigh_block(
			arena, burrow_block_find(arena, page), &worth);
		page += 1UL << arena->block_shift;
		cond_resched();
	}
	up_read(&arena->life);
	return worth;
}

static long burrow_pgtable_range(struct burrow_context *ctx, struct file *file,
				 struct burrow_arena *arena,
				 struct burrow_pgtables *args)
{
	struct burrow_remap *remap = &ctx->remap;
	unsigned long first = args->first << arena->stride_shift;
	unsigned long pages = round_up(args->slots << arena->stride_shift,
				       1UL << arena->block_shift);
	struct burrow_pgtable_worth worth;
	int err;

	worth = burrow_pgtable_weigh(arena, first, pages);
	args->resident = worth.resident;
	if (!worth.bytes || worth.bytes < args->least ||
	    worth.resident > args->most)
		return 0;
	if (mutex_lock_killable(&remap->lock))
		return -EINTR;
	remap->arena = arena;
	remap->first = first;
	remap->addr = READ_ONCE(arena->base) + (first << PAGE_SHIFT);
	remap->bytes = pages << PAGE_SHIFT;
	err = burrow_pgtable_remap(remap, file);
	if (!err) {
		args->bytes = remap->freed;
		burrow_count(ctx, pgtable_bytes, remap->freed);
	}
	mutex_unlock(&remap->lock);
	return err;
}

/* Whole blocks: at the upper end of an arena the last may have fewer slots. */
static bool burrow_pgtable_fits(const struct burrow_arena *arena,
				const struct burrow_pgtables *args)
{
	u64 mask = (1ULL << burrow_arena_slots_shift(arena)) - 1;

	if (args->first > arena->slots || !args->slots ||
	    args->slots > arena->slots - args->first ||
	    args->slots > BURROW_PGTABLE_PAGES >> arena->stride_shift)
		return false;
	return !(args->first & mask) &&
	       (!(args->slots & mask) ||
		args->first + args->slots == arena->slots);
}

/**
 * burrow_pgtables() - the ioctl: give page tables of a range of slots back
 * @ctx:	the context
 * @file:	of the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_pgtables(struct burrow_context *ctx, struct file *file,
		     struct burrow_pgtables *args)
{
	struct burrow_arena *arena;
	long ret = -EINVAL;

	if (args->pad || args->bytes || args->resident)
		return -EINVAL;
	arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	if (burrow_pgtable_fits(arena, args))
		ret = burrow_pgtable_range(ctx, file, arena, args);
	burrow_arena_put(arena);
	return ret;
}
