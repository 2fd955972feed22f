// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure: each context has a shrinker, which gives the context's pool
 * to the system, and what stacks were trimmed of lazily.
 *
 * It is called in reclaim, which may run under any lock, ours among them. Pages
 * in the pool are freed under the pool's lock alone. Taking them from a stack
 * waits for no lock of ours (lazy.c) and, in the core, for what reclaim of any
 * mapped file's page takes: i_mmap_rwsem and page table locks, and the page lock
 * of a page that is pinned. That is for reclaim that may enter file systems. To
 * leave it to a work item would be too late: a memory cgroup kills within a
 * millisecond of finding nothing.
 *
 * Pages are charged to the memory cgroup of the context's owner, and reclaim in
 * that cgroup must find its way here. The core calls a shrinker for a cgroup if
 * its list_lru has objects of the cgroup. Our pages are on no such list. Instead
 * each context has a token there, an object of a slab that is charged to its
 * owner; which also moves on to the parent when the cgroup is removed, as the
 * charges of the pages do.
 */
#include "burrow.h"

static struct kmem_cache *burrow_tokens;

static struct burrow_context *burrow_shrink_context(struct shrinker *s)
{
	return container_of(burrow_shrinker_of(s), struct burrow_context,
			    shrinker);
}

static unsigned long burrow_shrink_count(struct shrinker *s,
					 struct shrink_control *sc)
{
	struct burrow_context *ctx = burrow_shrink_context(s);

	/* Pairs with smp_store_release() in burrow_shrink_open(). */
	if (!smp_load_acquire(&ctx->shrinker.token) ||
	    !list_lru_shrink_count(&ctx->shrinker.lru, sc))
		return SHRINK_EMPTY;
	/* If 0 then not for ever: the token stays, so this is no SHRINK_EMPTY. */
	return READ_ONCE(ctx->pool.count) + READ_ONCE(ctx->lazies.pages);
}

static unsigned long burrow_shrink_scan(struct shrinker *s,
					struct shrink_control *sc)
{
	struct burrow_context *ctx = burrow_shrink_context(s);
	unsigned long done = burrow_pool_shrink(ctx, sc->nr_to_scan);
	unsigned long left = sc->nr_to_scan - done;

	if (left && sc->gfp_mask & __GFP_FS) {
		left = burrow_lazy_take(ctx, NULL, NULL, left);
		/* They went into the pool first. */
		burrow_pool_shrink(ctx, left);
		done += left;
	}
	return done ?: SHRINK_STOP;
}

int burrow_shrink_open(struct burrow_context *ctx)
{
	struct burrow_shrinker *shrinker = &ctx->shrinker;
	struct list_head *token;
	int err;

	err = burrow_shrinker_register(shrinker, burrow_shrink_count,
				       burrow_shrink_scan, ctx->pid);
	if (err)
		return err;
	token = kmem_cache_alloc_lru(burrow_tokens, &shrinker->lru,
				     GFP_KERNEL_ACCOUNT);
	if (!token) {
		burrow_shrinker_unregister(shrinker);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(token);
	list_lru_add_obj(&shrinker->lru, token);
	/* Pairs with smp_load_acquire() in burrow_shrink_count(). */
	smp_store_release(&shrinker->token, token);
	return 0;
}

void burrow_shrink_close(struct burrow_context *ctx)
{
	list_lru_del_obj(&ctx->shrinker.lru, ctx->shrinker.token);
	kmem_cache_free(burrow_tokens, ctx->shrinker.token);
	burrow_shrinker_unregister(&ctx->shrinker);
}

int burrow_shrink_init(void)
{
	burrow_tokens = kmem_cache_create("burrow_token",
					  sizeof(struct list_head), 0,
					  SLAB_ACCOUNT, NULL);
	return burrow_tokens ? 0 : -ENOMEM;
}

void burrow_shrink_exit(void)
{
	kmem_cache_destroy(burrow_tokens);
}
