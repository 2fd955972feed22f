// SPDX-License-Identifier: GPL-2.0
/*
 * The store of a context: what hibernated stacks held, packed. hibernate.c puts
 * it there and takes it out; where a stack's bytes lie is said in its slot.
 *
 * Bytes lie in objects of a class, the next multiple of 32 bytes. Objects of one
 * class fill a group: a page for small classes and four in a row for larger
 * ones, so that little is left over at its end. Where four are not to be had,
 * at a limit or in memory in pieces, one page will do for classes of which two
 * objects fit: that is when it matters most that others can be given back.
 *
 * A group is a folio and begins with its own record, so that an object's is
 * found. Groups with room are on a list of their class; one that is full is on
 * none, and one that is empty goes back to the system at once.
 *
 * Groups are zeroed when they come, are charged like any page of the context,
 * and are never mapped.
 */
#include <linux/bitmap.h>
#include <linux/log2.h>

#include "burrow.h"

/* Objects up to this size come from groups of one page. */
#define BURROW_STORE_SMALL 256

/* Objects of a group at most: those of the smallest class in 4 KiB. */
#define BURROW_STORE_ROOM 128

/**
 * struct burrow_group - the head of the pages that it lies in
 * @node:	among the groups of its class that have room, or empty
 * @free:	a bit for each object that nobody has
 * @room:	objects that fit; immutable
 * @used:	objects that somebody has
 *
 * Under the lock of the store.
 */
struct burrow_group {
	struct list_head node;
	DECLARE_BITMAP(free, BURROW_STORE_ROOM);
	u32 room;
	u32 used;
};

static unsigned int burrow_store_class(unsigned int bytes)
{
	return (bytes - 1) / BURROW_STORE_GRAIN;
}

static unsigned int burrow_store_object(unsigned int nr)
{
	return (nr + 1) * BURROW_STORE_GRAIN;
}

static unsigned int burrow_store_order(unsigned int nr)
{
	return burrow_store_object(nr) <= BURROW_STORE_SMALL ?
		       0 :
		       get_order(SZ_16K);
}

/* How many objects a group of that many pages has. */
static unsigned int burrow_store_room(unsigned int nr, unsigned int order)
{
	unsigned int room;

	room = ((PAGE_SIZE << order) - sizeof(struct burrow_group)) /
	       burrow_store_object(nr);
	return min_t(unsigned int, room, BURROW_STORE_ROOM);
}

/* A group with nothing in it, on no list yet, or NULL. */
static struct burrow_group *burrow_store_new(struct burrow_context *ctx,
					     unsigned int nr)
{
	unsigned int order = burrow_store_order(nr);
	struct page *page = burrow_pool_alloc_row(ctx, order);
	struct burrow_group *group;

	if (!page && order && burrow_store_room(nr, 0) >= 2) {
		order = 0;
		page = burrow_pool_alloc_row(ctx, order);
	}
	if (!page)
		return NULL;
	group = page_address(page);
	group->room = burrow_store_room(nr, order);
	bitmap_set(group->free, 0, group->room);
	burrow_count(ctx, store_pages, 1L << order);
	return group;
}

/* An object of a group that has room, or NULL; the lock is held. */
static void *burrow_store_take(struct burrow_store *store, unsigned int nr)
{
	struct burrow_group *group;
	unsigned long i;

	lockdep_assert_held(&store->lock);
	group = list_first_entry_or_null(&store->groups[nr],
					 struct burrow_group, node);
	if (!group)
		return NULL;
	i = find_first_bit(group->free, group->room);
	__clear_bit(i, group->free);
	if (++group->used == group->room)
		list_del_init(&group->node);
	return (void *)(group + 1) + i * burrow_store_object(nr);
}

/**
 * burrow_store_alloc() - room for what a stack holds
 * @ctx:	whose store
 * @bytes:	from 1 to %BURROW_STORE_MAX
 *
 * Context: may sleep.
 *
 * Return: memory aligned to 8 bytes, its content anything that was in the store,
 * or NULL for want of memory or past a limit.
 */
void *burrow_store_alloc(struct burrow_context *ctx, unsigned int bytes)
{
	unsigned int nr = burrow_store_class(bytes);
	struct burrow_store *store = &ctx->store;
	struct burrow_group *group;
	void *saved;

	spin_lock(&store->lock);
	saved = burrow_store_take(store, nr);
	spin_unlock(&store->lock);
	if (saved)
		return saved;
	group = burrow_store_new(ctx, nr);
	if (!group)
		return NULL;
	spin_lock(&store->lock);
	list_add(&group->node, &store->groups[nr]);
	saved = burrow_store_take(store, nr);
	spin_unlock(&store->lock);
	return saved;
}

/**
 * burrow_store_free() - give room back
 * @ctx:	whose store
 * @saved:	from burrow_store_alloc()
 * @bytes:	as they were said there
 */
void burrow_store_free(struct burrow_context *ctx, void *saved,
		       unsigned int bytes)
{
	unsigned int nr = burrow_store_class(bytes);
	struct burrow_store *store = &ctx->store;
	struct folio *folio = virt_to_folio(saved);
	struct burrow_group *group = folio_address(folio);
	unsigned int order = folio_order(folio);
	unsigned int at;
	bool empty;

	at = saved - (void *)(group + 1);
	spin_lock(&store->lock);
	__set_bit(at / burrow_store_object(nr), group->free);
	if (group->used-- == group->room)
		list_add(&group->node, &store->groups[nr]);
	empty = !group->used;
	if (empty)
		list_del(&group->node);
	spin_unlock(&store->lock);
	if (!empty)
		return;
	burrow_pool_free_row(ctx, &folio->page, order);
	burrow_count(ctx, store_pages, -(1L << order));
}

void burrow_store_open(struct burrow_context *ctx)
{
	unsigned int nr;

	spin_lock_init(&ctx->store.lock);
	for (nr = 0; nr < BURROW_STORE_CLASSES; nr++)
		INIT_LIST_HEAD(&ctx->store.groups[nr]);
}
