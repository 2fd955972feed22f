// SPDX-License-Identifier: GPL-2.0
/*
 * The stack in a slot: where it ends, how it grows in a fault, how pages leave
 * it; and the table with the goroutine of each slot.
 *
 * A slot's pages are counted from its upper end: depth 0 is the highest page,
 * depths from arena->limit on are the guard. What a stack owns has no hole:
 * depths 0 to pages - 1. Its pages are chained by burrow_page_next(), the
 * lowest first, so a slot costs 16 bytes however large it is.
 *
 * Growth: a fault at depth d wants d + 1 pages, and twice what there was, but
 * no more than arena->batch past d + 1. They come from the pool as long as it
 * has any, then from the system, and are mapped in one go. If memory ends
 * early, what was had is kept, and the fault succeeds if it reached d.
 *
 * A stack that is hibernated (hibernate.c) owns no page. A fault in it first
 * gives it the highest one back.
 */
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "burrow.h"
#include "trace.h"

/* Owned pages put back by one fault after somebody else unmapped them. */
#define BURROW_REINSERT 16

/*
 * A slot's entry of the table the user writes, to be read with READ_ONCE() only;
 * NULL if its page was never touched. The arena must not be emptied meanwhile.
 */
static struct burrow_slot *burrow_stack_entry(struct burrow_arena *arena,
					      unsigned long slot)
{
	unsigned long offset = slot * sizeof(struct burrow_slot);
	struct page *page;

	/* Pairs with smp_store_release() in burrow_stack_table_page(). */
	page = smp_load_acquire(&arena->table[offset >> PAGE_SHIFT]);
	if (!page)
		return NULL;
	return page_address(page) + offset_in_page(offset);
}

/* The goroutine id that events of a slot carry. */
u64 burrow_stack_goroutine(struct burrow_arena *arena, unsigned long slot)
{
	struct burrow_slot *entry = burrow_stack_entry(arena, slot);

	return entry ? READ_ONCE(entry->goroutine) : 0;
}

/* The word that a slot's user sees; it may become another at any time. */
u64 burrow_stack_word(struct burrow_arena *arena, unsigned long slot)
{
	struct burrow_slot *entry = burrow_stack_entry(arena, slot);

	return entry ? READ_ONCE(entry->word) : 0;
}

static struct page *burrow_stack_table_page(struct burrow_arena *arena,
					    unsigned long nr)
{
	struct burrow_context *ctx = arena->ctx;
	struct page *page;
	int err;

	mutex_lock(&arena->table_lock);
	page = arena->table[nr];
	err = page ? 0 : burrow_pool_alloc(ctx, &page, 1);
	if (err < 0) {
		burrow_pool_refused(ctx, err);
	} else if (err) {
		set_page_private(page, 0);
		burrow_page_set_place(page, ctx->inode->i_mapping,
				      arena->window + nr +
					      (BURROW_TABLE_WINDOWS
					       << BURROW_WINDOW_SHIFT));
		burrow_count(ctx, table_pages, 1);
		/* Pairs with smp_load_acquire() in burrow_stack_entry(). */
		smp_store_release(&arena->table[nr], page);
	}
	mutex_unlock(&arena->table_lock);
	return page;
}

vm_fault_t burrow_stack_table_fault(struct burrow_arena *arena,
				    struct vm_fault *vmf)
{
	struct page *page;

	page = burrow_stack_table_page(arena, vmf->pgoff & BURROW_WINDOW_MASK);
	if (!page || burrow_block_insert(vmf->vma, vmf->pgoff, &page, 1))
		return VM_FAULT_SIGBUS;
	return VM_FAULT_NOPAGE;
}

/**
 * burrow_stack_collect() - pages of a stack in order of address
 * @stack:	under its block's lock
 * @depth:	of the lowest page wanted, less than @stack->pages
 * @pages:	filled
 * @n:		how many at most
 *
 * Return: how many: @n, or @depth + 1 if the stack ends before.
 */
unsigned int burrow_stack_collect(const struct burrow_stack *stack,
				  unsigned long depth, struct page **pages,
				  unsigned int n)
{
	struct page *page = stack->lowest;
	unsigned long skip;
	unsigned int i;

	for (skip = stack->pages - 1 - depth; skip; skip--)
		page = burrow_page_next(page);
	n = min_t(unsigned long, n, depth + 1);
	for (i = 0; i < n; i++, page = burrow_page_next(page))
		pages[i] = page;
	return n;
}

/* An owned page has no PTE: a trim met a wake-up, or the user zapped it. */
static vm_fault_t burrow_stack_reinsert(struct vm_fault *vmf,
					struct burrow_stack *stack,
					unsigned long depth)
{
	struct page *pages[BURROW_REINSERT];
	unsigned int n;

	n = burrow_stack_collect(stack, depth, pages, ARRAY_SIZE(pages));
	if (burrow_block_insert(vmf->vma, vmf->pgoff, pages, n))
		return VM_FAULT_SIGBUS;
	return VM_FAULT_NOPAGE;
}

/*
 * Make the @n pages in @pages the stack's next lower ones: the last is the
 * highest, since insertion goes up.
 */
static void burrow_stack_push(struct burrow_block *block,
			      struct burrow_stack *stack, struct page **pages,
			      unsigned int n, pgoff_t top)
{
	pgoff_t index = top - stack->pages;
	unsigned int i;

	for (i = n; i--;) {
		burrow_page_set_index(pages[i], index--);
		set_page_private(pages[i], (unsigned long)block);
		burrow_page_set_next(pages[i], stack->lowest);
		stack->lowest = pages[i];
	}
	stack->pages += n;
}

/* What a fault knows of its slot. */
struct burrow_growth {
	struct burrow_arena *arena;
	struct burrow_block *block;
	struct burrow_stack *stack;
	struct vm_fault *vmf;
	unsigned long depth;
	unsigned long recycled;
};

/* Up to @n pages from the pool, if it has any, or from the system. */
static int burrow_stack_get(struct burrow_growth *g, struct page **pages,
			    unsigned int n)
{
	struct burrow_context *ctx = g->arena->ctx;
	int got = burrow_pool_take(ctx, pages, n);

	if (unlikely(!got) && burrow_lazy_take(ctx, g->block, g->stack, n))
		got = burrow_pool_take(ctx, pages, n);
	g->recycled += got;
	return got ?: burrow_pool_alloc(ctx, pages, n);
}

/* Get, own and map the next batch of up to @n pages. */
static int burrow_stack_extend(struct burrow_growth *g, unsigned long n)
{
	struct page *pages[BURROW_BATCH];
	pgoff_t top;
	int got;

	n = min_t(unsigned long, n, BURROW_BATCH);
	got = burrow_stack_get(g, pages, n);
	if (got < 0)
		return got;
	top = g->vmf->pgoff + g->depth;
	burrow_stack_push(g->block, g->stack, pages, got, top);
	return burrow_block_insert(g->vmf->vma, top - g->stack->pages + 1,
				   pages, got);
}

static void burrow_stack_grown(struct burrow_growth *g, unsigned long slot,
			       unsigned long before)
{
	struct burrow_context *ctx = g->arena->ctx;
	unsigned long now = g->stack->pages;

	if (now == before)
		return;
	g->stack->peak = max_t(u32, g->stack->peak, now);
	burrow_count(ctx, grows, 1);
	burrow_count(ctx, stack_pages, now - before);
	burrow_count(ctx, recycled, g->recycled);
	burrow_count(ctx, grow_sizes[ilog2(roundup_pow_of_two(now))], 1);
	burrow_tell(burrow_stack_grow, g->arena, slot,
		    burrow_stack_goroutine(g->arena, slot), before, now,
		    g->recycled);
}

static vm_fault_t burrow_stack_grow(struct burrow_growth *g, unsigned long slot)
{
	unsigned long need = g->depth + 1, before = g->stack->pages, want;
	int err;

	want = clamp(2 * before, need, need + g->arena->batch);
	want = min(want, g->arena->limit);
	for (;;) {
		err = burrow_stack_extend(g, want - g->stack->pages);
		if (err || g->stack->pages >= want)
			break;
		/* A far jump maps up to a gigabyte: let go of the CPU, and end. */
		cond_resched();
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	burrow_stack_grown(g, slot, before);
	if (g->stack->pages >= need)
		return VM_FAULT_NOPAGE;
	burrow_pool_refused(g->arena->ctx, err);
	return VM_FAULT_SIGBUS;
}

/* A hibernated stack gets its highest page back, and what was saved of it. */
static int burrow_stack_restore(struct burrow_growth *g, unsigned long slot)
{
	struct burrow_context *ctx = g->arena->ctx;
	pgoff_t top = g->vmf->pgoff + g->depth;
	struct page *page;
	int got;

	got = burrow_stack_get(g, &page, 1);
	if (got < 0)
		return got;
	burrow_hibernate_restore(g->arena, g->block, slot, page);
	burrow_stack_push(g->block, g->stack, &page, 1, top);
	burrow_count(ctx, stack_pages, 1);
	burrow_count(ctx, recycled, g->recycled);
	g->recycled = 0;
	return burrow_block_insert(g->vmf->vma, top, &page, 1);
}

/* A fault above the guard; the block is locked. */
static vm_fault_t burrow_stack_touch(struct burrow_growth *g,
				     unsigned long slot)
{
	int err;

	if (g->depth < g->stack->pages)
		return burrow_stack_reinsert(g->vmf, g->stack, g->depth);
	if (current->flags & PF_DUMPCORE)
		return burrow_stack_saved(g->stack) && !g->depth ?
			       burrow_dump_fault(g->arena, g->stack, g->vmf) :
			       VM_FAULT_SIGBUS;
	if (burrow_stack_saved(g->stack)) {
		err = burrow_stack_restore(g, slot);
		if (err) {
			burrow_pool_refused(g->arena->ctx, err);
			return VM_FAULT_SIGBUS;
		}
		if (!g->depth)
			return VM_FAULT_NOPAGE;
	}
	return burrow_stack_grow(g, slot);
}

static vm_fault_t burrow_stack_overflow(struct burrow_arena *arena,
					struct vm_fault *vmf,
					unsigned long slot)
{
	burrow_count(arena->ctx, overflows, 1);
	burrow_tell(burrow_stack_overflow, arena, slot,
		    burrow_stack_goroutine(arena, slot), vmf->real_address);
	return VM_FAULT_SIGSEGV;
}

/**
 * burrow_stack_fault() - a fault in a stack arena
 * @arena:	the arena
 * @vmf:	in a mapping of the owner
 *
 * Indexed by page offset, never by address: pieces of the arena may be mapped
 * anywhere.
 *
 * Context: mmap_lock or the VMA's lock held for reading; sleeps.
 *
 * Return: NOPAGE with the page mapped, SIGSEGV for the guard, SIGBUS where
 * there is no slot or no memory. Never OOM, which the core retries for ever.
 */
vm_fault_t burrow_stack_fault(struct burrow_arena *arena, struct vm_fault *vmf)
{
	unsigned long page = vmf->pgoff & BURROW_WINDOW_MASK;
	unsigned long stride = 1UL << arena->stride_shift;
	unsigned long slot = page >> arena->stride_shift;
	struct burrow_growth g = {
		.arena = arena,
		.vmf = vmf,
		.depth = stride - 1 - (page & (stride - 1)),
	};
	vm_fault_t ret;

	if (slot >= arena->slots)
		return VM_FAULT_SIGBUS;
	/* A core dump reads what is there and must not allocate the rest. */
	if (g.depth >= arena->limit)
		return current->flags & PF_DUMPCORE ?
			       VM_FAULT_SIGBUS :
			       burrow_stack_overflow(arena, vmf, slot);
	g.block = current->flags & PF_DUMPCORE ?
			  burrow_block_find(arena, page) :
			  burrow_block_get(arena, page);
	if (!g.block)
		return VM_FAULT_SIGBUS;

	mutex_lock(&g.block->lock);
	WRITE_ONCE(g.block->tables, true);
	g.stack = &g.block->stacks[burrow_block_slot(arena, slot)];
	ret = burrow_stack_touch(&g, slot);
	mutex_unlock(&g.block->lock);
	return ret;
}

/**
 * burrow_stack_drop() - take the lowest pages of a stack away
 * @arena:	its arena
 * @stack:	under its block's lock; the pages to go are unmapped
 * @keep:	pages to keep, no more than there are
 *
 * A page that somebody else holds (pinned by I/O) ends its life with us here;
 * the others are recycled, in chains of a bounded length.
 */
void burrow_stack_drop(struct burrow_arena *arena, struct burrow_stack *stack,
		       unsigned long keep)
{
	struct burrow_context *ctx = arena->ctx;
	struct page *page = stack->lowest;
	struct page *first = NULL, *last = NULL, *next;
	unsigned long n = 0, left = stack->pages - keep;

	burrow_count(ctx, stack_pages, -(long)left);
	for (; left; left--, page = next) {
		next = burrow_page_next(page);
		if (unlikely(page_ref_count(page) != 1)) {
			burrow_pool_give(ctx, first, last, n);
			burrow_pool_free(ctx, page);
			n = 0;
			continue;
		}
		if (arena->flags & BURROW_ARENA_ZERO)
			clear_highpage(page);
		/* Pages in a row that nobody holds are a chain as they are. */
		if (!n++)
			first = page;
		last = page;
		if (n == BURROW_BATCH) {
			burrow_pool_give(ctx, first, last, n);
			n = 0;
		}
	}
	burrow_pool_give(ctx, first, last, n);
	stack->lowest = page;
	stack->pages = keep;
	if (!keep)
		stack->peak = 0;
}

/* States of up to BURROW_BATCH slots of one arena into @states. */
static void burrow_stack_states(struct burrow_arena *arena, unsigned long first,
				unsigned int n,
				struct burrow_slot_state *states)
{
	struct burrow_block *block;
	struct burrow_stack *stack;
	unsigned int i;

	for (i = 0; i < n; i++) {
		states[i] = (struct burrow_slot_state){};
		block = burrow_block_find(arena,
					  (first + i) << arena->stride_shift);
		if (!block)
			continue;
		mutex_lock(&block->lock);
		stack = &block->stacks[burrow_block_slot(arena, first + i)];
		states[i].bytes = (u64)stack->pages << PAGE_SHIFT;
		states[i].peak = (u64)stack->peak << PAGE_SHIFT;
		mutex_unlock(&block->lock);
	}
}

/**
 * burrow_stack_info() - the ioctl: sizes of many slots
 * @ctx:	the context
 * @args:	see the contract
 *
 * Return: 0 or a negative errno.
 */
long burrow_stack_info(struct burrow_context *ctx,
		       struct burrow_slot_info *args)
{
	struct burrow_slot_state states[BURROW_BATCH / 4];
	struct burrow_arena *arena;
	unsigned int n;
	long ret = 0;

	if (args->done)
		return -EINVAL;
	arena = burrow_arena_get(ctx, args->arena, BURROW_ARENA_STACK);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	if (args->first > arena->slots ||
	    args->count > arena->slots - args->first)
		ret = -EINVAL;
	while (!ret && args->done < args->count &&
	       !fatal_signal_pending(current)) {
		n = min_t(u64, args->count - args->done, ARRAY_SIZE(states));
		down_read(&arena->life);
		burrow_stack_states(arena, args->first + args->done, n, states);
		up_read(&arena->life);
		if (copy_to_user(u64_to_user_ptr(args->states) +
					 args->done * sizeof(*states),
				 states, n * sizeof(*states)))
			ret = -EFAULT;
		else
			args->done += n;
		cond_resched();
	}
	burrow_arena_put(arena);
	return ret;
}
