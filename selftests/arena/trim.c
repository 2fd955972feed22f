// SPDX-License-Identifier: GPL-2.0
/*
 * Trim: what it takes and what it leaves, one slot or many at a time, and that
 * it takes nothing from a stack that is woken meanwhile.
 */
#include <poll.h>
#include <sys/uio.h>

#include "uring.h"

#define POOL_LIMIT "/sys/module/burrow/parameters/pool_limit"

FIXTURE(trim)
{
	int fd;
	struct arena arena; /* 256 KiB, so 8 slots a block */
	char pool_limit[64];
};

FIXTURE_SETUP(trim)
{
	self->fd = context_open();
	self->arena = stack_arena(self->fd, KIB(256), 1000);
	if (slurp(POOL_LIMIT, self->pool_limit, sizeof(self->pool_limit)) < 0)
		die("cannot read " POOL_LIMIT);
}

FIXTURE_TEARDOWN(trim)
{
	close(self->fd);
	spew(POOL_LIMIT, self->pool_limit);
}

static int mark(uint64_t slot, uint64_t depth)
{
	return 1 + (slot * 7 + depth) % 250;
}

/* Fills @pages of a slot, and an empty one with no more, with their marks. */
static void fill(const struct arena *arena, uint64_t slot, uint64_t pages)
{
	uint64_t d;

	if (pages)
		touch(slot_page(arena, slot, pages - 1));
	for (d = 0; d < pages; d++)
		memset(slot_page(arena, slot, d), mark(slot, d), PAGE);
}

static bool filled(const struct arena *arena, uint64_t slot, uint64_t pages)
{
	uint64_t d;

	for (d = 0; d < pages; d++)
		if (!is_filled(slot_page(arena, slot, d), mark(slot, d), PAGE))
			return false;
	return true;
}

TEST_F(trim, keeps_what_it_is_told_to)
{
	static const struct {
		uint64_t keep, pages;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 8, 1 },
		{ PAGE - 1, 1 },
		{ PAGE, 1 },
		{ PAGE + 1, 2 },
		{ 2 * PAGE, 2 },
		{ 2 * PAGE + 1, 3 },
		{ 3 * PAGE, 3 },
		{ 19 * PAGE + 5, 20 },
		{ 31 * PAGE + 1, 32 },
		{ 32 * PAGE, 32 },
		{ 33 * PAGE, 32 },
		{ KIB(256), 32 },
		{ GIB(4), 32 },
		{ 1ULL << 63, 32 },
		{ ~0ULL, 32 },
		{ ~0ULL - PAGE, 32 },
	};
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		fill(&self->arena, i, 32);
		ASSERT_EQ(32, slot_pages(&self->arena, i));
		EXPECT_EQ((int64_t)((32 - cases[i].pages) * PAGE),
			  trim_slot(&self->arena, i, cases[i].keep))
		TH_LOG("case %zu", i);
		EXPECT_EQ(cases[i].pages, slot_pages(&self->arena, i));
		EXPECT_TRUE(filled(&self->arena, i, cases[i].pages));
		/* Twice is as good as once. */
		EXPECT_EQ(0, trim_slot(&self->arena, i, cases[i].keep));
	}
	/* What was taken grows again. */
	for (i = 0; i < COUNT(cases); i++) {
		fill(&self->arena, i, 40);
		EXPECT_TRUE(filled(&self->arena, i, 40));
	}
}

TEST_F(trim, peak_is_kept_until_nothing_is_left)
{
	fill(&self->arena, 0, 32);
	trim_slot(&self->arena, 0, PAGE);
	EXPECT_EQ(32 * PAGE, slot_state(&self->arena, 0).peak);
	touch(slot_page(&self->arena, 0, 1));
	EXPECT_EQ(32 * PAGE, slot_state(&self->arena, 0).peak);
	trim_slot(&self->arena, 0, 0);
	EXPECT_EQ(0, slot_state(&self->arena, 0).peak);
	touch(slot_page(&self->arena, 0, 2));
	EXPECT_EQ(3 * PAGE, slot_state(&self->arena, 0).peak);
}

/* Every mix of keeps in runs of neighbours, sorted as a runtime would. */
TEST_F(trim, runs_of_neighbours)
{
	static const uint64_t keeps[] = { 0, 1, 2, 3, 16, 60 };
	struct burrow_trim_entry entries[48];
	unsigned int round, i, n = COUNT(entries);
	uint64_t bytes, sum, had, keep;

	for (round = 0; round < 60; round++) {
		sum = 0;
		for (i = 0; i < n; i++) {
			had = (i * 5 + round) % 40;
			trim_slot(&self->arena, i, 0);
			fill(&self->arena, i, had);
			/* Long runs in some rounds, ragged ones in others. */
			keep = keeps[round < 6 ? round :
						 (i * round / 3 + i / 4) % 6];
			entries[i] = (struct burrow_trim_entry){
				.slot = i,
				.keep = keep * PAGE,
			};
			sum += had > keep ? had - keep : 0;
		}
		ASSERT_EQ(0, trim(&self->arena, entries, n, &bytes));
		ASSERT_EQ(sum * PAGE, bytes);
		for (i = 0; i < n; i++) {
			had = (i * 5 + round) % 40;
			keep = entries[i].keep / PAGE;
			ASSERT_EQ((int64_t)(had > keep ? (had - keep) * PAGE :
							 0),
				  entries[i].result);
			ASSERT_EQ(had < keep ? had : keep,
				  slot_pages(&self->arena, i));
			ASSERT_TRUE(filled(&self->arena, i,
					   had < keep ? had : keep));
		}
	}
}

TEST_F(trim, entries_in_any_order)
{
	struct burrow_trim_entry entries[300];
	uint64_t bytes, slot;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		slot = i * 77 % 300;
		fill(&self->arena, slot, 4);
		entries[i] = (struct burrow_trim_entry){
			.slot = slot,
			.keep = slot % 3 * PAGE,
		};
	}
	ASSERT_EQ(0, trim(&self->arena, entries, 300, &bytes));
	EXPECT_EQ(300 * 3 * PAGE, bytes);
	for (slot = 0; slot < 300; slot++) {
		EXPECT_EQ(slot % 3, slot_pages(&self->arena, slot));
		EXPECT_TRUE(filled(&self->arena, slot, slot % 3));
	}
}

TEST_F(trim, one_slot_many_times)
{
	struct burrow_trim_entry entries[40];
	uint64_t bytes;
	unsigned int i;

	fill(&self->arena, 3, 40);
	for (i = 0; i < 40; i++)
		entries[i] = (struct burrow_trim_entry){
			.slot = 3,
			.keep = (39 - i) * PAGE,
		};
	ASSERT_EQ(0, trim(&self->arena, entries, 40, &bytes));
	EXPECT_EQ(40 * PAGE, bytes);
	for (i = 0; i < 40; i++)
		EXPECT_EQ((int64_t)PAGE, entries[i].result);
	EXPECT_EQ(0, slot_pages(&self->arena, 3));
}

TEST_F(trim, slots_that_are_none)
{
	struct burrow_trim_entry entries[] = {
		{ .slot = 0 },		{ .slot = 1000 },
		{ .slot = 1 },		{ .slot = 1001 },
		{ .slot = 1ULL << 32 }, { .slot = ~0ULL },
		{ .slot = 1ULL << 63 }, { .slot = 2 },
	};
	static const bool good[] = { 1, 0, 1, 0, 0, 0, 0, 1 };
	unsigned int i;
	uint64_t bytes;

	for (i = 0; i < 3; i++)
		fill(&self->arena, i, 2);
	touch(slot_page(&self->arena, 999, 0));
	ASSERT_EQ(0, trim(&self->arena, entries, COUNT(entries), &bytes));
	EXPECT_EQ(6 * PAGE, bytes);
	for (i = 0; i < COUNT(entries); i++)
		EXPECT_EQ(good[i] ? (int64_t)(2 * PAGE) : -EINVAL,
			  entries[i].result);
	EXPECT_EQ(1, slot_pages(&self->arena, 999));
}

/* Slots past the last one share its block. */
TEST_F(trim, a_run_ends_with_the_last_slot)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 5);
	struct burrow_trim_entry entries[8];
	unsigned int i;
	uint64_t bytes;

	for (i = 0; i < 5; i++)
		fill(&arena, i, 3);
	for (i = 0; i < 8; i++)
		entries[i] = (struct burrow_trim_entry){ .slot = i };
	ASSERT_EQ(0, trim(&arena, entries, 8, &bytes));
	EXPECT_EQ(5 * 3 * PAGE, bytes);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i < 5 ? (int64_t)(3 * PAGE) : -EINVAL,
			  entries[i].result);
}

TEST_F(trim, another_word_means_hands_off)
{
	struct burrow_trim_entry entries[16];
	uint64_t bytes, races = context_stats(self->fd).trim_races;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		fill(&self->arena, i, 5);
		self->arena.table[i].word = 1000 + i;
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = PAGE,
			.word = 1000 + i,
		};
	}
	entries[0].word = 0;
	entries[5].word++;
	entries[6].word = ~0ULL;
	entries[15].word ^= 1ULL << 63;
	ASSERT_EQ(0, trim(&self->arena, entries, 16, &bytes));
	EXPECT_EQ(12 * 4 * PAGE, bytes);
	for (i = 0; i < 16; i++) {
		bool other = entries[i].word != 1000 + i;

		EXPECT_EQ(other ? -EAGAIN : (int64_t)(4 * PAGE),
			  entries[i].result);
		EXPECT_EQ(other ? 5 : 1, slot_pages(&self->arena, i));
		EXPECT_TRUE(filled(&self->arena, i, other ? 5 : 1));
	}
	EXPECT_EQ(races + 4, context_stats(self->fd).trim_races);
	EXPECT_EQ(12, context_stats(self->fd).trims);
}

TEST_F(trim, a_table_that_was_never_touched_says_0)
{
	struct burrow_trim_entry entry = { .slot = 10, .word = 1 };
	struct arena arena;

	fill(&self->arena, 10, 2);
	ASSERT_EQ(0, trim(&self->arena, &entry, 1, NULL));
	EXPECT_EQ(-EAGAIN, entry.result);
	entry.word = 0;
	ASSERT_EQ(0, trim(&self->arena, &entry, 1, NULL));
	EXPECT_EQ((int64_t)(2 * PAGE), entry.result);
	EXPECT_EQ(0, context_stats(self->fd).table_bytes);

	/* Nor need it be mapped. */
	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	arena.base = address_space(arena.create.bytes);
	arena_map_piece(&arena, arena.base, 0, arena.create.bytes);
	fill(&arena, 1, 2);
	entry = (struct burrow_trim_entry){ .slot = 1 };
	ASSERT_EQ(0, trim(&arena, &entry, 1, NULL));
	EXPECT_EQ((int64_t)(2 * PAGE), entry.result);
}

/* What the user writes into a table is a label and a compare word, no more. */
TEST_F(trim, nonsense_in_the_table_does_no_harm)
{
	uint64_t i, *words = (uint64_t *)self->arena.table;

	for (i = 0; i < self->arena.create.table_bytes / 8; i++)
		words[i] = i * 0x9e3779b97f4a7c15;
	for (i = 0; i < 1000; i++) {
		fill(&self->arena, i, 2);
		EXPECT_EQ((int64_t)PAGE, trim_slot(&self->arena, i, PAGE));
		EXPECT_TRUE(filled(&self->arena, i, 1));
	}
}

TEST_F(trim, an_arena_that_is_not_mapped)
{
	struct burrow_trim_entry entries[4] = {
		{ .slot = 0 },
		{ .slot = 1 },
		{ .slot = 2 },
		{ .slot = 9999 },
	};
	struct arena arena;
	uint64_t bytes;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	ASSERT_EQ(0, trim(&arena, entries, 4, &bytes));
	EXPECT_EQ(0, bytes);
	EXPECT_EQ(0, entries[0].result);
	EXPECT_EQ(-EINVAL, entries[3].result);
}

/* Pieces of an arena mapped back to front: the page offset is what counts. */
TEST_F(trim, pieces_that_are_not_in_order)
{
	struct burrow_trim_entry entries[32];
	struct arena arena;
	char *at;
	uint64_t i, block, bytes;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .stride = KIB(256),
					       .slots = 32,
				       });
	at = address_space(arena.create.bytes);
	for (block = 0; block < 4; block++)
		arena_map_piece(&arena, at + block * MIB(2),
				(3 - block) * MIB(2), MIB(2));
	for (i = 0; i < 32; i++) {
		/* The block's own arithmetic: as if it alone were mapped. */
		arena.base = at + (3 - i / 8) * MIB(2) - i / 8 * MIB(2);
		fill(&arena, i, 6);
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = i % 4 * PAGE,
		};
	}
	ASSERT_EQ(0, trim(&arena, entries, 32, &bytes));
	EXPECT_EQ(8 * (6 + 5 + 4 + 3) * PAGE, bytes);
	for (i = 0; i < 32; i++) {
		arena.base = at + (3 - i / 8) * MIB(2) - i / 8 * MIB(2);
		EXPECT_EQ(i % 4, slot_pages(&arena, i));
		EXPECT_TRUE(filled(&arena, i, i % 4));
	}
}

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

/* ---- arguments on the arena's own stacks ------------------------------------ */

TEST_F(trim, entries_on_the_stack_that_is_trimmed)
{
	struct burrow_trim_entry *entries;
	struct burrow_trim *args;
	uint64_t i;

	/* Far below: the results are written where pages were just taken. */
	entries = (void *)slot_page(&self->arena, 0, 50);
	args = (void *)slot_page(&self->arena, 1, 30);
	for (i = 0; i < 200; i++)
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = PAGE,
		};
	*args = (struct burrow_trim){
		.size = sizeof(*args),
		.arena = self->arena.create.arena,
		.count = 200,
		.entries = (uintptr_t)entries,
	};
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_TRIM, args));
	EXPECT_EQ(200, args->done);
	EXPECT_LE((51 + 31 - 2) * PAGE, args->bytes);
}

TEST_F(trim, every_argument_on_a_stack_never_touched)
{
	char *at = slot_top(&self->arena, 0);
	struct burrow_context_stats *stats;
	struct burrow_slot_info *info;
	struct burrow_dirty *dirty;
	struct burrow_version *version;

	version = (void *)(slot_top(&self->arena, 0) - sizeof(*version));
	EXPECT_EQ(-EINVAL, call(self->fd, BURROW_IOC_VERSION, version));

	touch(slot_page(&self->arena, 7, 2));
	info = (void *)(slot_top(&self->arena, 1) - sizeof(*info));
	*info = (struct burrow_slot_info){
		.size = sizeof(*info),
		.arena = self->arena.create.arena,
		.first = 0,
		.count = 1000,
		.states = (uintptr_t)(slot_top(&self->arena, 2) - KIB(32)),
	};
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_SLOT_INFO, info));
	EXPECT_EQ(1000, info->done);
	EXPECT_EQ(3 * PAGE,
		  ((struct burrow_slot_state *)(slot_top(&self->arena, 2) -
						KIB(32)))[7]
			  .bytes);

	dirty = (void *)(slot_top(&self->arena, 3) - sizeof(*dirty));
	*dirty = (struct burrow_dirty){
		.size = sizeof(*dirty),
		.arena = self->arena.create.arena,
		.pages = 64000,
		.bitmap = (uintptr_t)(slot_top(&self->arena, 4) - KIB(8)),
	};
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_DIRTY, dirty));
	EXPECT_EQ(64000, dirty->done);

	stats = (void *)(slot_top(&self->arena, 5) - sizeof(*stats));
	*stats = (struct burrow_context_stats){ .size = sizeof(*stats) };
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_STATS, stats));
	EXPECT_LE(6 * PAGE, stats->stack_bytes);
	(void)at;
}

struct on_arena {
	struct arena *arena;
	uint64_t slot;
	int failed;
};

static __attribute__((noinline)) int deep(unsigned int levels)
{
	volatile char frame[2000];

	frame[levels % sizeof(frame)] = 1;
	return levels ? deep(levels - 1) + frame[levels % sizeof(frame)] : 0;
}

/* Runs on a slot of the arena and trims it below itself. */
static void *runs_on_the_arena(void *arg)
{
	struct on_arena *o = arg;
	char here[512];
	uint64_t live = slot_top(o->arena, o->slot) - here + KIB(8);
	unsigned int i;

	memset(here, 0x5a, sizeof(here));
	for (i = 0; i < 50 && !o->failed; i++) {
		if (deep(40) != 40)
			o->failed = 1;
		if (trim_slot(o->arena, o->slot, live) < 0)
			o->failed = 2;
		if (!is_filled(here, 0x5a, sizeof(here)))
			o->failed = 3;
	}
	return NULL;
}

TEST_F(trim, threads_that_run_on_the_arena)
{
	struct on_arena o[4];
	pthread_t threads[4];
	pthread_attr_t attr;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		o[i] = (struct on_arena){ .arena = &self->arena, .slot = i };
		pthread_attr_init(&attr);
		ASSERT_EQ(0, pthread_attr_setstack(
				     &attr, slot_limit(&self->arena, i),
				     KIB(256) - self->arena.create.guard));
		ASSERT_EQ(0, pthread_create(&threads[i], &attr,
					    runs_on_the_arena, &o[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, o[i].failed);
	}
}

/* ---- many at a time --------------------------------------------------------- */

TEST_F(trim, many_entries)
{
	const unsigned int n = 20000;
	struct burrow_trim_entry *entries = calloc(n, sizeof(*entries));
	struct arena arena = stack_arena(self->fd, KIB(16), n);
	uint64_t bytes;
	unsigned int i;

	for (i = 0; i < n; i++) {
		*(uint64_t *)(slot_top(&arena, i) - 8) = i;
		*(uint64_t *)(slot_top(&arena, i) - PAGE - 8) = i;
		entries[i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = 8,
		};
	}
	ASSERT_EQ(0, trim(&arena, entries, n, &bytes));
	EXPECT_EQ(n * PAGE, bytes);
	for (i = 0; i < n; i++)
		ASSERT_EQ(i, *(uint64_t *)(slot_top(&arena, i) - 8));
}

static int trims_for_ever(void *arg)
{
	const struct arena *parent = arg;
	unsigned int n = 1U << 20, i;
	struct burrow_trim_entry *entries = calloc(n, sizeof(*entries));
	int fd = context_open();
	struct arena arena = stack_arena(fd, KIB(256), 1000);
	struct burrow_trim args = {
		.size = sizeof(args),
		.arena = arena.create.arena,
		.count = n,
		.entries = (uintptr_t)entries,
	};

	(void)parent;
	for (i = 0; i < n; i++)
		entries[i].slot = i % 1000;
	for (;;) {
		args.done = 0;
		args.bytes = 0;
		if (call(fd, BURROW_IOC_TRIM, &args))
			return 1;
	}
}

TEST_F(trim, a_kill_ends_it)
{
	pid_t pid = child_start(trims_for_ever, &self->arena);
	uint64_t begin;

	nap_ms(300);
	begin = now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, child_status(pid));
	EXPECT_GT(3000000000ULL * time_scale(), now_ns() - begin);
}

/* ---- against those who run --------------------------------------------------- */

static atomic_bool stop;

struct scribbler {
	char *at;
	unsigned long wrote;
};

static void *scribbles(void *arg)
{
	struct scribbler *s = arg;

	while (!stop) {
		*(volatile char *)s->at = 0xee;
		s->wrote++;
	}
	return NULL;
}

/*
 * A thread writes on and on to a page that is taken from under it and given to
 * another stack: no write of its may land there.
 */
TEST_F(trim, no_stale_translation_is_left)
{
	struct scribbler s = { .at = slot_page(&self->arena, 0, 0) };
	pthread_t thread = thread_start(scribbles, &s);
	uint64_t end = now_ns() + 1500000000ULL, other;
	unsigned long rounds = 0, spin;

	while (now_ns() < end) {
		other = 8 + rounds++ % 16;
		trim_slot(&self->arena, 0, 0);
		memset(slot_page(&self->arena, other, 3), 0x11, 4 * PAGE);
		for (spin = 0; spin < 20000; spin++)
			__asm__ volatile("" ::: "memory");
		ASSERT_TRUE(is_filled(slot_page(&self->arena, other, 3), 0x11,
				      4 * PAGE));
		trim_slot(&self->arena, other, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(10, rounds);
	EXPECT_LT(rounds, s.wrote);
}

/*
 * The race that the slot's word settles. Sleepers' stacks are trimmed all the
 * time by the word and depth that were seen, while their owners wake them:
 * change the word, run below the old depth, look that nothing was lost, and
 * park at another depth.
 */
#define SLEEPERS 12
#define WAKERS_MAX 3
#define LEVELS 24 /* pages that a stack uses at most */

struct sleeper {
	_Atomic uint32_t live; /* pages in use while parked */
	uint64_t stamp[LEVELS]; /* what was written to each page */
};

struct race {
	struct arena *arena;
	struct sleeper sleepers[SLEEPERS];
	unsigned int wakers;
	atomic_ulong wakes, trimmed, refused, lost;
};

static void stamp_page(struct race *r, unsigned int slot, unsigned int depth,
		       uint64_t stamp)
{
	uint64_t *page = (uint64_t *)slot_page(r->arena, slot, depth);

	/* Both ends and the middle: recycled pages are not zeroed. */
	page[0] = stamp;
	page[200] = stamp + 1;
	page[511] = stamp + 2;
	r->sleepers[slot].stamp[depth] = stamp;
}

static bool page_is_stamped(struct race *r, unsigned int slot,
			    unsigned int depth)
{
	uint64_t *page = (uint64_t *)slot_page(r->arena, slot, depth);
	uint64_t stamp = r->sleepers[slot].stamp[depth];

	return page[0] == stamp && page[200] == stamp + 1 &&
	       page[511] == stamp + 2;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One wake-up; the slot is this thread's, only its word is anybody's. */
static void wake(struct race *r, unsigned int slot, uint64_t *random)
{
	struct sleeper *s = &r->sleepers[slot];
	uint64_t *word = (uint64_t *)&r->arena->table[slot].word;
	unsigned int live = s->live, depth, top, park;
	uint64_t seen = *word;

	__atomic_store_n(word, seen + 1, __ATOMIC_SEQ_CST);
	top = live + 1 + next_random(random) % (LEVELS - live);
	for (depth = live; depth < top; depth++)
		stamp_page(r, slot, depth, next_random(random));
	if (next_random(random) % 4 == 0)
		sched_yield();
	for (depth = 0; depth < top; depth++)
		if (!page_is_stamped(r, slot, depth))
			atomic_fetch_add(&r->lost, 1);
	park = 1 + next_random(random) % 6;
	s->live = park < top ? park : top;
	__atomic_store_n(word, seen + 2, __ATOMIC_SEQ_CST);
	atomic_fetch_add(&r->wakes, 1);
}

struct waker {
	struct race *race;
	unsigned int number;
};

static void *wakes(void *arg)
{
	struct waker *w = arg;
	uint64_t random = 88172645463325252ULL + w->number;
	unsigned int slot;

	while (!stop) {
		slot = next_random(&random) % (SLEEPERS / w->race->wakers) *
			       w->race->wakers +
		       w->number;
		wake(w->race, slot, &random);
	}
	return NULL;
}

static void *trims(void *arg)
{
	struct race *r = arg;
	struct burrow_trim_entry entries[SLEEPERS];
	unsigned int i, n, first, round = 0;

	while (!stop) {
		/* Now all of them as a run, now some, now one. */
		n = 1 + round % SLEEPERS;
		first = round++ % (SLEEPERS - n + 1);
		for (i = 0; i < n; i++) {
			entries[i].slot = first + i;
			entries[i].word = __atomic_load_n(
				&r->arena->table[first + i].word,
				__ATOMIC_ACQUIRE);
			entries[i].keep = r->sleepers[first + i].live * PAGE;
			/* Odd: it runs, and a runtime would leave it alone. */
			if (entries[i].word & 1)
				entries[i].word--;
		}
		if (trim(r->arena, entries, n, NULL))
			die("trim");
		for (i = 0; i < n; i++) {
			if (entries[i].result > 0)
				atomic_fetch_add(&r->trimmed, 1);
			else if (entries[i].result == -EAGAIN)
				atomic_fetch_add(&r->refused, 1);
			else if (entries[i].result)
				die("trim: %lld", (long long)entries[i].result);
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(trim, wakes_that_race, 3600)
{
	static struct race r;
	struct waker wakers[WAKERS_MAX];
	pthread_t threads[WAKERS_MAX + 1];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t random = 1;
	unsigned int i;

	r.arena = &self->arena;
	/* One CPU is for the trimmer, if there are two. */
	r.wakers = cpus > WAKERS_MAX ? WAKERS_MAX : cpus > 1 ? cpus - 1 : 1;
	for (i = 0; i < SLEEPERS; i++)
		wake(&r, i, &random);
	for (i = 0; i < r.wakers; i++) {
		wakers[i] = (struct waker){ &r, i };
		threads[i] = thread_start(wakes, &wakers[i]);
	}
	threads[i] = thread_start(trims, &r);
	nap_ms(seconds_of_stress(8) * 1000);
	stop = true;
	for (i = 0; i <= r.wakers; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu wakes, %lu trimmed, %lu refused, %lu lost", r.wakes,
	       r.trimmed, r.refused, r.lost);
	EXPECT_EQ(0, r.lost);
	EXPECT_LT(100, r.wakes);
	EXPECT_LT(100, r.trimmed);
	EXPECT_LT(0, r.refused);
}

ARENA_TEST_MAIN
