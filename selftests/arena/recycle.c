// SPDX-License-Identifier: GPL-2.0
/*
 * Where trimmed pages go: to the pool and back to stacks, as far as its bound,
 * and never while somebody else holds them.
 */
#include <sys/uio.h>

#include "trim.h"
#include "uring.h"

/* ---- the pool --------------------------------------------------------------- */

TEST_F(trim, pages_come_back)
{
	struct burrow_context_stats stats;
	uint64_t i;

	for (i = 0; i < 100; i++)
		fill(&self->arena, i, 8);
	stats = context_stats(self->fd);
	EXPECT_EQ(800 * PAGE, stats.stack_bytes);
	EXPECT_EQ(800, stats.fresh);
	EXPECT_EQ(0, stats.recycled);
	EXPECT_EQ(0, stats.pool_bytes);

	for (i = 0; i < 100; i++)
		trim_slot(&self->arena, i, 0);
	stats = context_stats(self->fd);
	EXPECT_EQ(0, stats.stack_bytes);
	EXPECT_EQ(800 * PAGE, stats.pool_bytes);
	EXPECT_EQ(100, stats.trims);

	for (i = 200; i < 300; i++)
		fill(&self->arena, i, 8);
	stats = context_stats(self->fd);
	EXPECT_EQ(800 * PAGE, stats.stack_bytes);
	EXPECT_EQ(0, stats.pool_bytes);
	/* The one is the table's. */
	EXPECT_EQ(800 + 1, stats.fresh);
	EXPECT_EQ(800, stats.recycled);
	for (i = 200; i < 300; i++)
		EXPECT_TRUE(filled(&self->arena, i, 8));
}

TEST_F(trim, a_drained_pool_is_the_system_s)
{
	struct burrow_context_stats before, after;
	uint64_t i;

	before = context_stats(self->fd);
	for (i = 0; i < 100; i++)
		fill(&self->arena, i, 8);
	for (i = 0; i < 100; i++)
		trim_slot(&self->arena, i, 0);
	EXPECT_LE(before.user_bytes + 800 * PAGE,
		  context_stats(self->fd).user_bytes);
	after = context_drain(self->fd);
	EXPECT_EQ(0, after.pool_bytes);
	EXPECT_GE(before.user_bytes + 64 * PAGE, after.user_bytes);
	fill(&self->arena, 0, 8);
	EXPECT_EQ(0, context_stats(self->fd).recycled);
}

TEST_F(trim, the_pool_has_a_bound)
{
	struct burrow_context_stats stats;
	uint64_t i;

	if (spew(POOL_LIMIT, "1048576"))
		SKIP(return, "cannot write " POOL_LIMIT);
	EXPECT_EQ(1048576, context_version(self->fd).pool_limit);
	for (i = 0; i < 100; i++)
		fill(&self->arena, i, 32);
	stats = context_stats(self->fd);
	for (i = 0; i < 100; i++)
		trim_slot(&self->arena, i, 0);
	/* A batch may go past it. */
	EXPECT_LE(MIB(1), context_stats(self->fd).pool_bytes);
	EXPECT_GE(MIB(1) + 256 * PAGE, context_stats(self->fd).pool_bytes);
	EXPECT_LE(context_stats(self->fd).user_bytes + 3200 * PAGE - MIB(2),
		  stats.user_bytes);
	ASSERT_EQ(0, spew(POOL_LIMIT, "0"));
	context_drain(self->fd);
	fill(&self->arena, 0, 8);
	trim_slot(&self->arena, 0, 0);
	EXPECT_EQ(0, context_stats(self->fd).pool_bytes);
}

/* ---- pages that others hold ------------------------------------------------- */

TEST_F(trim, a_page_in_a_pipe_is_not_recycled)
{
	char text[PAGE];
	struct iovec iov;
	int pair[2];
	uint64_t i;

	ASSERT_EQ(0, pipe(pair));
	fill(&self->arena, 0, 4);
	iov = (struct iovec){ slot_page(&self->arena, 0, 2), PAGE };
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	EXPECT_EQ((int64_t)(4 * PAGE), trim_slot(&self->arena, 0, 0));
	EXPECT_EQ(3 * PAGE, context_stats(self->fd).pool_bytes);
	for (i = 1; i < 20; i++)
		fill(&self->arena, i, 4);
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, mark(0, 2), PAGE));
}

/* Nor is it zeroed under its reader where pages are zeroed as they go. */
TEST_F(trim, a_page_in_a_pipe_is_not_zeroed)
{
	struct arena arena;
	char text[PAGE];
	struct iovec iov;
	int pair[2];

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .flags = BURROW_ARENA_ZERO,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	arena_map(&arena);
	ASSERT_EQ(0, pipe(pair));
	fill(&arena, 0, 4);
	iov = (struct iovec){ slot_page(&arena, 0, 2), PAGE };
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	EXPECT_EQ((int64_t)(4 * PAGE), trim_slot(&arena, 0, 0));
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, mark(0, 2), PAGE));
	EXPECT_TRUE(is_filled(slot_page(&arena, 0, 2), 0, PAGE));
}

/* The page's context is gone by the time that the pipe lets go of it. */
TEST_F(trim, a_page_in_a_pipe_outlives_its_context)
{
	char text[PAGE];
	struct iovec iov;
	int pair[2];

	ASSERT_EQ(0, pipe(pair));
	fill(&self->arena, 0, 4);
	iov = (struct iovec){ slot_page(&self->arena, 0, 2), PAGE };
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	arena_unmap(&self->arena);
	ASSERT_EQ(0, arena_destroy(&self->arena));
	close(self->fd);
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, mark(0, 2), PAGE));
	self->fd = context_open();
}

/* A read under way owns the page that it was begun for, and no other. */
TEST_F(trim, a_registered_buffer_is_not_recycled)
{
	char *at = slot_page(&self->arena, 0, 3);
	struct uring u;
	int pair[2], err;
	uint64_t i;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	fill(&self->arena, 0, 4);
	err = uring_register(&u, at, 4 * PAGE);
	if (err == -EOPNOTSUPP)
		SKIP(return, "this kernel registers no buffers of files");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, pipe(pair));
	uring_submit(&u, IORING_OP_READ_FIXED, pair[0], at, 4 * PAGE, -1);
	EXPECT_EQ((int64_t)(4 * PAGE), trim_slot(&self->arena, 0, 0));
	EXPECT_EQ(0, context_stats(self->fd).pool_bytes);
	for (i = 0; i < 20; i++)
		fill(&self->arena, i, 4);
	ASSERT_EQ(8, write(pair[1], "overrun!", 8));
	EXPECT_EQ(8, uring_wait(&u));
	for (i = 0; i < 20; i++)
		EXPECT_TRUE(filled(&self->arena, i, 4));
	EXPECT_EQ(0, uring_unregister(&u));
	/* Let go of, the new pages are recycled as any. */
	trim_slot(&self->arena, 0, 0);
	EXPECT_EQ(4 * PAGE, context_stats(self->fd).pool_bytes);
}

ARENA_TEST_MAIN
