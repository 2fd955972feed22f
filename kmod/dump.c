// SPDX-License-Identifier: GPL-2.0
/*
 * Core dumps: hibernated stacks get into them, restoring and allocating nothing.
 * A context that hibernates stacks of an arena with BURROW_ARENA_DUMP has one
 * page for that, made with the first of them. The dumper, which asks for one page
 * after another and lets go of each, finds it with what one stack holds, then in
 * the place of the next.
 *
 * No lock: there is one dumper, and all others who run in its mm are dead. Who
 * looks at that mm from outside meanwhile may see the page where it is; what it
 * writes there is lost, as all that is written to a process that is being dumped
 * may be.
 */
#include <linux/highmem.h>

#include "burrow.h"

/**
 * burrow_dump_prepare() - a slot of an arena is about to be hibernated
 * @arena:	whose slot
 *
 * Without the page the stack will not be in a dump; that is no reason to refuse.
 *
 * Context: may sleep, no lock is held.
 */
void burrow_dump_prepare(struct burrow_arena *arena)
{
	struct burrow_context *ctx = arena->ctx;
	struct page *page;

	if (!(arena->flags & BURROW_ARENA_DUMP) || READ_ONCE(ctx->dump_page) ||
	    burrow_pool_alloc(ctx, &page, 1) < 1)
		return;
	/* Of no block: that it was written is nobody's business. */
	set_page_private(page, 0);
	if (cmpxchg(&ctx->dump_page, NULL, page))
		burrow_pool_free(ctx, page);
}

/**
 * burrow_dump_fault() - the dumper asks for the page of a hibernated stack
 * @arena:	its arena
 * @stack:	its block is locked
 * @vmf:	at the slot's highest page
 *
 * Return: NOPAGE with the page mapped, or SIGBUS: the core has a hole there.
 */
vm_fault_t burrow_dump_fault(struct burrow_arena *arena,
			     const struct burrow_stack *stack,
			     struct vm_fault *vmf)
{
	unsigned int bytes = burrow_stack_saved(stack);
	struct burrow_context *ctx = arena->ctx;
	struct address_space *mapping = ctx->inode->i_mapping;
	struct page *page = READ_ONCE(ctx->dump_page);

	if (!page)
		return VM_FAULT_SIGBUS;
	if (ctx->dumped)
		unmap_mapping_range(mapping, (loff_t)ctx->dumped << PAGE_SHIFT,
				    PAGE_SIZE, 1);
	/* Somebody from outside still reads the last one. */
	if (page_ref_count(page) != 1)
		return VM_FAULT_SIGBUS;
	memzero_page(page, 0, PAGE_SIZE - bytes);
	memcpy_to_page(page, PAGE_SIZE - bytes, stack->saved, bytes);
	burrow_page_set_place(page, mapping, vmf->pgoff);
	ctx->dumped = vmf->pgoff;
	if (burrow_block_insert(vmf->vma, vmf->pgoff, &page, 1))
		return VM_FAULT_SIGBUS;
	return VM_FAULT_NOPAGE;
}

/* The owner's last mapping is gone. */
void burrow_dump_close(struct burrow_context *ctx)
{
	struct page *page = xchg(&ctx->dump_page, NULL);

	if (page)
		burrow_pool_free(ctx, page);
}
