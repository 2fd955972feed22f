// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Groups of goroutines that work for one purpose (as golang.org/x/sync/errgroup).
 *
 * A place in the group goes from who leaves to who waits for one. The last to
 * leave lets those through who wait for all.
 */
#include "../chan/cell.h"
#include "ctx.h"
#include "sync.h"

/**
 * struct held - keeps a group's context, for a group may lie where nobody looks
 * @cell:	that it lies in
 * @ctx:	the context, NULL: there was no memory for another one
 */
struct held {
	struct burrow_cell cell;
	struct burrow_ctx *ctx;
};

/**
 * struct group - what a struct burrow_group is
 * @lock:	over all of it
 * @limited:	not more than @limit may run
 * @over:	somebody has waited for all: the next to start begins anew
 * @run:	in which it was used last
 * @error:	the first one
 * @running:	how many run, with those about to be started
 * @limit:	see @limited
 * @held:	what ends with the first error, or NULL
 * @starters:	those who wait for a place
 * @waiters:	those who wait for all; only while @running is not 0
 */
struct group {
	struct burrow_lock lock;
	bool limited;
	bool over;
	uint32_t run;
	int error;
	int64_t running;
	int64_t limit;
	struct held *held;
	struct burrow_waitq starters;
	struct burrow_waitq waiters;
} __attribute__((may_alias));

SYNC_LAYOUT(struct group, struct burrow_group);

/**
 * struct task - what a goroutine of a group is started with
 * @cell:	that it lies in
 * @group:	whose it is
 * @fn:		what it runs
 * @arg:	its argument
 */
struct task {
	struct burrow_cell cell;
	struct group *group;
	int (*fn)(void *arg);
	void *arg;
};

/* What ran in another run has ended with it. */
static void take_lock(struct group *g)
{
	burrow_lock_take(&g->lock);
	if (burrow_likely(!burrow_run_is_another(&g->run)))
		return;
	g->over = true;
	g->running = 0;
	g->held = NULL;
	g->starters = (struct burrow_waitq){ 0 };
	g->waiters = (struct burrow_waitq){ 0 };
}

/* Under the lock. */
static bool is_full(const struct group *g)
{
	return g->limited && g->running >= g->limit;
}

/* A context's error is a negative errno. */
static int error_for_ctx(int error)
{
	return error < 0 ? error : -ECANCELED;
}

/* One has returned, or was not started after all. */
static void leave_group(struct burrow_thread *self, struct group *g, int error)
{
	struct burrow_woken starter = { 0 }, waiters = { 0 };
	struct burrow_ctx *ctx = NULL;
	struct burrow_waiter *w;

	take_lock(g);
	if (error && !g->error) {
		g->error = error;
		ctx = g->held ? g->held->ctx : NULL;
	}
	w = burrow_waitq_pop(&g->starters);
	if (w)
		burrow_woken_add(&starter, w, 0);
	else if (!--g->running)
		burrow_woken_add_all(&waiters, &g->waiters, 0);
	burrow_lock_drop(&g->lock);

	if (ctx)
		burrow_ctx_end(self, ctx, error_for_ctx(error));
	burrow_woken_ready(self, &starter);
	burrow_woken_ready(self, &waiters);
}

static void run(void *arg)
{
	struct burrow_thread *self = burrow_enter("burrow_group_go");
	struct task task = *(struct task *)arg;
	int error;

	burrow_cell_put(self, arg, sizeof(task));
	burrow_leave(self);
	error = task.fn(task.arg);
	self = burrow_enter("burrow_group_go");
	leave_group(self, task.group, error);
	burrow_leave(self);
}

/* 0: there is a place for one more, and it is taken. */
static int enter_group(struct burrow_thread **self, struct group *g, bool wait)
{
	take_lock(g);
	if (!g->running && g->over) {
		g->over = false;
		g->error = 0;
	}
	if (!is_full(g)) {
		g->running++;
		burrow_lock_drop(&g->lock);
		return 0;
	}
	if (wait)
		return burrow_wait(self, &g->lock, &g->starters, GOROUTINE_SEM,
				   BURROW_FOREVER);
	burrow_lock_drop(&g->lock);
	return -EBUSY;
}

static int start(struct burrow_thread **at, struct group *g,
		 int (*fn)(void *arg), void *arg, void *site)
{
	struct burrow_thread *self = goroutine_make_room(*at);
	struct task *task;
	int ret = -ENOMEM;

	*at = self;
	task = (struct task *)burrow_cell_get(self, sizeof(*task));
	if (task) {
		task->group = g;
		task->fn = fn;
		task->arg = arg;
		ret = burrow_spawn(self, burrow_runtime.class, NULL, run, task,
				   site);
		if (!ret)
			return 0;
		burrow_cell_put(self, &task->cell, sizeof(*task));
	}
	leave_group(self, g, 0);
	return ret;
}

int burrow_group_go(struct burrow_group *g, int (*fn)(void *arg), void *arg)
{
	struct burrow_thread *self = burrow_enter_try("burrow_group_go");
	int ret;

	if (!self)
		return -EPERM;
	ret = enter_group(&self, (struct group *)g, true);
	if (!ret)
		ret = start(&self, (struct group *)g, fn, arg,
			    __builtin_return_address(0));
	burrow_leave(self);
	return ret;
}

int burrow_group_try_go(struct burrow_group *g, int (*fn)(void *arg), void *arg)
{
	struct burrow_thread *self = burrow_enter_try("burrow_group_try_go");
	int ret;

	if (!self)
		return -EPERM;
	ret = enter_group(&self, (struct group *)g, false);
	if (!ret)
		ret = start(&self, (struct group *)g, fn, arg,
			    __builtin_return_address(0));
	burrow_leave(self);
	return ret;
}

/* Under the lock. */
static void must_be_idle(const struct group *g, const char *call)
{
	if (g->running)
		burrow_misuse(call, "something runs in the group");
}

void burrow_group_limit(struct burrow_group *group, int64_t n)
{
	struct burrow_thread *self = burrow_enter("burrow_group_limit");
	struct group *g = (struct group *)group;

	take_lock(g);
	must_be_idle(g, "burrow_group_limit");
	g->limited = n >= 0;
	g->limit = n;
	burrow_lock_drop(&g->lock);
	burrow_leave(self);
}

/* The collector sees what is in cells, also in those that nobody has. */
static void let_go(struct burrow_thread *self, struct held *held)
{
	held->ctx = NULL;
	burrow_cell_put(self, &held->cell, sizeof(*held));
}

/* Under the lock. NULL: no memory, and the group has none. */
static struct burrow_ctx *hold(struct burrow_thread *self, struct group *g,
			       struct burrow_ctx *ctx)
{
	const size_t size = sizeof(*g->held);

	if (!g->held && ctx)
		g->held = (struct held *)burrow_cell_get(self, size);
	if (!g->held)
		return NULL;
	g->held->ctx = ctx;
	return ctx;
}

struct burrow_ctx *burrow_group_ctx(struct burrow_group *group,
				    struct burrow_ctx *parent)
{
	struct burrow_ctx *ctx = burrow_ctx_new();
	struct burrow_thread *self = burrow_enter("burrow_group_ctx");
	struct group *g = (struct group *)group;

	ctx = burrow_ctx_open(self, ctx, parent);
	take_lock(g);
	must_be_idle(g, "burrow_group_ctx");
	ctx = hold(self, g, ctx);
	burrow_lock_drop(&g->lock);
	burrow_leave(self);
	return ctx;
}

int burrow_group_wait(struct burrow_group *group)
{
	struct burrow_thread *self = burrow_enter_try("burrow_group_wait");
	struct group *g = (struct group *)group;
	struct held *held;
	int error;

	if (!self)
		return -EPERM;
	take_lock(g);
	if (g->running) {
		burrow_wait(&self, &g->lock, &g->waiters, GOROUTINE_WAITGROUP,
			    BURROW_FOREVER);
		take_lock(g);
	}
	g->over = true;
	error = g->error;
	held = g->held;
	g->held = NULL;
	burrow_lock_drop(&g->lock);
	if (held) {
		if (held->ctx)
			burrow_ctx_end(self, held->ctx, error_for_ctx(error));
		let_go(self, held);
	}
	burrow_leave(self);
	return error;
}
