// SPDX-License-Identifier: GPL-2.0
/*
 * Trim: what it takes and what it leaves, one slot or many at a time, and with
 * its arguments on the stacks that it trims. Where the pages go is in recycle.c,
 * what happens to stacks that are woken meanwhile in trim_race.c.
 */
#include "trim.h"

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

ARENA_TEST_MAIN
