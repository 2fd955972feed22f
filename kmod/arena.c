// SPDX-License-Identifier: GPL-2.0
/*
 * An arena is a window of its context's address space that the owner maps:
 * this file creates and destroys arenas and keeps the rules of their mappings.
 * What a fault in one does is in stack.c and heap.c.
 *
 * Life of an arena: created (nothing but its description) - mapped, in one
 * piece or several - populated by faults - emptied when the owner's last
 * mapping is gone, whoever still holds the descriptor - destroyed by the ioctl
 * or with the context. Its table lives until neither is mapped.
 *
 * Mappings of another mm come into being in one way only, by fork() after
 * madvise(MADV_DOFORK). They are counted in @maps but not in @owner_maps,
 * start out empty and answer every fault with SIGBUS.
 */
#include <linux/log2.h>
#include <linux/sched/signal.h>

#include "burrow.h"
#include "trace.h"

static bool burrow_vma_is_owner(const struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	return vma->vm_mm == arena->ctx->mm;
}

static bool burrow_vma_is_table(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff >> BURROW_WINDOW_SHIFT >= BURROW_TABLE_WINDOWS;
}

static void burrow_arena_free_table(struct burrow_arena *arena)
{
	struct burrow_context *ctx = arena->ctx;
	unsigned long i;

	for (i = 0; i < arena->table_length; i++) {
		if (!arena->table[i])
			continue;
		burrow_pool_free(ctx, arena->table[i]);
		arena->table[i] = NULL;
		burrow_count(ctx, table_pages, -1);
		cond_resched();
	}
}

/* Its own mappings and those of the table are counted apart. */
static atomic_t *burrow_vma_counter(struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	return burrow_vma_is_table(vma) ? &arena->table_maps :
					  &arena->owner_maps;
}

static void burrow_vma_count(struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	atomic_inc(&arena->maps);
	if (burrow_vma_is_owner(vma)) {
		atomic_inc(burrow_vma_counter(vma));
		atomic_inc(&arena->ctx->owner_maps);
	}
}

/*
 * An owner's mapping that @counter counted is gone; mmap_lock is held, or the mm
 * is dying.
 */
static void burrow_arena_uncount(struct burrow_arena *arena, atomic_t *counter)
{
	struct burrow_context *ctx = arena->ctx;

	if (atomic_dec_and_test(counter)) {
		down_write(&arena->life);
		if (!atomic_read(&arena->owner_maps))
			burrow_block_free_all(arena);
		if (!atomic_read(&arena->owner_maps) &&
		    !atomic_read(&arena->table_maps))
			burrow_arena_free_table(arena);
		up_write(&arena->life);
	}
	if (atomic_dec_and_test(&ctx->owner_maps)) {
		burrow_dump_close(ctx);
		burrow_pool_drain(ctx);
	}
}

/**
 * burrow_arena_hold() - do as if there were one more mapping of an arena
 * @arena:	the owner has one
 *
 * Context: mmap_lock held for writing, so that it still has.
 */
void burrow_arena_hold(struct burrow_arena *arena)
{
	atomic_inc(&arena->maps);
	atomic_inc(&arena->owner_maps);
	atomic_inc(&arena->ctx->owner_maps);
}

/**
 * burrow_arena_unhold() - and no longer
 * @arena:	emptied if that was the last one
 *
 * Context: mmap_lock held.
 */
void burrow_arena_unhold(struct burrow_arena *arena)
{
	burrow_arena_uncount(arena, &arena->owner_maps);
	atomic_dec(&arena->maps);
}

/*
 * A mapping was split, or is being copied by fork(). What belongs to the parent
 * is not for the child: fork() copies page tables after this call, but for a
 * mapping that is to be wiped; older kernels did before it.
 */
static void burrow_vma_open(struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	burrow_vma_count(vma);
	if (burrow_vma_is_owner(vma))
		return;
	vm_flags_set(vma, VM_WIPEONFORK);
	unmap_mapping_range(arena->ctx->inode->i_mapping,
			    (loff_t)vma->vm_pgoff << PAGE_SHIFT,
			    vma->vm_end - vma->vm_start, 1);
}

static void burrow_vma_close(struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	burrow_pgtable_closed(arena->ctx);
	if (burrow_vma_is_owner(vma))
		burrow_arena_uncount(arena, burrow_vma_counter(vma));
	/* Last: from here on burrow_arena_destroy() may free the arena. */
	atomic_dec(&arena->maps);
}

/* Addresses of stacks never change; nothing is gained by moving one. */
static int burrow_vma_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static vm_fault_t burrow_vma_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct burrow_arena *arena = vma->vm_private_data;

	if (!burrow_vma_is_owner(vma) || burrow_fault_on_marker(vmf))
		return VM_FAULT_SIGBUS;
	burrow_count(arena->ctx, faults, 1);
	if (burrow_vma_is_table(vma))
		return burrow_stack_table_fault(arena, vmf);
	if (arena->kind == BURROW_ARENA_STACK)
		return burrow_stack_fault(arena, vmf);
	return burrow_heap_fault(arena, vmf);
}

/*
 * Nothing to map around. That it exists lets the core call ->fault under the
 * VMA's own lock rather than mmap_lock (6.4 and later).
 */
static vm_fault_t burrow_vma_map_pages(struct vm_fault *vmf, pgoff_t first,
				       pgoff_t last)
{
	return 0;
}

/* A mapping with a name is in core dumps, whatever the filter says. */
static const char *burrow_vma_name(struct vm_area_struct *vma)
{
	struct burrow_arena *arena = vma->vm_private_data;

	/* A dump asks for each page of it: spare it a gigabyte of nothing. */
	if (burrow_vma_is_table(vma) || !(arena->flags & BURROW_ARENA_DUMP) ||
	    !burrow_block_any(arena, vma->vm_pgoff & BURROW_WINDOW_MASK,
			      vma_pages(vma)))
		return NULL;
	return arena->kind == BURROW_ARENA_STACK ? "[burrow:stack]" :
						   "[burrow:heap]";
}

static const struct vm_operations_struct burrow_vm_ops = {
	.open = burrow_vma_open,
	.close = burrow_vma_close,
	.mremap = burrow_vma_mremap,
	.fault = burrow_vma_fault,
	.map_pages = burrow_vma_map_pages,
	.name = burrow_vma_name,
};

/* Pieces of an arena are whole blocks, so that a block is one page table. */
static bool burrow_arena_covers(const struct burrow_arena *arena,
				struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff & BURROW_WINDOW_MASK;
	unsigned long pages = vma_pages(vma);
	unsigned long mask = BURROW_BLOCK_PAGES - 1;

	if (burrow_vma_is_table(vma))
		return first == 0 && pages == arena->table_length;
	return !((first | pages | vma->vm_start >> PAGE_SHIFT) & mask) &&
	       first < arena->length && pages <= arena->length - first;
}

/**
 * burrow_arena_mmap() - map an arena, a piece of it, or its table
 * @ctx:	the context
 * @vma:	as ->mmap gets it, mmap_lock held for writing
 *
 * Return: 0, -EINVAL for an offset, length, address or flag that does not fit,
 * -EACCES for an executable mapping.
 */
int burrow_arena_mmap(struct burrow_context *ctx, struct vm_area_struct *vma)
{
	u32 id = (vma->vm_pgoff >> BURROW_WINDOW_SHIFT) &
		 (BURROW_TABLE_WINDOWS - 1);
	struct burrow_arena *arena;
	int err = -EINVAL;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff >> BURROW_WINDOW_SHIFT >= 2 * BURROW_TABLE_WINDOWS)
		return -EINVAL;

	mutex_lock(&ctx->lock);
	arena = burrow_arena_find(ctx, id);
	if (!arena || !burrow_arena_covers(arena, vma))
		goto out;
	/*
	 * MIXEDMAP now: the inserts under the read lock can't set it. SEQ_READ
	 * since pages here have no age: without it each one unmapped goes
	 * through mark_page_accessed(), an eighth of what a trim costs.
	 */
	vm_flags_set(vma,
		     VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTCOPY | VM_SEQ_READ);
	if (burrow_vma_is_table(vma) || !(arena->flags & BURROW_ARENA_DUMP))
		vm_flags_set(vma, VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_private_data = arena;
	vma->vm_ops = &burrow_vm_ops;
	burrow_vma_count(vma);
	if (!burrow_vma_is_table(vma))
		WRITE_ONCE(arena->base,
			   vma->vm_start - ((vma->vm_pgoff & BURROW_WINDOW_MASK)
					    << PAGE_SHIFT));
	burrow_pgtable_mapped(ctx);
	err = 0;
out:
	mutex_unlock(&ctx->lock);
	return err;
}

static bool burrow_vma_has(struct vm_area_struct *vma,
			   const struct burrow_arena *arena, unsigned long page)
{
	return vma && vma->vm_ops == &burrow_vm_ops &&
	       vma->vm_private_data == arena &&
	       arena->window + page - vma->vm_pgoff < vma_pages(vma);
}

/**
 * burrow_arena_vma() - the owner's mapping of a page
 * @arena:	the arena
 * @page:	page number in it
 * @hint:	a mapping found before under the same lock, or NULL
 *
 * Looks where the page is if the arena was mapped in order, as a runtime does.
 *
 * Context: the owner's mmap_lock held for reading.
 *
 * Return: the mapping or NULL.
 */
struct vm_area_struct *burrow_arena_vma(struct burrow_arena *arena,
					unsigned long page,
					struct vm_area_struct *hint)
{
	unsigned long addr = READ_ONCE(arena->base) + (page << PAGE_SHIFT);

	if (hint && burrow_vma_has(hint, arena, page))
		return hint;
	hint = find_vma(arena->ctx->mm, addr);
	return burrow_vma_has(hint, arena, page) ? hint : NULL;
}

/* What burrow_arena_mmap() makes of what the contract says to ask for. */
#define BURROW_VMA_PLAIN                                             \
	(VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_SHARED | \
	 VM_MAYSHARE | VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTCOPY |   \
	 VM_SEQ_READ)

/**
 * burrow_arena_is_plain() - is a mapping as one made anew would be?
 * @arena:	the arena
 * @vma:	a mapping of the owner's, of whatever
 * @addr:	an address
 * @page:	of the arena, that should be there
 *
 * Return: whether it is a mapping of @arena, with @page at @addr, and with no flag but
 * those it began with; those that mean nothing here do not count.
 */
bool burrow_arena_is_plain(struct burrow_arena *arena,
			   struct vm_area_struct *vma, unsigned long addr,
			   unsigned long page)
{
	vm_flags_t plain = BURROW_VMA_PLAIN;

	if (!(arena->flags & BURROW_ARENA_DUMP))
		plain |= VM_DONTDUMP;
	return vma->vm_start <= addr && burrow_vma_has(vma, arena, page) &&
	       vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT) ==
		       arena->window + page &&
	       (vma->vm_flags & ~(VM_SOFTDIRTY | VM_NORESERVE)) == plain;
}

static u64 burrow_arena_default_guard(u64 stride)
{
	return min(max_t(u64, stride / 8, SZ_32K), stride / 2);
}

static int burrow_arena_check_stack(struct burrow_arena_create *args)
{
	if (!is_power_of_2(args->stride) || args->stride < BURROW_STRIDE_MIN ||
	    args->stride > BURROW_STRIDE_MAX || args->bytes || !args->slots ||
	    args->slots > BURROW_SLOTS_MAX ||
	    args->slots > BURROW_ARENA_BYTES_MAX / args->stride)
		return -EINVAL;
	if (!args->guard)
		args->guard = burrow_arena_default_guard(args->stride);
	if (!PAGE_ALIGNED(args->guard) || args->guard >= args->stride)
		return -EINVAL;
	args->bytes = round_up(args->slots * args->stride, BURROW_BLOCK_SIZE);
	args->table_bytes =
		PAGE_ALIGN(args->slots * sizeof(struct burrow_slot));
	if (!args->batch)
		args->batch = BURROW_STACK_BATCH;
	return 0;
}

static int burrow_arena_check_heap(struct burrow_arena_create *args)
{
	if (!args->bytes || !IS_ALIGNED(args->bytes, BURROW_BLOCK_SIZE) ||
	    args->bytes > BURROW_ARENA_BYTES_MAX || args->stride ||
	    args->slots || args->guard || args->flags & BURROW_ARENA_ZERO)
		return -EINVAL;
	if (!args->batch)
		args->batch = BURROW_HEAP_BATCH;
	return 0;
}

static int burrow_arena_check(struct burrow_arena_create *args)
{
	if (args->arena || args->pad || args->offset || args->table_offset ||
	    args->table_bytes || args->batch > BURROW_BATCH_MAX ||
	    (args->batch && !is_power_of_2(args->batch)))
		return -EINVAL;
	switch (args->kind) {
	case BURROW_ARENA_STACK:
		return burrow_arena_check_stack(args);
	case BURROW_ARENA_HEAP:
		return burrow_arena_check_heap(args);
	}
	return -EINVAL;
}

static void burrow_arena_free(struct kref *ref)
{
	struct burrow_arena *arena =
		container_of(ref, struct burrow_arena, ref);

	burrow_notes_close(arena);
	burrow_pool_uncharge(arena->ctx, arena->records);
	kvfree(arena->table);
	kvfree(arena->dir);
	kfree(arena);
}

/*
 * Only what grows with the reservation is allocated and charged: a directory
 * of 8 bytes a GiB, and a pointer for each page of the table.
 */
static int burrow_arena_alloc_records(struct burrow_arena *arena)
{
	unsigned long blocks, dir, pages;

	blocks = DIV_ROUND_UP(arena->length, 1UL << arena->block_shift);
	dir = DIV_ROUND_UP(blocks, PTRS_PER_PTE);
	pages = DIV_ROUND_UP((dir + arena->table_length) * sizeof(void *),
			     PAGE_SIZE);
	if (!burrow_pool_charge_records(arena->ctx, pages))
		return -ENOMEM;
	arena->records = pages;
	arena->dir = kvcalloc(dir, sizeof(*arena->dir), GFP_KERNEL_ACCOUNT);
	arena->table = kvcalloc(max(arena->table_length, 1UL),
				sizeof(*arena->table), GFP_KERNEL_ACCOUNT);
	return arena->dir && arena->table ? 0 : -ENOMEM;
}

static struct burrow_arena *
burrow_arena_new(struct burrow_context *ctx,
		 const struct burrow_arena_create *args)
{
	struct burrow_arena *arena;

	arena = kzalloc(sizeof(*arena), GFP_KERNEL_ACCOUNT);
	if (!arena)
		return NULL;
	kref_init(&arena->ref);
	arena->ctx = ctx;
	arena->kind = args->kind;
	arena->flags = args->flags;
	arena->batch = args->batch;
	arena->length = args->bytes >> PAGE_SHIFT;
	arena->block_shift = BURROW_BLOCK_SHIFT;
	if (args->kind == BURROW_ARENA_STACK) {
		arena->stride_shift = ilog2(args->stride) - PAGE_SHIFT;
		arena->limit = (args->stride - args->guard) >> PAGE_SHIFT;
		arena->slots = args->slots;
		arena->block_shift =
			max_t(u32, arena->stride_shift, BURROW_BLOCK_SHIFT);
		arena->table_length = args->table_bytes >> PAGE_SHIFT;
	}
	init_rwsem(&arena->life);
	mutex_init(&arena->table_lock);
	if (burrow_arena_alloc_records(arena)) {
		burrow_arena_put(arena);
		return NULL;
	}
	return arena;
}

/* Give the arena a number and its window; the context's lock is held. */
static int burrow_arena_enter(struct burrow_context *ctx,
			      struct burrow_arena *arena)
{
	u32 id = 1;

	while (id <= BURROW_ARENAS_MAX && ctx->arenas[id])
		id++;
	if (id > BURROW_ARENAS_MAX)
		return -EBUSY;
	arena->id = id;
	arena->window = (pgoff_t)id << BURROW_WINDOW_SHIFT;
	WRITE_ONCE(ctx->arenas[id], arena);
	return 0;
}

/**
 * burrow_arena_create() - the ioctl: reserve an arena
 * @ctx:	the context
 * @args:	checked here; the out fields are filled on success
 *
 * Return: 0, -EINVAL, -ENOMEM, or -EBUSY past %BURROW_ARENAS_MAX.
 */
int burrow_arena_create(struct burrow_context *ctx,
			struct burrow_arena_create *args)
{
	/* The argument of a call that fails stays as it was. */
	struct burrow_arena_create made = *args;
	struct burrow_arena *arena;
	int err;

	err = burrow_arena_check(&made);
	if (err)
		return err;
	arena = burrow_arena_new(ctx, &made);
	if (!arena)
		return -ENOMEM;

	mutex_lock(&ctx->lock);
	err = burrow_arena_enter(ctx, arena);
	if (!err) {
		made.arena = arena->id;
		made.offset = burrow_arena_offset(arena, 0);
		if (arena->table_length)
			made.table_offset =
				made.offset +
				(BURROW_TABLE_WINDOWS
				 << (BURROW_WINDOW_SHIFT + PAGE_SHIFT));
		*args = made;
		/* Under the lock: another thread may guess the number. */
		burrow_tell(burrow_arena_create, arena, args->stride);
	}
	mutex_unlock(&ctx->lock);
	if (err)
		burrow_arena_put(arena);
	return err;
}

static void burrow_arena_end(struct burrow_arena *arena)
{
	burrow_tell(burrow_arena_destroy, arena,
		    arena->stride_shift ? PAGE_SIZE << arena->stride_shift : 0);
	burrow_arena_put(arena);
}

/**
 * burrow_arena_destroy() - the ioctl: give an arena back
 * @ctx:	the context
 * @id:		the arena's number
 *
 * Return: 0, -ENOENT, or -EBUSY while it is mapped.
 */
int burrow_arena_destroy(struct burrow_context *ctx, u32 id)
{
	struct burrow_arena *arena;
	int err = 0;

	mutex_lock(&ctx->lock);
	arena = burrow_arena_find(ctx, id);
	if (!arena)
		err = -ENOENT;
	else if (atomic_read(&arena->maps))
		err = -EBUSY;
	else
		WRITE_ONCE(ctx->arenas[id], NULL);
	mutex_unlock(&ctx->lock);
	if (!err)
		burrow_arena_end(arena);
	return err;
}

/**
 * burrow_arena_get() - look an arena up for a call
 * @ctx:	the context
 * @id:		its number
 * @kind:	what it must be, 0 for either
 *
 * Return: the arena with a reference, or an ERR_PTR: -ENOENT, -EINVAL for one
 * of the other kind.
 */
struct burrow_arena *burrow_arena_get(struct burrow_context *ctx, u32 id,
				      u32 kind)
{
	struct burrow_arena *arena;

	mutex_lock(&ctx->lock);
	arena = burrow_arena_find(ctx, id);
	if (!arena)
		arena = ERR_PTR(-ENOENT);
	else if (kind && arena->kind != kind)
		arena = ERR_PTR(-EINVAL);
	else
		kref_get(&arena->ref);
	mutex_unlock(&ctx->lock);
	return arena;
}

void burrow_arena_put(struct burrow_arena *arena)
{
	kref_put(&arena->ref, burrow_arena_free);
}

/* The context goes: no mapping, no call and no descriptor is left. */
void burrow_arena_release_all(struct burrow_context *ctx)
{
	u32 id;

	for (id = 1; id <= BURROW_ARENAS_MAX; id++) {
		if (ctx->arenas[id])
			burrow_arena_end(ctx->arenas[id]);
		ctx->arenas[id] = NULL;
	}
}
