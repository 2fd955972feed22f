// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Contexts.
 *
 * What can end (struct ending) forms trees under the background: each knows its
 * children. A tree has one lock, its root's. Ending one takes it and all below
 * it out of the tree under that lock, with their errors set; then, without the
 * lock, their timeouts are taken back and their channels closed. So each is
 * ended by one goroutine, no recursion goes down a long chain, and who is woken
 * by a channel sees the error.
 *
 * Contexts with a value share the ending of what they were made from.
 *
 * All are objects of the collected heap, allocated outside of the runtime. One that
 * can end is kept by its parent until it has, as in Go, and by the heap of timeouts.
 */
#include "../chan/chan.h"
#include "../include/burrow/ctx.h"
#include "ctx.h"

struct ending;

/**
 * struct burrow_ctx - a context; does not change
 * @parent:	what it was made from; NULL: it is the background
 * @ending:	its own or its parent's; NULL: it does not end
 * @key:	of its value; NULL: it has none
 * @value:	its value
 */
struct burrow_ctx {
	const struct burrow_ctx *parent;
	struct ending *ending;
	const void *key;
	void *value;
};

/**
 * struct ending - a context that can end
 * @ctx:	it
 * @tree:	lock over what says so
 * @root_lock:	that lock, in the root
 * @children:	those of its children that have not ended; under the tree's lock
 * @above:	whose child it is, while it is in that list; under the lock
 * @next:	in that list, under the lock; then of those that end together
 * @prev:	in that list; under the lock
 * @deadline:	when it ends at the latest
 * @timeout:	ends it then, unless one above does
 * @timed:	that is set; does not change once others know the context
 * @err:	why it has ended, or 0; written under the lock
 * @done:	closes when it ends
 */
struct ending {
	struct burrow_ctx ctx;
	struct burrow_lock *tree;
	struct burrow_lock root_lock;
	struct ending *children;
	struct ending *above;
	struct ending *next;
	struct ending *prev;
	int64_t deadline;
	struct burrow_timeout timeout;
	bool timed;
	int err;
	struct burrow_chan done;
};

static const struct burrow_ctx background;

struct burrow_ctx *burrow_ctx_background(void)
{
	return (struct burrow_ctx *)&background;
}

/* Under the tree's lock. */
static void link_to(struct ending *e, struct ending *above)
{
	e->above = above;
	e->prev = NULL;
	e->next = above->children;
	if (e->next)
		e->next->prev = e;
	above->children = e;
}

/* Under the tree's lock. */
static void unlink_from_above(struct ending *e)
{
	if (!e->above)
		return;
	if (e->prev)
		e->prev->next = e->next;
	else
		e->above->children = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->above = NULL;
}

/*
 * Under the tree's lock: gives it and all below it their error and makes one
 * list of them. Those found are appended while the list is gone through.
 */
static void take_down(struct ending *e, int err)
{
	struct ending *at, *child, *last = e;

	unlink_from_above(e);
	e->next = NULL;
	__atomic_store_n(&e->err, err, __ATOMIC_RELEASE);
	for (at = e; at; at = at->next) {
		last->next = at->children;
		for (child = at->children; child; child = child->next) {
			child->above = NULL;
			__atomic_store_n(&child->err, err, __ATOMIC_RELEASE);
			last = child;
		}
		at->children = NULL;
	}
}

/* @fired: its timeout, which must not wait for itself. */
static void end(struct burrow_thread *self, struct ending *e, int err,
		bool fired)
{
	struct ending *at, *next;

	burrow_lock_take(e->tree);
	if (e->err) {
		burrow_lock_drop(e->tree);
		return;
	}
	take_down(e, err);
	burrow_lock_drop(e->tree);

	for (at = e; at; at = next) {
		/* One that somebody keeps does not keep the others. */
		next = at->next;
		at->next = NULL;
		at->prev = NULL;
		if (at->timed && !(fired && at == e))
			burrow_timeout_cancel(&at->timeout);
		burrow_chan_shut(self, &at->done);
	}
}

static void expire(struct burrow_thread *self, struct burrow_timeout *timeout)
{
	struct ending *e = (struct ending *)((char *)timeout -
					     offsetof(struct ending, timeout));

	end(self, e, -ETIMEDOUT, true);
}

/* From here on it ends when its parent does; that may be at once. */
static void join_tree(struct burrow_thread *self, struct ending *e,
		      struct ending *above)
{
	int err;

	burrow_lock_take(e->tree);
	err = above->err;
	if (!err && !e->err)
		link_to(e, above);
	burrow_lock_drop(e->tree);
	if (err)
		end(self, e, err, false);
}

/* Outside of the runtime; NULL: no memory, or no goroutine. */
static void *object_new(size_t size)
{
	return burrow_self() ? burrow_try_alloc(size) : NULL;
}

/* NULL: no memory, if there was some for @e. */
static struct ending *ending_open(struct burrow_thread *self, struct ending *e,
				  const struct burrow_ctx *parent,
				  int64_t deadline)
{
	struct ending *above;

	if (!e)
		return NULL;
	if (!parent)
		parent = &background;
	above = parent->ending;
	e->ctx.parent = parent;
	e->ctx.ending = e;
	e->tree = above ? above->tree : &e->root_lock;
	e->deadline = above ? above->deadline : BURROW_FOREVER;
	if (deadline < e->deadline) {
		e->deadline = deadline;
		e->timed = true;
		e->timeout.fire = expire;
		if (burrow_timeout_set_of_object(self, &e->timeout, deadline))
			return NULL;
	}
	if (above)
		join_tree(self, e, above);
	return e;
}

struct burrow_ctx *burrow_ctx_new(void)
{
	struct ending *e = object_new(sizeof(*e));

	return e ? &e->ctx : NULL;
}

struct burrow_ctx *burrow_ctx_open(struct burrow_thread *self,
				   struct burrow_ctx *ctx,
				   const struct burrow_ctx *parent)
{
	struct ending *e =
		ending_open(self, (struct ending *)ctx, parent, BURROW_FOREVER);

	return e ? &e->ctx : NULL;
}

void burrow_ctx_end(struct burrow_thread *self, struct burrow_ctx *ctx, int err)
{
	end(self, ctx->ending, err, false);
}

struct burrow_ctx *burrow_ctx_with_cancel(struct burrow_ctx *parent)
{
	struct burrow_ctx *ctx = burrow_ctx_new();
	struct burrow_thread *self = burrow_enter("burrow_ctx_with_cancel");

	ctx = burrow_ctx_open(self, ctx, parent);
	burrow_leave(self);
	return ctx;
}

struct burrow_ctx *burrow_ctx_with_deadline(struct burrow_ctx *parent,
					    int64_t deadline)
{
	struct ending *e = object_new(sizeof(*e));
	struct burrow_thread *self = burrow_enter("burrow_ctx_with_deadline");

	e = ending_open(self, e, parent, deadline);
	if (e && burrow_now() >= e->deadline)
		end(self, e, -ETIMEDOUT, false);
	burrow_leave(self);
	return e ? &e->ctx : NULL;
}

struct burrow_ctx *burrow_ctx_with_value(struct burrow_ctx *parent,
					 const void *key, void *value)
{
	struct burrow_ctx *ctx = object_new(sizeof(*ctx));
	struct burrow_thread *self = burrow_enter("burrow_ctx_with_value");

	if (ctx) {
		ctx->parent = parent ? parent : &background;
		ctx->ending = ctx->parent->ending;
		ctx->key = key;
		ctx->value = value;
	}
	burrow_leave(self);
	return ctx;
}

int burrow_ctx_cancel(struct burrow_ctx *ctx, int err)
{
	struct burrow_thread *self = burrow_enter_try("burrow_ctx_cancel");
	int ret = -EINVAL;

	if (!self)
		return -EPERM;
	if (ctx && ctx->ending && ctx == &ctx->ending->ctx && err <= 0) {
		burrow_ctx_end(self, ctx, err ? err : -ECANCELED);
		ret = 0;
	}
	burrow_leave(self);
	return ret;
}

/* What cannot change, and one word that can: whoever has a context may look. */
int burrow_ctx_err(const struct burrow_ctx *ctx)
{
	if (!ctx || !ctx->ending)
		return 0;
	/* Pairs with the release in take_down(). */
	return __atomic_load_n(&ctx->ending->err, __ATOMIC_ACQUIRE);
}

struct burrow_chan *burrow_ctx_done(const struct burrow_ctx *ctx)
{
	return ctx && ctx->ending ? &ctx->ending->done : NULL;
}

int64_t burrow_ctx_deadline(const struct burrow_ctx *ctx)
{
	return ctx && ctx->ending ? ctx->ending->deadline : BURROW_FOREVER;
}

void *burrow_ctx_value(const struct burrow_ctx *ctx, const void *key)
{
	for (; key && ctx; ctx = ctx->parent) {
		if (ctx->key == key)
			return ctx->value;
	}
	return NULL;
}
