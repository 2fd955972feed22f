// SPDX-License-Identifier: GPL-2.0
/*
 * A block is what an arena owns in 2 MiB of its range (in one slot, where that
 * is larger): one page table's worth, one lock, one dirty bitmap. Blocks come
 * into being when they are first touched, so an untouched arena costs next to
 * nothing, and go when the arena is emptied.
 *
 * The directory has two levels: arena->dir[] points to pages of 512 pointers
 * to blocks. Both appear by cmpxchg and are then immutable until the arena is
 * emptied, so that lookups take no lock.
 *
 * This file also holds what pages of any arena share: inserting them into a
 * mapping, and the address space operation that hears of writes which set no
 * dirty bit in a page table.
 */
#include <linux/bitmap.h>

#include "burrow.h"

#define BURROW_DIR_SHIFT (PAGE_SHIFT - 3)
#define BURROW_DIR_ENTRIES (1UL << BURROW_DIR_SHIFT)

static struct burrow_block **burrow_block_dir(struct burrow_arena *arena,
					      unsigned long nr)
{
	/* Pairs with the cmpxchg() in burrow_block_publish(). */
	return smp_load_acquire(&arena->dir[nr >> BURROW_DIR_SHIFT]);
}

/**
 * burrow_block_find() - the block of a page, if there is one yet
 * @arena:	the arena
 * @page:	page number in it
 *
 * Context: any; the arena must not be emptied meanwhile (a mapping of it, its
 * life lock, or an owned page that is locked or mapped sees to that).
 *
 * Return: the block or NULL.
 */
struct burrow_block *burrow_block_find(struct burrow_arena *arena,
				       unsigned long page)
{
	unsigned long nr = page >> arena->block_shift;
	struct burrow_block **dir = burrow_block_dir(arena, nr);

	if (!dir)
		return NULL;
	/* Pairs with the cmpxchg() in burrow_block_publish(). */
	return smp_load_acquire(&dir[nr & (BURROW_DIR_ENTRIES - 1)]);
}

/* Put *new where *at is if nothing is there; fully ordered, as cmpxchg() is. */
static bool burrow_block_publish(void *at, void *new)
{
	return !cmpxchg((void **)at, NULL, new);
}

static struct burrow_block *burrow_block_new(struct burrow_arena *arena)
{
	size_t dirty = BITS_TO_LONGS(1UL << arena->block_shift) * sizeof(long);
	struct burrow_block *block;
	size_t size;

	if (arena->kind == BURROW_ARENA_STACK)
		size = struct_size(block, stacks,
				   1UL << burrow_arena_slots_shift(arena));
	else
		size = struct_size(block, pages, BURROW_BLOCK_PAGES);
	block = burrow_pool_zalloc(arena->ctx, size + dirty);
	if (!block)
		return NULL;
	mutex_init(&block->lock);
	block->dirty = (void *)block + size;
	block->mask = (1UL << arena->block_shift) - 1;
	return block;
}

/**
 * burrow_block_get() - the block of a page, made if there is none
 * @arena:	the arena
 * @page:	page number in it
 *
 * Context: may sleep; as burrow_block_find().
 *
 * Return: the block, or NULL for want of memory.
 */
struct burrow_block *burrow_block_get(struct burrow_arena *arena,
				      unsigned long page)
{
	unsigned long nr = page >> arena->block_shift;
	struct burrow_block *block = burrow_block_find(arena, page);
	struct burrow_block **dir;

	if (likely(block))
		return block;
	dir = burrow_block_dir(arena, nr);
	if (!dir) {
		dir = burrow_pool_zalloc(arena->ctx, PAGE_SIZE);
		if (!dir)
			return NULL;
		if (!burrow_block_publish(&arena->dir[nr >> BURROW_DIR_SHIFT],
					  dir)) {
			kvfree(dir);
			dir = burrow_block_dir(arena, nr);
		}
	}
	block = burrow_block_new(arena);
	if (!block)
		return NULL;
	if (!burrow_block_publish(&dir[nr & (BURROW_DIR_ENTRIES - 1)], block)) {
		kvfree(block);
		block = burrow_block_find(arena, page);
	}
	return block;
}

/**
 * burrow_block_next() - the first page from one on that a block has
 * @arena:	must not be emptied meanwhile
 * @page:	where to begin
 * @end:	where to end
 *
 * What was never touched is passed over by gigabytes.
 *
 * Return: @page or the first page of a later block, or @end if there is none.
 */
unsigned long burrow_block_next(struct burrow_arena *arena, unsigned long page,
				unsigned long end)
{
	unsigned long nr;

	while (page < end) {
		nr = page >> arena->block_shift;
		if (!burrow_block_dir(arena, nr))
			nr |= BURROW_DIR_ENTRIES - 1;
		else if (burrow_block_find(arena, page))
			return page;
		page = (nr + 1) << arena->block_shift;
	}
	return end;
}

/**
 * burrow_block_any() - was anything in a range touched?
 * @arena:	mapped there
 * @first:	page
 * @pages:	how many
 *
 * Return: whether there is a block.
 */
bool burrow_block_any(struct burrow_arena *arena, unsigned long first,
		      unsigned long pages)
{
	unsigned long nr = first >> arena->block_shift;
	unsigned long last = (first + pages - 1) >> arena->block_shift;
	struct burrow_block **dir;

	while (nr <= last) {
		dir = burrow_block_dir(arena, nr);
		if (!dir)
			nr |= BURROW_DIR_ENTRIES - 1;
		else if (READ_ONCE(dir[nr & (BURROW_DIR_ENTRIES - 1)]))
			return true;
		nr++;
	}
	return false;
}

static void burrow_block_free(struct burrow_arena *arena, unsigned long nr,
			      struct burrow_block *block)
{
	unsigned int shift = burrow_arena_slots_shift(arena);
	struct burrow_context *ctx = arena->ctx;
	unsigned long i;

	mutex_lock(&block->lock);
	if (arena->kind == BURROW_ARENA_STACK) {
		for (i = 0; i < 1UL << shift; i++) {
			burrow_hibernate_forget(arena, block,
						(nr << shift) + i);
			burrow_stack_drop(arena, &block->stacks[i], 0);
			if (block->lazy)
				burrow_lazy_forget(arena, block, i);
		}
	} else {
		for (i = 0; i < BURROW_BLOCK_PAGES; i++) {
			if (!block->pages[i])
				continue;
			burrow_pool_free(ctx, block->pages[i]);
			burrow_count(ctx, heap_pages, -1);
		}
	}
	mutex_unlock(&block->lock);
	kvfree(block->lazy);
	kvfree(block);
}

/**
 * burrow_block_free_all() - free an arena's blocks and all pages in them
 * @arena:	no owner's mapping is left; life is held for writing
 */
void burrow_block_free_all(struct burrow_arena *arena)
{
	unsigned long blocks =
		DIV_ROUND_UP(arena->length, 1UL << arena->block_shift);
	unsigned long i, j;

	for (i = 0; i < DIV_ROUND_UP(blocks, BURROW_DIR_ENTRIES); i++) {
		struct burrow_block **dir = arena->dir[i];

		if (!dir)
			continue;
		for (j = 0; j < BURROW_DIR_ENTRIES; j++) {
			if (!dir[j])
				continue;
			burrow_block_free(arena, i * BURROW_DIR_ENTRIES + j,
					  dir[j]);
			cond_resched();
		}
		arena->dir[i] = NULL;
		kvfree(dir);
	}
}

/**
 * burrow_block_insert() - map owned pages
 * @vma:	a mapping of their arena
 * @first:	page offset of the first; may lie outside of @vma
 * @pages:	in order of offset
 * @n:		how many
 *
 * A page that has a PTE already is left alone: a racing fault was faster. What
 * lies outside of the mapping stays owned and unmapped; the user may have
 * unmapped the middle of a slot.
 *
 * Context: mmap_lock or the VMA's lock held for reading, block lock held.
 *
 * Return: 0, or -ENOMEM for want of a page table.
 */
int burrow_block_insert(struct vm_area_struct *vma, pgoff_t first,
			struct page **pages, unsigned long n)
{
	pgoff_t pgoff = max(first, vma->vm_pgoff);
	pgoff_t end = min(first + n, vma->vm_pgoff + vma_pages(vma));
	unsigned long addr, left;
	int err;

	while (pgoff < end) {
		addr = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
		pages += pgoff - first;
		first = pgoff;
		left = end - pgoff;
		/* One page is a third cheaper this way. */
		if (left == 1)
			err = vm_insert_page(vma, addr, *pages);
		else
			err = vm_insert_pages(vma, addr, pages, &left);
		if (err != -EBUSY)
			return err;
		pgoff = end - left + 1;
	}
	return 0;
}

/*
 * A page became dirty: zapped with a dirty PTE, or written by the kernel
 * through a pin (get_user_pages), which sets no bit in a page table. The next
 * harvest ORs this in. PG_dirty stays clear, so that every further write tells
 * us again.
 *
 * Runs under the page table lock or the page lock. The page is owned for as
 * long (burrow_pool_free() takes the page lock before it lets go of a page that
 * others hold), and with it the block. A trim comes here for each page.
 */
static bool burrow_block_dirty_folio(struct address_space *mapping,
				     struct folio *folio)
{
	struct burrow_block *block = folio_get_private(folio);
	unsigned long nr;

	if (!block) /* a table's page */
		return false;
	nr = folio->index & block->mask;
	if (test_bit(nr, block->dirty))
		return false;
	set_bit(nr, block->dirty);
	return true;
}

const struct address_space_operations burrow_block_aops = {
	.dirty_folio = burrow_block_dirty_folio,
};
