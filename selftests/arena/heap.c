// SPDX-License-Identifier: GPL-2.0
/*
 * Heap arenas: zeroed pages that come in groups and go by range.
 */
#include <sys/uio.h>

#include "arena.h"

FIXTURE(heap)
{
	int fd;
};

FIXTURE_SETUP(heap)
{
	self->fd = context_open();
}

FIXTURE_TEARDOWN(heap)
{
	close(self->fd);
}

static struct arena with_batch(int fd, uint64_t bytes, uint32_t batch)
{
	struct arena arena;

	arena = arena_create(fd, (struct burrow_arena_create){
					 .kind = BURROW_ARENA_HEAP,
					 .bytes = bytes,
					 .batch = batch,
				 });
	arena_map(&arena);
	return arena;
}

static uint64_t heap_pages(int fd)
{
	return context_stats(fd).heap_bytes / PAGE;
}

TEST_F(heap, comes_in_aligned_groups)
{
	static const uint32_t batches[] = { 1, 2, 4, 16, 64, 512 };
	struct burrow_context_stats before, after;
	struct arena arena;
	uint64_t page;
	size_t i;

	for (i = 0; i < COUNT(batches); i++) {
		arena = with_batch(self->fd, MIB(16), batches[i]);
		EXPECT_EQ(batches[i], arena.create.batch);
		before = context_stats(self->fd);
		for (page = 0; page < 2048; page++)
			*(arena.base + page * PAGE + 5) += 1;
		after = context_stats(self->fd);
		EXPECT_EQ(2048 / batches[i], after.faults - before.faults)
		TH_LOG("batch %u", batches[i]);
		EXPECT_EQ(2048 * PAGE, after.heap_bytes - before.heap_bytes);

		/* From anywhere in a group. */
		touch(arena.base + MIB(8) + (batches[i] * 3 - 1) * PAGE);
		EXPECT_EQ(2048 + batches[i],
			  heap_pages(self->fd) - before.heap_bytes / PAGE);
		EXPECT_EQ(0, poke_read(arena.base + MIB(8) +
				       batches[i] * 2 * PAGE));
		EXPECT_EQ(after.faults + 1, context_stats(self->fd).faults);
		arena_unmap(&arena);
		EXPECT_EQ(0, arena_destroy(&arena));
		EXPECT_EQ(0, heap_pages(self->fd));
	}
}

/* A batch of more than a block stays in its block. */
TEST_F(heap, large_batches_end_at_blocks)
{
	struct arena arena = with_batch(self->fd, MIB(16), 4096);

	touch(arena.base + MIB(4) + 300 * PAGE);
	EXPECT_EQ(512, heap_pages(self->fd));
	touch(arena.base + MIB(4));
	EXPECT_EQ(1, context_stats(self->fd).faults);
}

TEST_F(heap, is_zeroed)
{
	struct arena arena = heap_arena(self->fd, MIB(8));
	int round;

	for (round = 0; round < 3; round++) {
		EXPECT_TRUE(is_filled(arena.base, 0, MIB(8)));
		memset(arena.base, 0xa5, MIB(8));
		EXPECT_EQ(0, heap_release(&arena, 0, 2048, NULL));
		EXPECT_EQ(0, heap_pages(self->fd));
	}
	EXPECT_EQ(0, context_stats(self->fd).pool_bytes);
}

TEST_F(heap, release_takes_the_range_and_no_more)
{
	static const struct {
		uint64_t first, pages;
	} ranges[] = {
		{ 0, 1 },     { 1, 1 },	   { 7, 2 },	   { 511, 2 },
		{ 500, 600 }, { 1023, 1 }, { 1024, 1024 }, { 2047, 1 },
		{ 0, 2048 },  { 3, 0 },
	};
	struct arena arena = heap_arena(self->fd, MIB(8));
	uint64_t page, done;
	size_t i;

	for (i = 0; i < COUNT(ranges); i++) {
		for (page = 0; page < 2048; page++)
			*(uint64_t *)(arena.base + page * PAGE) = page + 1;
		EXPECT_EQ(0, heap_release(&arena, ranges[i].first,
					  ranges[i].pages, &done));
		EXPECT_EQ(ranges[i].pages, done);
		EXPECT_EQ(2048 - ranges[i].pages, heap_pages(self->fd));
		for (page = 0; page < 2048; page++) {
			uint64_t is = *(uint64_t *)(arena.base + page * PAGE);
			bool gone = page - ranges[i].first < ranges[i].pages;

			ASSERT_EQ(gone ? 0 : page + 1, is)
			TH_LOG("range %zu, page %llu", i,
			       (unsigned long long)page);
		}
	}
}

TEST_F(heap, release_of_what_was_never_there)
{
	struct arena arena = heap_arena(self->fd, GIB(1024));
	uint64_t begin = now_ns(), done;

	touch(arena.base + GIB(500));
	EXPECT_EQ(0, heap_release(&arena, 0, GIB(1024) / PAGE, &done));
	EXPECT_EQ(GIB(1024) / PAGE, done);
	EXPECT_EQ(0, heap_pages(self->fd));
	EXPECT_GT(5000000000ULL * time_scale(), now_ns() - begin);
}

/* What a pipe still holds is what was written, not what came after. */
TEST_F(heap, a_released_page_in_a_pipe)
{
	struct arena arena = heap_arena(self->fd, MIB(2));
	struct iovec iov = { arena.base, PAGE };
	char text[PAGE];
	int pair[2];

	ASSERT_EQ(0, pipe(pair));
	memset(arena.base, 'o', PAGE);
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	ASSERT_EQ(0, heap_release(&arena, 0, 512, NULL));
	memset(arena.base, 'n', PAGE);
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, 'o', PAGE));
	EXPECT_TRUE(is_filled(arena.base, 'n', PAGE));
}

TEST_F(heap, the_largest_arena)
{
	static const uint64_t at[] = {
		0,
		GIB(1),
		GIB(1024) * 3 + 12345,
		GIB(1024) * 15,
	};
	struct arena arena = heap_arena(self->fd, GIB(1024) * 16);
	size_t i;

	for (i = 0; i < COUNT(at); i++)
		*(arena.base + at[i]) = 1 + i;
	*(arena.base + arena.create.bytes - 1) = 9;
	for (i = 0; i < COUNT(at); i++)
		EXPECT_EQ((char)(1 + i), *(arena.base + at[i]));
	EXPECT_EQ(5 * 16, heap_pages(self->fd));
	EXPECT_EQ(9, *(arena.base + arena.create.bytes - 1));
}

/* ---- threads ---------------------------------------------------------------- */

static atomic_bool stop;
static struct arena shared;

static void *populates(void *arg)
{
	unsigned int lane = (uintptr_t)arg, i;

	for (i = 0; i < 2048; i++)
		shared.base[(i * 577 % 2048) * PAGE + lane] = lane + 1;
	return NULL;
}

TEST_F(heap, threads_that_populate)
{
	pthread_t threads[4];
	uintptr_t i, page;

	shared = heap_arena(self->fd, MIB(8));
	for (i = 0; i < 4; i++)
		threads[i] = thread_start(populates, (void *)i);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (page = 0; page < 2048; page++)
		for (i = 0; i < 4; i++)
			ASSERT_EQ((char)(i + 1), shared.base[page * PAGE + i]);
	EXPECT_EQ(2048, heap_pages(self->fd));
	EXPECT_EQ(2048, context_stats(self->fd).fresh);
}

static void *releases(void *arg UNUSED)
{
	unsigned int i = 0;

	while (!stop) {
		if (heap_release(&shared, 1024 + i * 61 % 960, 64, NULL))
			die("release");
		i++;
	}
	return NULL;
}

static void *expects_its_own_or_zero(void *arg)
{
	unsigned int lane = (uintptr_t)arg, i = 0;

	while (!stop) {
		volatile char *at =
			shared.base + (1024 + i++ * 37 % 1024) * PAGE + lane;
		char seen = *at;

		if (seen && seen != (char)(lane + 1))
			die("page of somebody else's");
		*at = lane + 1;
	}
	return NULL;
}

/* Nobody's bytes but one's own, or zeroes, show up however it is released. */
TEST_F(heap, release_under_way)
{
	pthread_t threads[3];
	uintptr_t i;

	shared = heap_arena(self->fd, MIB(8));
	memset(shared.base, 0x77, MIB(4));
	threads[0] = thread_start(releases, NULL);
	for (i = 1; i < 3; i++)
		threads[i] = thread_start(expects_its_own_or_zero, (void *)i);
	nap_ms(1500);
	stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_TRUE(is_filled(shared.base, 0x77, MIB(4)));
	ASSERT_EQ(0, heap_release(&shared, 0, 2048, NULL));
	EXPECT_EQ(0, heap_pages(self->fd));
}

ARENA_TEST_MAIN
