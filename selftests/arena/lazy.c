// SPDX-License-Identifier: GPL-2.0
/*
 * Lazy trim: pages stay until somebody needs them, and then go from those that
 * were trimmed longest ago and have slept since. Against those who wake at the
 * same time: trim_race.c. When the system is short of memory: pressure.c.
 */
#include <sys/uio.h>

#include "trim.h"

#define CONTEXT_LIMIT "/sys/module/burrow/parameters/context_limit"

/* Slots [0, @n) get @pages each, of which @keep stay. */
static void trim_many_later(const struct arena *arena, uint64_t n,
			    uint64_t pages, uint64_t keep)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		fill(arena, i, pages);
	for (i = 0; i < n; i++)
		if (trim_slot_later(arena, i, keep * PAGE) !=
		    (int64_t)((pages - keep) * PAGE))
			die("lazy trim of slot %llu", (unsigned long long)i);
}

TEST_F(trim, pages_stay_until_they_are_needed)
{
	struct burrow_context_stats before, after;
	uint64_t i;

	trim_many_later(&self->arena, 100, 8, 1);
	before = context_stats(self->fd);
	EXPECT_EQ(700 * PAGE, before.lazy_bytes);
	EXPECT_EQ(800 * PAGE, before.stack_bytes);
	EXPECT_EQ(0, before.pool_bytes);
	EXPECT_EQ(100, before.lazy_trims);
	EXPECT_EQ(0, before.lazy_taken);
	EXPECT_EQ(0, before.trims);
	/* And stay mapped: nobody faults. */
	for (i = 0; i < 100; i++)
		EXPECT_TRUE(filled(&self->arena, i, 8));
	after = context_stats(self->fd);
	EXPECT_EQ(before.faults, after.faults);

	after = context_drain(self->fd);
	EXPECT_EQ(0, after.lazy_bytes);
	EXPECT_EQ(0, after.pool_bytes);
	EXPECT_EQ(100 * PAGE, after.stack_bytes);
	EXPECT_EQ(100, after.lazy_taken);
	EXPECT_EQ(100, after.trims);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(1, slot_pages(&self->arena, i));
		EXPECT_TRUE(filled(&self->arena, i, 1));
	}
}

TEST_F(trim, results_of_a_lazy_trim)
{
	struct burrow_trim_entry entries[6] = {
		{ .slot = 0, .keep = PAGE + 1 }, /* had 5 */
		{ .slot = 1, .keep = 5 * PAGE }, /* had 5 */
		{ .slot = 2 }, /* was never touched */
		{ .slot = 500 }, /* nor was its block */
		{ .slot = 1000 }, /* there is none */
		{ .slot = 3, .word = 7 }, /* another word */
	};
	uint64_t bytes, races = context_stats(self->fd).trim_races;

	fill(&self->arena, 0, 5);
	fill(&self->arena, 1, 5);
	fill(&self->arena, 3, 5);
	ASSERT_EQ(0, trim_with(&self->arena, BURROW_TRIM_LAZY, entries, 6,
			       &bytes));
	EXPECT_EQ(3 * PAGE, bytes);
	EXPECT_EQ((int64_t)(3 * PAGE), entries[0].result);
	EXPECT_EQ(0, entries[1].result);
	EXPECT_EQ(0, entries[2].result);
	EXPECT_EQ(0, entries[3].result);
	EXPECT_EQ(-EINVAL, entries[4].result);
	EXPECT_EQ(-EAGAIN, entries[5].result);
	EXPECT_EQ(races + 1, context_stats(self->fd).trim_races);
	EXPECT_EQ(3 * PAGE, context_stats(self->fd).lazy_bytes);
	context_drain(self->fd);
	EXPECT_EQ(2, slot_pages(&self->arena, 0));
	EXPECT_EQ(5, slot_pages(&self->arena, 1));
	EXPECT_EQ(5, slot_pages(&self->arena, 3));
}

TEST_F(trim, a_stack_that_grows_takes_them)
{
	struct burrow_context_stats stats;

	trim_many_later(&self->arena, 20, 16, 2);
	stats = context_stats(self->fd);
	/* The next one finds no pool, and takes from the first. */
	touch(slot_page(&self->arena, 100, 9));
	EXPECT_EQ(stats.fresh, context_stats(self->fd).fresh);
	EXPECT_EQ(10, context_stats(self->fd).recycled);
	EXPECT_EQ(1, context_stats(self->fd).lazy_taken);
	EXPECT_EQ(2, slot_pages(&self->arena, 0));
	EXPECT_TRUE(filled(&self->arena, 0, 2));
	EXPECT_EQ(16, slot_pages(&self->arena, 1));
	/* Enough of them for many pages at a time. */
	touch(slot_page(&self->arena, 101, 55));
	EXPECT_EQ(stats.fresh, context_stats(self->fd).fresh);
	EXPECT_EQ(66, context_stats(self->fd).recycled);
	EXPECT_GE(context_stats(self->fd).lazy_bytes, 14 * 14 * PAGE);
	/* What was trimmed last is there still. */
	EXPECT_EQ(16, slot_pages(&self->arena, 19));
	EXPECT_TRUE(filled(&self->arena, 19, 16));
}

TEST_F(trim, the_one_trimmed_longest_ago_goes_first)
{
	trim_many_later(&self->arena, 3, 50, 0);
	/* Again: now it is the last. */
	trim_slot_later(&self->arena, 0, 0);
	touch(slot_page(&self->arena, 100, 0));
	EXPECT_EQ(50, slot_pages(&self->arena, 0));
	EXPECT_EQ(0, slot_pages(&self->arena, 1));
	EXPECT_EQ(50, slot_pages(&self->arena, 2));
	EXPECT_EQ(1, context_stats(self->fd).lazy_taken);
}

TEST_F(trim, a_slot_that_was_woken_keeps_all)
{
	uint64_t i, faults;

	trim_many_later(&self->arena, 16, 8, 0);
	for (i = 0; i < 16; i += 2)
		wake_slot(&self->arena, i);
	context_drain(self->fd);
	/* Nor is it unmapped for a moment. */
	faults = context_stats(self->fd).faults;
	for (i = 0; i < 16; i += 2)
		EXPECT_TRUE(filled(&self->arena, i, 8));
	EXPECT_EQ(faults, context_stats(self->fd).faults);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(i % 2 ? 0 : 8, slot_pages(&self->arena, i));
		EXPECT_TRUE(i % 2 || filled(&self->arena, i, 8));
	}
	EXPECT_EQ(0, context_stats(self->fd).lazy_bytes);
	EXPECT_EQ(8, context_stats(self->fd).lazy_taken);
	/* Woken is woken, though it may sleep again. */
	context_drain(self->fd);
	EXPECT_EQ(8, slot_pages(&self->arena, 0));
}

TEST_F(trim, the_last_trim_of_a_slot_counts)
{
	uint64_t i;

	for (i = 0; i < 3; i++)
		fill(&self->arena, i, 8);
	trim_slot_later(&self->arena, 0, 0);
	trim_slot_later(&self->arena, 0, 6 * PAGE);
	trim_slot_later(&self->arena, 1, 6 * PAGE);
	wake_slot(&self->arena, 1);
	trim_slot_later(&self->arena, 1, PAGE);
	trim_slot_later(&self->arena, 2, 0);
	EXPECT_EQ((2 + 7 + 8) * PAGE, context_stats(self->fd).lazy_bytes);
	/* One that takes pages now leaves nothing for later. */
	EXPECT_EQ((int64_t)(3 * PAGE), trim_slot(&self->arena, 2, 5 * PAGE));
	EXPECT_EQ((2 + 7) * PAGE, context_stats(self->fd).lazy_bytes);
	context_drain(self->fd);
	EXPECT_EQ(6, slot_pages(&self->arena, 0));
	EXPECT_EQ(1, slot_pages(&self->arena, 1));
	EXPECT_EQ(5, slot_pages(&self->arena, 2));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(filled(&self->arena, i,
				   i == 0 ? 6 :
				   i == 1 ? 1 :
					    5));
}

/* A fault does not wait until a gigabyte is unmapped. */
TEST_F(trim, a_deep_stack_goes_by_pieces)
{
	struct arena deep = stack_arena(self->fd, MIB(64), 1);
	uint64_t n = 5000, d, left;

	touch(slot_page(&deep, 0, n - 1));
	for (d = 0; d < n; d++)
		memset(slot_page(&deep, 0, d), mark(0, d), PAGE);
	trim_slot_later(&deep, 0, 10 * PAGE);
	touch(slot_page(&self->arena, 0, 0));
	left = slot_pages(&deep, 0);
	EXPECT_GT(n, left);
	EXPECT_LT(n - 200, left);
	EXPECT_EQ((left - 10) * PAGE, context_stats(self->fd).lazy_bytes);
	context_drain(self->fd);
	EXPECT_EQ(10, slot_pages(&deep, 0));
	EXPECT_TRUE(filled(&deep, 0, 10));
	EXPECT_EQ(0, context_stats(self->fd).lazy_bytes);
}

/* Whose user forgot the word: it is not its own pages that it gets. */
TEST_F(trim, not_from_the_stack_that_grows)
{
	uint64_t d;

	fill(&self->arena, 0, 4);
	trim_slot_later(&self->arena, 0, 0);
	for (d = 4; d < 50; d++)
		memset(slot_page(&self->arena, 0, d), mark(0, d), PAGE);
	EXPECT_TRUE(filled(&self->arena, 0, 50));
	EXPECT_EQ(0, context_stats(self->fd).recycled);
	EXPECT_EQ(0, context_stats(self->fd).lazy_bytes);
}

TEST_F(trim, from_a_neighbour_and_from_afar)
{
	struct arena other = stack_arena(self->fd, KIB(16), 300);
	uint64_t i, fresh;

	/* One in the block that grows, one in another, one in another arena. */
	fill(&self->arena, 1, 4);
	fill(&self->arena, 80, 4);
	fill(&other, 299, 2);
	trim_slot_later(&self->arena, 1, 0);
	trim_slot_later(&self->arena, 80, 0);
	trim_slot_later(&other, 299, 0);
	fresh = context_stats(self->fd).fresh;
	touch(slot_page(&self->arena, 2, 9));
	EXPECT_EQ(fresh, context_stats(self->fd).fresh);
	EXPECT_EQ(3, context_stats(self->fd).lazy_taken);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i == 2 ? 10 : 0, slot_pages(&self->arena, i));
}

TEST_F(trim, a_page_that_was_refused_is_found_there)
{
	struct arena heap = heap_arena(self->fd, MIB(16));
	struct burrow_context_stats stats;
	char before[64], text[32];
	unsigned int i, sig = 0;

	ASSERT_LT(0, slurp(CONTEXT_LIMIT, before, sizeof(before)));
	trim_many_later(&self->arena, 50, 40, 1);
	stats = context_stats(self->fd);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)stats.user_bytes + 20 * PAGE);
	if (spew(CONTEXT_LIMIT, text))
		SKIP(return, "cannot write " CONTEXT_LIMIT);
	for (i = 0; i < 50 * 39 && !sig; i++)
		sig = poke_write(heap.base + i * PAGE);
	spew(CONTEXT_LIMIT, before);
	EXPECT_EQ(0, sig) TH_LOG("page %u", i);
	EXPECT_EQ(0, context_stats(self->fd).limits);
	EXPECT_LT(40, context_stats(self->fd).lazy_taken);
	for (i = 0; i < 50; i++)
		EXPECT_TRUE(filled(&self->arena, i, 1));
}

/* ---- pages that others hold, or know ---------------------------------------- */

TEST_F(trim, a_page_in_a_pipe_is_not_recycled_later)
{
	char text[PAGE];
	struct iovec iov;
	int pair[2];
	uint64_t i;

	ASSERT_EQ(0, pipe(pair));
	fill(&self->arena, 0, 4);
	iov = (struct iovec){ slot_page(&self->arena, 0, 2), PAGE };
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	trim_slot_later(&self->arena, 0, 0);
	for (i = 1; i < 20; i++)
		fill(&self->arena, i, 4);
	EXPECT_EQ(0, slot_pages(&self->arena, 0));
	EXPECT_EQ(3, context_stats(self->fd).recycled);
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, mark(0, 2), PAGE));
}

TEST_F(trim, zeroed_where_that_was_asked_for)
{
	struct arena arena;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .flags = BURROW_ARENA_ZERO,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	arena_map(&arena);
	fill(&arena, 0, 4);
	trim_slot_later(&arena, 0, 0);
	touch(slot_page(&arena, 1, 3));
	EXPECT_EQ(4, context_stats(self->fd).recycled);
	EXPECT_TRUE(is_filled(slot_page(&arena, 1, 2), 0, PAGE));
}

/* A thread writes on to a page that goes from under it to another stack. */
static atomic_bool stop;

static void *scribbles(void *arg)
{
	while (!stop)
		*(volatile char *)arg = 0xee;
	return NULL;
}

TEST_F(trim, no_stale_translation_is_left_later)
{
	pthread_t thread =
		thread_start(scribbles, slot_page(&self->arena, 0, 0));
	uint64_t end = now_ns() + 1500000000ULL, other;
	unsigned long rounds = 0, spin;

	while (now_ns() < end) {
		other = 8 + rounds++ % 16;
		trim_slot_later(&self->arena, 0, 0);
		memset(slot_page(&self->arena, other, 3), 0x11, 4 * PAGE);
		for (spin = 0; spin < 20000; spin++)
			__asm__ volatile("" ::: "memory");
		ASSERT_TRUE(is_filled(slot_page(&self->arena, other, 3), 0x11,
				      4 * PAGE));
		trim_slot_later(&self->arena, other, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(10, rounds);
	EXPECT_LT(10, context_stats(self->fd).lazy_taken);
}

/* ---- mappings and processes that go ------------------------------------------ */

TEST_F(trim, mappings_that_go)
{
	struct arena other = stack_arena(self->fd, KIB(256), 16);
	struct burrow_context_stats stats;
	uint64_t i;

	for (i = 0; i < 16; i++)
		fill(&other, i, 8);
	trim_many_later(&self->arena, 16, 8, 0);
	for (i = 0; i < 16; i++)
		trim_slot_later(&other, i, 0);
	/* A part: its pages are taken from all the same. */
	ASSERT_EQ(0, munmap(self->arena.base, MIB(2)));
	ASSERT_EQ(0, madvise(self->arena.base + MIB(2), MIB(2), MADV_DONTNEED));
	touch(slot_page(&other, 0, 8));
	EXPECT_EQ(0, slot_pages(&self->arena, 0));
	/* All of one arena, with its table first: it is no longer asked. */
	munmap(other.table, other.create.table_bytes);
	munmap(other.base, other.create.bytes);
	ASSERT_EQ(0, arena_destroy(&other));
	stats = context_stats(self->fd);
	EXPECT_GE(15 * 8 * PAGE, stats.lazy_bytes);
	EXPECT_LT(0, stats.lazy_bytes);
	arena_unmap(&self->arena);
	EXPECT_EQ(0, context_stats(self->fd).lazy_bytes);
	ASSERT_EQ(0, arena_destroy(&self->arena));
	EXPECT_EQ(0, context_stats(self->fd).user_bytes);
}

static int leaves_them(void *arg UNUSED)
{
	int fd = context_open();
	struct arena arena = stack_arena(fd, KIB(256), 100);

	trim_many_later(&arena, 100, 4, 0);
	return context_stats(fd).lazy_bytes == 400 * PAGE ? 0 : 1;
}

TEST_F(trim, a_process_that_ends)
{
	uint64_t before = context_stats(self->fd).user_bytes;

	EXPECT_EQ(0, in_child(leaves_them, NULL));
	EXPECT_EQ(before, context_stats(self->fd).user_bytes);
}

static int sees_nothing(void *arg)
{
	const struct arena *arena = arg;

	return poke_read(slot_page(arena, 0, 0)) == SIGBUS ? 0 : 1;
}

TEST_F(trim, a_fork)
{
	pid_t pid;

	trim_many_later(&self->arena, 20, 8, 1);
	if (!madvise(self->arena.base, self->arena.create.bytes, MADV_DOFORK))
		EXPECT_EQ(0, in_child(sees_nothing, &self->arena));
	pid = child_start(leaves_them, NULL);
	touch(slot_page(&self->arena, 30, 9));
	context_drain(self->fd);
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(1, slot_pages(&self->arena, 19));
	EXPECT_TRUE(filled(&self->arena, 19, 1));
}

/* ---- many -------------------------------------------------------------------- */

TEST_F(trim, many_lazily)
{
	const unsigned int n = 20000;
	struct burrow_trim_entry *entries = calloc(n, sizeof(*entries));
	struct arena arena = stack_arena(self->fd, KIB(16), n);
	uint64_t bytes;
	unsigned int i;

	for (i = 0; i < n; i++) {
		*(uint64_t *)(slot_top(&arena, i) - 8) = i;
		*(uint64_t *)(slot_top(&arena, i) - PAGE - 8) = i;
		/* Backwards, so that neighbours are not. */
		entries[n - 1 - i] = (struct burrow_trim_entry){
			.slot = i,
			.keep = 8,
		};
	}
	ASSERT_EQ(0, trim_with(&arena, BURROW_TRIM_LAZY, entries, n, &bytes));
	EXPECT_EQ(n * PAGE, bytes);
	EXPECT_EQ(n * PAGE, context_stats(self->fd).lazy_bytes);
	context_drain(self->fd);
	EXPECT_EQ(n, context_stats(self->fd).lazy_taken);
	for (i = 0; i < n; i++)
		ASSERT_EQ(i, *(uint64_t *)(slot_top(&arena, i) - 8));
	free(entries);
}

ARENA_TEST_MAIN
