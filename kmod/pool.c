// SPDX-License-Identifier: GPL-2.0
/*
 * Where pages come from and go to: the pool of each context, the limits, the
 * memory cgroup.
 *
 * The pool keeps pages of trimmed and ended stacks. They go, un-zeroed, only
 * to stacks of the same context, so nothing leaks that its owner has not
 * written; all other pages are zeroed. Pooled pages stay charged. Rules for
 * who may enter: nobody but the owner holds the page (page_count() is 1 after
 * it was unmapped), for a page pinned by I/O could still be written.
 *
 * Limits count pages of the context and of all contexts of the user that
 * opened it, whether in stacks, heap, tables or pool. A page that can't be had
 * is an error of one fault, not the OOM killer's business: hence
 * __GFP_RETRY_MAYFAIL. (Page tables are the core's, and its gfp mask.)
 */
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>

#include "burrow.h"
#include "trace.h"

#define BURROW_GFP (GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN)

/* The largest piece asked of the page allocator, then split. */
#define BURROW_ORDER 4

unsigned long burrow_context_limit;
module_param_named(context_limit, burrow_context_limit, ulong, 0644);
MODULE_PARM_DESC(context_limit,
		 "bytes of pages one context may hold (default: 3/4 of memory)");

unsigned long burrow_user_limit;
module_param_named(user_limit, burrow_user_limit, ulong, 0644);
MODULE_PARM_DESC(
	user_limit,
	"bytes of pages all contexts of a user may hold (default: 7/8 of memory)");

unsigned long burrow_pool_limit;
module_param_named(pool_limit, burrow_pool_limit, ulong, 0644);
MODULE_PARM_DESC(
	pool_limit,
	"bytes of recycled pages one context may keep (default: 1/16 of memory)");

/* Called once, before the device exists. */
void burrow_pool_init_limits(void)
{
	unsigned long memory = totalram_pages() << PAGE_SHIFT;

	if (!burrow_context_limit)
		burrow_context_limit = memory / 4 * 3;
	if (!burrow_user_limit)
		burrow_user_limit = memory / 8 * 7;
	if (!burrow_pool_limit)
		burrow_pool_limit = memory / 16;
}

void burrow_pool_uncharge(struct burrow_context *ctx, long n)
{
	atomic_long_sub(n, &ctx->pages);
	atomic_long_sub(n, &ctx->user->pages);
}

/**
 * burrow_pool_free() - end the ownership of a page, back to the system
 * @ctx:	who was charged
 * @page:	unmapped; others may still hold references
 *
 * The page must not point to this context for longer than the context lives,
 * nor lose its mapping under somebody who marks it dirty: those hold the page
 * lock (set_page_dirty_lock()).
 */
void burrow_pool_free(struct burrow_context *ctx, struct page *page)
{
	if (page_count(page) == 1) {
		burrow_page_set_place(page, NULL, 0);
	} else {
		lock_page(page);
		burrow_page_set_place(page, NULL, 0);
		unlock_page(page);
	}
	put_page(page);
	burrow_pool_uncharge(ctx, 1);
}

/**
 * burrow_pool_take() - recycled pages
 * @ctx:	whose pool
 * @pages:	filled from the front
 * @n:		how many at most
 *
 * Return: how many there were.
 */
unsigned int burrow_pool_take(struct burrow_context *ctx, struct page **pages,
			      unsigned int n)
{
	struct burrow_pool *pool = &ctx->pool;
	struct page *page;
	unsigned int i;

	if (!READ_ONCE(pool->count))
		return 0;
	spin_lock(&pool->lock);
	page = pool->first;
	for (i = 0; i < n && page; i++) {
		pages[i] = page;
		page = burrow_page_next(page);
	}
	pool->first = page;
	WRITE_ONCE(pool->count, pool->count - i);
	spin_unlock(&pool->lock);
	return i;
}

/* The same for pages that nobody else holds, as a rule, at once. */
static void burrow_pool_free_some(struct burrow_context *ctx,
				  struct page **pages, unsigned int n)
{
	unsigned int i, held = 0;

	for (i = 0; i < n; i++) {
		if (unlikely(page_count(pages[i]) != 1)) {
			burrow_pool_free(ctx, pages[i]);
			held++;
			continue;
		}
		burrow_page_set_place(pages[i], NULL, 0);
		pages[i - held] = pages[i];
	}
	release_pages(pages, n - held);
	burrow_pool_uncharge(ctx, n - held);
}

/**
 * burrow_pool_shrink() - give pages to the system
 * @ctx:	whose pool
 * @most:	how many at most
 *
 * Context: no lock but the pool's is taken.
 *
 * Return: how many there were.
 */
unsigned long burrow_pool_shrink(struct burrow_context *ctx, unsigned long most)
{
	struct page *pages[BURROW_BATCH];
	unsigned long done = 0;
	unsigned int n;

	while (done < most) {
		n = burrow_pool_take(ctx, pages,
				     min_t(unsigned long, most - done,
					   BURROW_BATCH));
		if (!n)
			break;
		burrow_pool_free_some(ctx, pages, n);
		done += n;
		cond_resched();
	}
	return done;
}

/* Charge @n pages or, past a limit, none. */
static bool burrow_pool_try_charge(struct burrow_context *ctx, long n)
{
	long mine = atomic_long_add_return(n, &ctx->pages);
	long users = atomic_long_add_return(n, &ctx->user->pages);

	if (likely(mine <= READ_ONCE(burrow_context_limit) >> PAGE_SHIFT &&
		   users <= READ_ONCE(burrow_user_limit) >> PAGE_SHIFT))
		return true;
	burrow_pool_uncharge(ctx, n);
	return false;
}

/**
 * burrow_pool_refused() - a call or fault fails for want of a page
 * @ctx:	whose
 * @err:	what burrow_pool_alloc() said: -EDQUOT for a limit, -ENOMEM
 *
 * Counted and told where it is decided, for what a fault wants beyond what it
 * needs may be refused without harm.
 */
void burrow_pool_refused(struct burrow_context *ctx, int err)
{
	u64 mine = (u64)atomic_long_read(&ctx->pages) << PAGE_SHIFT;
	u64 users = (u64)atomic_long_read(&ctx->user->pages) << PAGE_SHIFT;
	u64 limit = READ_ONCE(burrow_context_limit);

	if (err == -ENOMEM) {
		burrow_count(ctx, nomem, 1);
		return;
	}
	if (err != -EDQUOT)
		return;
	burrow_count(ctx, limits, 1);
	if (mine + PAGE_SIZE > limit)
		burrow_tell(burrow_limit, ctx, "context", mine, limit);
	else
		burrow_tell(burrow_limit, ctx, "user", users,
			    READ_ONCE(burrow_user_limit));
}

/* Charge @n pages, or one if a limit is too near for that; 0 past it. */
static unsigned int burrow_pool_charge(struct burrow_context *ctx,
				       unsigned int n)
{
	if (likely(burrow_pool_try_charge(ctx, n)))
		return n;
	return n > 1 && burrow_pool_try_charge(ctx, 1);
}

/* Charge the module's own records of an arena, @n pages of them. */
bool burrow_pool_charge_records(struct burrow_context *ctx, long n)
{
	if (burrow_pool_try_charge(ctx, n))
		return true;
	burrow_pool_refused(ctx, -EDQUOT);
	return false;
}

/*
 * Whoever faults a page in (a debugger, a kernel thread that borrowed the mm),
 * the owner's cgroup pays. Returns what burrow_pool_unbill() needs to put back.
 */
static struct mem_cgroup *burrow_pool_bill(struct burrow_context *ctx,
					   struct mem_cgroup **owner)
{
	*owner = NULL;
	if (likely(current->mm == ctx->mm && !(current->flags & PF_KTHREAD)))
		return NULL;
	*owner = get_mem_cgroup_from_mm(ctx->mm);
	return set_active_memcg(*owner);
}

static void burrow_pool_unbill(struct mem_cgroup *before,
			       struct mem_cgroup *owner)
{
	if (likely(!owner))
		return;
	set_active_memcg(before);
	mem_cgroup_put(owner);
}

/* One piece of up to @n pages; returns how many it was. */
static unsigned int burrow_pool_alloc_piece(struct page **pages, unsigned int n)
{
	unsigned int order = min_t(unsigned int, ilog2(n), BURROW_ORDER);
	struct page *page = NULL;
	unsigned int i;

	if (order)
		page = alloc_pages(BURROW_GFP | __GFP_NORETRY, order);
	if (!page) {
		order = 0;
		page = alloc_page(BURROW_GFP | __GFP_RETRY_MAYFAIL);
	}
	if (!page)
		return 0;
	if (order)
		split_page(page, order);
	for (i = 0; i < 1U << order; i++)
		pages[i] = page + i;
	return 1U << order;
}

/* One try at up to @n pages: how many, -EDQUOT for a limit, -ENOMEM. */
static int burrow_pool_try_alloc(struct burrow_context *ctx,
				 struct page **pages, unsigned int n)
{
	struct mem_cgroup *before, *owner;
	unsigned int got = 0, piece, i;

	n = burrow_pool_charge(ctx, n);
	if (!n)
		return -EDQUOT;
	before = burrow_pool_bill(ctx, &owner);
	do {
		piece = burrow_pool_alloc_piece(pages + got, n - got);
		got += piece;
	} while (piece && got < n);
	burrow_pool_unbill(before, owner);

	for (i = 0; i < got; i++)
		burrow_page_set_place(pages[i], ctx->inode->i_mapping, 0);
	burrow_count(ctx, fresh, got);
	if (unlikely(got < n))
		burrow_pool_uncharge(ctx, n - got);
	return got ?: -ENOMEM;
}

/* A page was refused: give up what nobody uses, @n pages at least. */
static bool burrow_pool_make_room(struct burrow_context *ctx, unsigned int n)
{
	unsigned long freed = burrow_pool_shrink(ctx, ULONG_MAX);

	if (freed < n) {
		freed += burrow_lazy_take(ctx, NULL, NULL, n - freed);
		burrow_pool_shrink(ctx, ULONG_MAX);
	}
	return freed;
}

/**
 * burrow_pool_alloc() - zeroed pages from the system
 * @ctx:	who is charged
 * @pages:	filled from the front
 * @n:		how many
 *
 * What the pool keeps must not be what stands in the way (stacks have emptied
 * it before they come here, but heap and tables do not take from it), nor what
 * stacks were trimmed of lazily.
 *
 * Context: may sleep.
 *
 * Return: how many were had, which may be fewer than @n; for none -EDQUOT if a
 * limit refused, else -ENOMEM.
 */
int burrow_pool_alloc(struct burrow_context *ctx, struct page **pages,
		      unsigned int n)
{
	int got = burrow_pool_try_alloc(ctx, pages, n);

	if (likely(got > 0))
		return got;
	if (burrow_pool_make_room(ctx, n))
		got = burrow_pool_try_alloc(ctx, pages, n);
	return got;
}

static struct page *burrow_pool_try_row(struct burrow_context *ctx,
					unsigned int order)
{
	struct mem_cgroup *before, *owner;
	struct page *page;

	if (!burrow_pool_try_charge(ctx, 1L << order))
		return NULL;
	before = burrow_pool_bill(ctx, &owner);
	page = alloc_pages(BURROW_GFP | __GFP_COMP | __GFP_RETRY_MAYFAIL,
			   order);
	burrow_pool_unbill(before, owner);
	if (unlikely(!page))
		burrow_pool_uncharge(ctx, 1L << order);
	return page;
}

/**
 * burrow_pool_alloc_row() - zeroed pages in a row, a folio, for the store
 * @ctx:	who is charged
 * @order:	log2 of how many
 *
 * Context: may sleep.
 *
 * Return: the first of them, or NULL for want of memory or past a limit. That is
 * not counted: nobody needs them.
 */
struct page *burrow_pool_alloc_row(struct burrow_context *ctx,
				   unsigned int order)
{
	struct page *page = burrow_pool_try_row(ctx, order);

	if (unlikely(!page) && burrow_pool_make_room(ctx, 1U << order))
		page = burrow_pool_try_row(ctx, order);
	return page;
}

void burrow_pool_free_row(struct burrow_context *ctx, struct page *page,
			  unsigned int order)
{
	__free_pages(page, order);
	burrow_pool_uncharge(ctx, 1L << order);
}

/**
 * burrow_pool_zalloc() - zeroed memory for the module's own records
 * @ctx:	whose cgroup pays
 * @size:	bytes
 *
 * Return: memory for kvfree(), or NULL.
 */
void *burrow_pool_zalloc(struct burrow_context *ctx, size_t size)
{
	struct mem_cgroup *before, *owner;
	void *memory;

	before = burrow_pool_bill(ctx, &owner);
	memory = kvzalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
					__GFP_RETRY_MAYFAIL);
	burrow_pool_unbill(before, owner);
	if (!memory)
		burrow_count(ctx, nomem, 1);
	return memory;
}

/**
 * burrow_pool_give() - recycle a chain of pages
 * @ctx:	whose pool; past its bound the pages go to the system
 * @first:	chained by burrow_page_next(), nobody else holds them
 * @last:	the last of the chain
 * @n:		its length; 0: nothing happens
 */
void burrow_pool_give(struct burrow_context *ctx, struct page *first,
		      struct page *last, unsigned long n)
{
	unsigned long bound = READ_ONCE(burrow_pool_limit) >> PAGE_SHIFT;
	struct burrow_pool *pool = &ctx->pool;
	struct page *next;

	if (!n)
		return;
	/* Whole chains in or out: by one the bound may be exceeded. */
	if (READ_ONCE(pool->count) < bound) {
		spin_lock(&pool->lock);
		burrow_page_set_next(last, pool->first);
		pool->first = first;
		WRITE_ONCE(pool->count, pool->count + n);
		spin_unlock(&pool->lock);
		return;
	}
	for (; n; n--, first = next) {
		next = burrow_page_next(first);
		burrow_pool_free(ctx, first);
	}
}

/* Give the whole pool to the system. */
void burrow_pool_drain(struct burrow_context *ctx)
{
	burrow_pool_shrink(ctx, ULONG_MAX);
}
