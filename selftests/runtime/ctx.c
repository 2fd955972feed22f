// SPDX-License-Identifier: GPL-2.0
/* Contexts: what <burrow/ctx.h> promises. */
#include "sync.h"

static bool is_done(struct burrow_ctx *ctx)
{
	return burrow_chan_try_recv(burrow_ctx_done(ctx), NULL) == 0;
}

TEST_ON(background_never_ends)
{
	struct burrow_ctx *ctx = burrow_ctx_background();

	CHECK(ctx);
	CHECK(burrow_ctx_err(ctx) == 0);
	CHECK(!burrow_ctx_done(ctx));
	CHECK(burrow_ctx_deadline(ctx) == INT64_MAX);
	CHECK(!burrow_ctx_value(ctx, &ctx));
	CHECK(burrow_ctx_cancel(ctx, 0) == -EINVAL);
	CHECK(burrow_ctx_cancel(NULL, 0) == -EINVAL);
	CHECK(burrow_ctx_err(NULL) == 0 && !burrow_ctx_done(NULL));
}

TEST_ON(cancel_once)
{
	struct burrow_ctx *ctx = burrow_ctx_with_cancel(NULL);

	CHECK(burrow_ctx_err(ctx) == 0);
	CHECK(!is_done(ctx));
	CHECK(burrow_ctx_cancel(ctx, 1) == -EINVAL);
	CHECK(burrow_ctx_err(ctx) == 0);
	CHECK(burrow_ctx_cancel(ctx, -EIO) == 0);
	CHECK(burrow_ctx_err(ctx) == -EIO);
	CHECK(is_done(ctx));
	CHECK(burrow_ctx_cancel(ctx, -EPERM) == 0);
	CHECK(burrow_ctx_err(ctx) == -EIO);
	ctx = burrow_ctx_with_cancel(NULL);
	CHECK(burrow_ctx_cancel(ctx, 0) == 0);
	CHECK(burrow_ctx_err(ctx) == -ECANCELED);
}

TEST_ON(children_end_with_their_parents)
{
	struct burrow_ctx *root = burrow_ctx_with_cancel(NULL);
	struct burrow_ctx *a = burrow_ctx_with_cancel(root);
	struct burrow_ctx *b = burrow_ctx_with_cancel(root);
	struct burrow_ctx *aa =
		burrow_ctx_with_deadline(a, burrow_now() + 3600000 * MS);
	struct burrow_ctx *ab = burrow_ctx_with_value(a, &a, &b);
	struct burrow_ctx *aba = burrow_ctx_with_cancel(ab);

	CHECK(burrow_ctx_cancel(b, -ENOENT) == 0);
	CHECK(!is_done(root) && !is_done(a) && is_done(b));
	CHECK(burrow_ctx_cancel(a, -EIO) == 0);
	CHECK(!is_done(root) && is_done(a) && is_done(aa) && is_done(ab) &&
	      is_done(aba));
	CHECK(burrow_ctx_err(aa) == -EIO && burrow_ctx_err(ab) == -EIO &&
	      burrow_ctx_err(aba) == -EIO && burrow_ctx_err(b) == -ENOENT);
	/* Made of one that has ended. */
	aa = burrow_ctx_with_cancel(aba);
	CHECK(is_done(aa) && burrow_ctx_err(aa) == -EIO);
	CHECK(burrow_ctx_cancel(root, 0) == 0);
	CHECK(burrow_ctx_err(a) == -EIO);
}

TEST_ON(values)
{
	static const char color, shape;
	int red, round, blue;
	struct burrow_ctx *a = burrow_ctx_with_value(NULL, &color, &red);
	struct burrow_ctx *b = burrow_ctx_with_value(a, &shape, &round);
	struct burrow_ctx *c = burrow_ctx_with_cancel(b);
	struct burrow_ctx *d = burrow_ctx_with_value(c, &color, &blue);

	CHECK(!burrow_ctx_value(a, &shape));
	CHECK(burrow_ctx_value(c, &color) == &red);
	CHECK(burrow_ctx_value(d, &shape) == &round);
	CHECK(burrow_ctx_value(d, &color) == &blue);
	CHECK(!burrow_ctx_value(d, &red));
	CHECK(!burrow_ctx_value(d, NULL));
	/* It is its parent in all else, but is not what one cancels. */
	CHECK(burrow_ctx_done(d) == burrow_ctx_done(c));
	CHECK(burrow_ctx_cancel(d, 0) == -EINVAL);
	CHECK(!burrow_ctx_done(a));
	CHECK(burrow_ctx_cancel(c, 0) == 0);
	CHECK(burrow_ctx_err(d) == -ECANCELED);
}

TEST_ON(deadline)
{
	int64_t when = burrow_now() + 5 * MS;
	struct burrow_ctx *ctx = burrow_ctx_with_deadline(NULL, when);
	struct burrow_ctx *child = burrow_ctx_with_cancel(ctx);
	struct burrow_ctx *sooner = burrow_ctx_with_deadline(ctx, when - MS);
	struct burrow_ctx *later = burrow_ctx_with_deadline(ctx, when + MS);

	CHECK(burrow_ctx_deadline(ctx) == when);
	CHECK(burrow_ctx_deadline(child) == when);
	CHECK(burrow_ctx_deadline(sooner) == when - MS);
	CHECK(burrow_ctx_deadline(later) == when);
	CHECK(burrow_chan_recv(burrow_ctx_done(child), NULL) == 0);
	CHECK(burrow_now() >= when);
	CHECK(burrow_ctx_err(ctx) == -ETIMEDOUT);
	CHECK(burrow_ctx_err(child) == -ETIMEDOUT);
	CHECK(burrow_ctx_err(sooner) == -ETIMEDOUT);
	CHECK(burrow_ctx_err(later) == -ETIMEDOUT);
}

TEST_ON(deadline_long_past)
{
	static const int64_t past[] = { 1, 0, -1, INT64_MIN };
	struct burrow_ctx *ctx;
	size_t i;

	for (i = 0; i < 4; i++) {
		ctx = burrow_ctx_with_deadline(NULL, past[i]);
		CHECK(is_done(ctx));
		CHECK(burrow_ctx_err(ctx) == -ETIMEDOUT);
	}
}

TEST_ON(cancelled_before_its_deadline)
{
	struct burrow_ctx *ctx;
	int i;

	for (i = 0; i < 100; i++) {
		ctx = burrow_ctx_with_deadline(NULL, burrow_now() + MS / 10);
		CHECK(burrow_ctx_cancel(ctx, -EIO) == 0);
		CHECK(burrow_ctx_err(ctx) == -EIO ||
		      burrow_ctx_err(ctx) == -ETIMEDOUT);
		CHECK(is_done(ctx));
	}
	burrow_sleep(MS);
	CHECK(is_done(ctx));
}

#define MANY 20000

TEST_ON(long_chains_and_large_families)
{
	struct burrow_ctx *root = burrow_ctx_with_cancel(NULL), *ctx = root;
	static struct burrow_ctx *all[2 * MANY];
	int i;

	for (i = 0; i < MANY; i++) {
		ctx = burrow_ctx_with_cancel(ctx);
		all[i] = ctx;
	}
	for (; i < 2 * MANY; i++)
		all[i] = burrow_ctx_with_cancel(all[i % 100]);
	/* Some have gone before. */
	for (i = MANY; i < 2 * MANY; i += 3)
		CHECK(burrow_ctx_cancel(all[i], -ENOENT) == 0);
	CHECK(burrow_ctx_cancel(root, -EIO) == 0);
	for (i = 0; i < 2 * MANY; i++)
		CHECK(burrow_ctx_err(all[i]) ==
		      (i >= MANY && (i - MANY) % 3 == 0 ? -ENOENT : -EIO));
	for (i = 0; i < 2 * MANY; i += 17)
		CHECK(is_done(all[i]));
}

/* Cancelled, timed out and given children at the same time. */
struct family {
	struct burrow_ctx *root;
	struct burrow_waitgroup wg;
	int ended;
};

static void live(void *arg)
{
	struct family *f = arg;
	struct burrow_ctx *ctx = f->root;
	struct burrow_case c = { .op = BURROW_RECV };
	int i;

	for (i = 0; i < 30; i++) {
		if (i % 3 == 0)
			ctx = burrow_ctx_with_deadline(
				ctx, burrow_now() + (100 - i) * MS / 100);
		else
			ctx = burrow_ctx_with_cancel(ctx);
		if (i % 10 == 9)
			burrow_ctx_cancel(ctx, -ENOENT);
		if (i % 5 == 0)
			burrow_yield();
	}
	c.chan = burrow_ctx_done(ctx);
	CHECK(burrow_select(&c, 1, 60000 * MS) == 0);
	CHECK(c.result == 0);
	CHECK(burrow_ctx_err(ctx) < 0);
	add(&f->ended, 1);
	burrow_waitgroup_done(&f->wg);
}

TEST_ON(all_at_the_same_time)
{
	static struct family f;
	int i, round;

	for (round = 0; round < 20; round++) {
		memset(&f, 0, sizeof(f));
		f.root = burrow_ctx_with_cancel(NULL);
		burrow_waitgroup_add(&f.wg, 20);
		for (i = 0; i < 20; i++)
			burrow_go(live, &f);
		burrow_sleep(round * MS / 10);
		CHECK(burrow_ctx_cancel(f.root, -EIO) == 0);
		burrow_waitgroup_wait(&f.wg);
		CHECK(f.ended == 20);
	}
}

TEST_HARNESS_MAIN
