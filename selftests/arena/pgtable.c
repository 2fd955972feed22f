// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables of hibernated and empty slots are given back: they go, nothing else
 * does, and what is not as the arena was mapped is left alone. That it may be done
 * while stacks are used is shown by threads at the end.
 */
#include <sys/personality.h>

#include "hibernate.h"

#define LIVE 300

/* What /proc/self/status says of "@name:", in KiB. */
static uint64_t status_kib(const char *name)
{
	char text[4096], *at;

	if (slurp("/proc/self/status", text, sizeof(text)) < 0)
		die("/proc/self/status");
	at = strstr(text, name);
	if (!at)
		die("no %s in /proc/self/status", name);
	return strtoull(at + strlen(name) + 1, NULL, 10);
}

static unsigned int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int lines = 0;
	int c;

	if (!maps)
		die("/proc/self/maps");
	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

static int pgtables_of(const struct arena *arena, uint64_t first,
		       uint64_t slots, struct burrow_pgtables *told)
{
	*told = (struct burrow_pgtables){
		.size = sizeof(*told),
		.arena = arena->create.arena,
		.first = first,
		.slots = slots,
		.most = slots,
	};
	return call(arena->fd, BURROW_IOC_PGTABLES, told);
}

static int pgtables(const struct arena *arena, uint64_t first, uint64_t slots)
{
	struct burrow_pgtables told;

	return pgtables_of(arena, first, slots, &told);
}

static void park_and_hibernate(const struct arena *arena, uint64_t first,
			       uint64_t slots)
{
	struct burrow_hibernate_entry entry;
	uint64_t i;

	for (i = first; i < first + slots; i++)
		park(arena, i, 1, LIVE);
	for (i = first; i < first + slots; i++) {
		/* The word of a table that nobody mapped is 0. */
		entry = (struct burrow_hibernate_entry){
			.slot = i,
			.live = LIVE,
			.word = arena->table ? arena->table[i].word : 0,
		};
		if (hibernate(arena, &entry, 1, NULL) || entry.result < 0)
			die("cannot hibernate slot %llu",
			    (unsigned long long)i);
	}
}

static bool are_whole(const struct arena *arena, uint64_t first, uint64_t slots)
{
	uint64_t i;

	for (i = first; i < first + slots; i++)
		if (!is_whole(arena, i, LIVE))
			return false;
	return true;
}

/* ---- what goes, and what stays ---------------------------------------------- */

TEST_F(hibernate, page_tables_go_and_stacks_come_back)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 4096);
	struct burrow_pgtables told;
	uint64_t before, with, after, ns;

	before = status_kib("VmPTE");
	park_and_hibernate(&arena, 0, 4096);
	with = status_kib("VmPTE");
	/* Eight slots have a table of a page; hibernation leaves it there. */
	EXPECT_LE(before + 2048, with);
	ns = now_ns();
	ASSERT_EQ(0, pgtables_of(&arena, 0, 4096, &told));
	ns = now_ns() - ns;
	after = status_kib("VmPTE");
	TH_LOG("page tables of 4096 slots: %llu KiB, then %llu; %llu ns a slot",
	       (unsigned long long)(with - before),
	       (unsigned long long)(after - before),
	       (unsigned long long)(ns / 4096));
	EXPECT_LE(2048, with - after);
	EXPECT_GE(before + 16, after);
	EXPECT_EQ((with - after) * 1024, told.bytes);
	EXPECT_EQ(0, told.resident);
	EXPECT_EQ(told.bytes, context_stats(self->fd).pgtable_bytes);
	EXPECT_EQ(0, context_stats(self->fd).restores);
	EXPECT_TRUE(are_whole(&arena, 0, 4096));
	EXPECT_EQ(4096, context_stats(self->fd).restores);
	EXPECT_LE(before + 2048, status_kib("VmPTE"));
}

/* Empty ones, of a goroutine that ended, have tables too. */
TEST_F(hibernate, page_tables_of_empty_slots_go)
{
	struct burrow_pgtables told;
	uint64_t i;

	for (i = 0; i < 1000; i++) {
		park(&self->arena, i, 3, LIVE);
		trim_slot(&self->arena, i, 0);
	}
	ASSERT_EQ(0, pgtables_of(&self->arena, 0, 1000, &told));
	EXPECT_LE(125 * PAGE, told.bytes);
	touch(slot_page(&self->arena, 999, 40));
	EXPECT_EQ(41, slot_pages(&self->arena, 999));
}

TEST_F(hibernate, no_mapping_more_for_doing_it_again)
{
	struct arena arena = stack_arena(self->fd, KIB(256), 3 * 4096);
	struct burrow_pgtables told;
	unsigned int before = mappings(), i, chunk;

	for (i = 0; i < 5; i++) {
		for (chunk = 0; chunk < 3; chunk++) {
			park_and_hibernate(&arena, chunk * 4096, 80);
			ASSERT_EQ(0, pgtables_of(&arena, chunk * 4096, 4096,
						 &told));
			EXPECT_LE(10 * PAGE, told.bytes);
		}
		EXPECT_EQ(before + 2, mappings());
		for (chunk = 0; chunk < 3; chunk++)
			EXPECT_TRUE(are_whole(&arena, chunk * 4096, 80));
	}
}

/* A slot that has pages has them afterwards, and one that was written is dirty. */
TEST_F(hibernate, resident_slots_keep_pages_and_dirt)
{
	static uint64_t bits[1000 * 64 / 64];
	uint64_t pages = self->arena.create.bytes / PAGE, i, page;
	struct burrow_pgtables told;

	park_and_hibernate(&self->arena, 0, 1000);
	for (i = 3; i < 1000; i += 100)
		park(&self->arena, i, 20, 70000);
	ASSERT_LT(0, harvest(&self->arena, 0, pages, bits));
	for (i = 3; i < 1000; i += 100)
		*(volatile char *)slot_page(&self->arena, i, 19) = 0xdd;
	ASSERT_EQ(0, pgtables_of(&self->arena, 0, 1000, &told));
	EXPECT_EQ(10, told.resident);
	EXPECT_LT(100 * PAGE, told.bytes);
	EXPECT_EQ(10 * 20 * PAGE, context_stats(self->fd).stack_bytes);
	EXPECT_EQ(10, harvest(&self->arena, 0, pages, bits));
	for (i = 3; i < 1000; i += 100) {
		page = (i + 1) * 64 - 20;
		EXPECT_TRUE(bit_set(bits, page));
		EXPECT_TRUE(is_whole(&self->arena, i, 70000));
		EXPECT_EQ(20, slot_pages(&self->arena, i));
	}
	EXPECT_EQ(10, context_stats(self->fd).restores);
	EXPECT_TRUE(are_whole(&self->arena, 4, 50));
}

/* If it is the only mapping of the context, neither arena nor pool is emptied. */
TEST_F(hibernate, the_only_mapping_of_all)
{
	struct burrow_context_stats stats;
	struct arena arena;
	int fd = context_open();

	arena = arena_create(fd, (struct burrow_arena_create){
					 .kind = BURROW_ARENA_STACK,
					 .stride = KIB(256),
					 .slots = 64,
				 });
	arena.base = address_space(arena.create.bytes);
	arena_map_piece(&arena, arena.base, 0, arena.create.bytes);
	park_and_hibernate(&arena, 0, 64);
	park(&arena, 5, 4, 10000);
	stats = context_stats(fd);
	ASSERT_LT(0, stats.pool_bytes);
	ASSERT_EQ(0, pgtables(&arena, 0, 64));
	EXPECT_EQ(stats.pool_bytes, context_stats(fd).pool_bytes);
	EXPECT_EQ(stats.saved_bytes, context_stats(fd).saved_bytes);
	EXPECT_TRUE(is_whole(&arena, 5, 10000));
	EXPECT_TRUE(are_whole(&arena, 6, 58));
	/* And when it goes, all goes. */
	EXPECT_EQ(-EBUSY, arena_destroy(&arena));
	munmap(arena.base, arena.create.bytes);
	EXPECT_EQ(0, context_stats(fd).stack_bytes);
	EXPECT_EQ(0, context_stats(fd).pool_bytes);
	EXPECT_EQ(0, arena_destroy(&arena));
	close(fd);
}

/* Live bytes that lie in many tables, and a table for each slot or more. */
TEST_F(hibernate, strides_of_a_block_and_more)
{
	static const uint64_t strides[] = { MIB(2), MIB(8), GIB(1) };
	struct burrow_pgtables told;
	struct arena arena;
	uint64_t slots, i;

	for (i = 0; i < COUNT(strides); i++) {
		slots = strides[i] == GIB(1) ? 1 : 20;
		arena = stack_arena(self->fd, strides[i], 3 * slots);
		park(&arena, slots, 400, LIVE);
		EXPECT_LT(0, hibernate_slot(&arena, slots, LIVE));
		park_and_hibernate(&arena, slots, slots);
		ASSERT_EQ(0, pgtables_of(&arena, slots, slots, &told))
		TH_LOG("stride %llu", (unsigned long long)strides[i]);
		EXPECT_LE(slots * PAGE, told.bytes);
		EXPECT_TRUE(are_whole(&arena, slots, slots));
		arena_unmap(&arena);
	}
}

/* ---- when it is not worth it ------------------------------------------------ */

TEST_F(hibernate, only_as_much_as_was_asked_for)
{
	struct burrow_pgtables args = {
		.size = sizeof(args),
		.arena = self->arena.create.arena,
		.slots = 1000,
		.least = 100 * PAGE + 1,
		.most = 2,
	};

	park_and_hibernate(&self->arena, 0, 800);
	park(&self->arena, 801, 1, LIVE);
	park(&self->arena, 802, 1, LIVE);
	/* A hundred blocks are worth a page each, the next one is in use. */
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_PGTABLES, &args));
	EXPECT_EQ(0, args.bytes);
	EXPECT_EQ(2, args.resident);
	args.least--;
	args.most = 1;
	args.resident = 0;
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_PGTABLES, &args));
	EXPECT_EQ(0, args.bytes);
	EXPECT_EQ(2, args.resident);
	EXPECT_EQ(0, context_stats(self->fd).pgtable_bytes);
	args.most = 2;
	args.resident = 0;
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_PGTABLES, &args));
	EXPECT_LE(101 * PAGE, args.bytes);
	EXPECT_EQ(2, args.resident);
	/* Nothing was mapped since. */
	EXPECT_EQ(0, pgtables_of(&self->arena, 0, 1000, &args));
	EXPECT_EQ(0, args.bytes);
	EXPECT_EQ(0, args.resident);
	/* One was, and hibernates again. */
	EXPECT_TRUE(is_whole(&self->arena, 17, LIVE));
	hibernate_slot(&self->arena, 17, LIVE);
	EXPECT_EQ(0, pgtables_of(&self->arena, 0, 1000, &args));
	EXPECT_LE(PAGE, args.bytes);
	EXPECT_TRUE(are_whole(&self->arena, 801, 2));
}

TEST_F(hibernate, ranges_that_are_none)
{
	static const struct {
		uint64_t first, slots;
	} bad[] = {
		{ 0, 0 },     { 0, 1 },	      { 1, 8 },		 { 4, 8 },
		{ 0, 12 },    { 0, 1001 },    { 1000, 1 },	 { 1000, 0 },
		{ 1008, 8 },  { 0, ~0ULL },   { ~0ULL, 1 },	 { ~7ULL, 8 },
		{ 8, ~7ULL }, { 0, 1 << 31 }, { 1ULL << 46, 8 },
	};
	struct arena arena = stack_arena(self->fd, KIB(256), 8192);
	size_t i;

	for (i = 0; i < COUNT(bad); i++)
		EXPECT_EQ(-EINVAL,
			  pgtables(&self->arena, bad[i].first, bad[i].slots))
	TH_LOG("%llu slots from %llu", (unsigned long long)bad[i].slots,
	       (unsigned long long)bad[i].first);
	/* A gigabyte, and no more. */
	EXPECT_EQ(0, pgtables(&arena, 4096, 4096));
	EXPECT_EQ(-EINVAL, pgtables(&arena, 0, 4104));
	/* The last block need not be full. */
	arena = stack_arena(self->fd, KIB(256), 9);
	park_and_hibernate(&arena, 0, 9);
	EXPECT_EQ(0, pgtables(&arena, 8, 1));
	EXPECT_EQ(0, pgtables(&arena, 0, 9));
	EXPECT_TRUE(are_whole(&arena, 0, 9));
}

/* ---- what is left alone ----------------------------------------------------- */

TEST_F(hibernate, a_hole_stays_a_hole)
{
	char *hole = self->arena.base + MIB(100);
	struct burrow_pgtables told;
	unsigned int before;

	park_and_hibernate(&self->arena, 0, 1000);
	munmap(hole, MIB(2));
	before = mappings();
	EXPECT_EQ(-ENXIO, pgtables_of(&self->arena, 0, 1000, &told));
	EXPECT_EQ(0, told.bytes);
	EXPECT_EQ(before, mappings());
	EXPECT_EQ(SIGSEGV, poke_read(hole + MIB(2) - 1));
	EXPECT_TRUE(are_whole(&self->arena, 0, 400));
	EXPECT_TRUE(are_whole(&self->arena, 408, 592));
	/* Beside it nothing is in the way. */
	park_and_hibernate(&self->arena, 0, 400);
	EXPECT_EQ(0, pgtables_of(&self->arena, 0, 400, &told));
	EXPECT_LE(50 * PAGE, told.bytes);
	/* All in three pieces becomes one. */
	arena_map_piece(&self->arena, hole, MIB(100), MIB(2));
	park_and_hibernate(&self->arena, 600, 8);
	EXPECT_EQ(0, pgtables(&self->arena, 0, 1000));
	EXPECT_GT(before, mappings());
	EXPECT_TRUE(are_whole(&self->arena, 0, 1000));
}

TEST_F(hibernate, what_others_mapped_there_stays)
{
	char *there = self->arena.base + MIB(100), *elsewhere;
	struct burrow_pgtables told;

	park_and_hibernate(&self->arena, 0, 1000);
	ASSERT_EQ(there, mmap(there, MIB(2), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(there, 'x', MIB(2));
	EXPECT_EQ(-ENXIO, pgtables_of(&self->arena, 0, 1000, &told));
	EXPECT_TRUE(is_filled(there, 'x', MIB(2)));

	/* Another part of the same arena, where it does not belong. */
	arena_map_piece(&self->arena, there, MIB(200), MIB(2));
	EXPECT_EQ(-ENXIO, pgtables_of(&self->arena, 0, 1000, &told));
	EXPECT_TRUE(is_whole(&self->arena, 800, LIVE));
	EXPECT_TRUE(are_live(there + KIB(256), 800, LIVE));
	arena_map_piece(&self->arena, there, MIB(100), MIB(2));

	/* All of it elsewhere: where it was is not the arena's any more. */
	elsewhere = address_space(self->arena.create.bytes);
	arena_map_piece(&self->arena, elsewhere, 0, self->arena.create.bytes);
	munmap(self->arena.base, self->arena.create.bytes);
	self->arena.base = elsewhere;
	hibernate_slot(&self->arena, 800, LIVE);
	EXPECT_EQ(0, pgtables(&self->arena, 0, 1000));
	EXPECT_TRUE(are_whole(&self->arena, 0, 1000));
}

/* What the new mapping would not be, the old one is left at. */
TEST_F(hibernate, mappings_that_were_changed_stay_as_they_are)
{
	static const struct {
		int change, back;
	} advice[] = {
		{ MADV_RANDOM, MADV_SEQUENTIAL },
		{ MADV_DOFORK, MADV_DONTFORK },
	};
	struct arena *arena = &self->arena;
	char *some = arena->base + MIB(100);
	size_t i;

	park_and_hibernate(arena, 0, 1000);
	ASSERT_EQ(0, mprotect(some, MIB(2), PROT_READ));
	EXPECT_EQ(-ENXIO, pgtables(arena, 0, 1000));
	EXPECT_EQ(SIGSEGV, poke_write(some + MIB(2) - 1));
	ASSERT_EQ(0, mprotect(some, MIB(2), PROT_READ | PROT_WRITE));
	for (i = 0; i < COUNT(advice); i++) {
		/* Newer kernels take no advice on forks here. */
		if (madvise(some, MIB(2), advice[i].change))
			continue;
		EXPECT_EQ(-ENXIO, pgtables(arena, 0, 1000))
		TH_LOG("advice %d", advice[i].change);
		ASSERT_EQ(0, madvise(some, MIB(2), advice[i].back));
	}
	EXPECT_EQ(0, context_stats(self->fd).pgtable_bytes);
	EXPECT_EQ(0, pgtables(arena, 0, 1000));
	EXPECT_LT(0, context_stats(self->fd).pgtable_bytes);
	EXPECT_TRUE(are_whole(arena, 0, 1000));
}

/* Kept out of dumps by who asked for them in: the new mapping would be in. */
TEST_F(hibernate, who_is_not_to_be_dumped_stays_so)
{
	struct arena arena;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .flags = BURROW_ARENA_DUMP,
					       .stride = KIB(256),
					       .slots = 64,
				       });
	arena_map(&arena);
	park_and_hibernate(&arena, 0, 64);
	EXPECT_EQ(0, pgtables(&arena, 0, 64));
	EXPECT_TRUE(are_whole(&arena, 0, 64));
	park_and_hibernate(&arena, 0, 64);
	ASSERT_EQ(0, madvise(arena.base, MIB(2), MADV_DONTDUMP));
	EXPECT_EQ(-ENXIO, pgtables(&arena, 0, 64));
	EXPECT_TRUE(are_whole(&arena, 0, 64));
}

/* Where readable means executable, a new mapping would be refused. */
TEST_F(hibernate, who_reads_may_execute)
{
	struct arena *arena = &self->arena;
	int was = personality(0xffffffff);

	park_and_hibernate(arena, 0, 1000);
	personality(was | READ_IMPLIES_EXEC);
	EXPECT_EQ(-ENXIO, pgtables(arena, 0, 1000));
	personality(was);
	EXPECT_TRUE(are_whole(arena, 0, 1000));
}

/* A new mapping would be filled, if the core could: nothing is restored. */
TEST_F(hibernate, all_memory_is_to_be_locked)
{
	struct arena *arena = &self->arena;
	uint64_t locked;

	park_and_hibernate(arena, 0, 1000);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	locked = status_kib("VmLck");
	EXPECT_EQ(0, pgtables(arena, 0, 1000));
	EXPECT_EQ(locked, status_kib("VmLck"));
	EXPECT_EQ(0, context_stats(self->fd).restores);
	EXPECT_EQ(0, context_stats(self->fd).stack_bytes);
	munlockall();
	EXPECT_TRUE(are_whole(arena, 0, 1000));
	park_and_hibernate(arena, 0, 1000);
	EXPECT_EQ(0, pgtables(arena, 0, 1000));
}

/* ---- while stacks are used -------------------------------------------------- */

#define STACKS 64
#define WRITERS 3

static atomic_bool stop;

struct counts {
	struct arena *arena;
	atomic_ulong hibernated, given;
	uint64_t written[WRITERS][STACKS];
};

struct writer {
	struct counts *counts;
	unsigned int number;
};

static uint64_t *counter(struct counts *c, unsigned int writer,
			 unsigned int stack)
{
	return (uint64_t *)(slot_top(c->arena, stack) - 8 - writer * 64);
}

static void nap_a_little(unsigned int i)
{
	struct timespec ts = { .tv_nsec = i * 7919 % 500 * 1000 };

	nanosleep(&ts, NULL);
}

/*
 * Each stack has three counters; now and then it is deep for a moment. A writer
 * goes from block to block, so that there are some that nobody uses.
 */
static void *writes(void *arg)
{
	struct writer *w = arg;
	struct counts *c = w->counts;
	unsigned int i, stack;

	for (i = 0; !stop; i++) {
		stack = (i / 64 * (w->number + 1) * 8 + i % 8) % STACKS;
		++*(volatile uint64_t *)counter(c, w->number, stack);
		c->written[w->number][stack]++;
		if (i % 64)
			continue;
		touch(slot_page(c->arena, stack, i / 64 % 20));
		nap_a_little(i / 64);
	}
	return NULL;
}

static void *hibernates(void *arg)
{
	struct burrow_hibernate_entry entries[STACKS];
	struct counts *c = arg;
	unsigned int i, j;

	for (i = 0; !stop; i++) {
		for (j = 0; j < STACKS; j++)
			entries[j] =
				(struct burrow_hibernate_entry){ .slot = j,
								 .live = LIVE };
		if (hibernate(c->arena, entries, STACKS, NULL))
			die("hibernate");
		for (j = 0; j < STACKS; j++)
			atomic_fetch_add(&c->hibernated, entries[j].result > 0);
		trim_slot(c->arena, i * 5 % STACKS, PAGE);
		trim_slot_later(c->arena, i * 7 % STACKS, PAGE);
		if (i % 16 == 0)
			context_drain(c->arena->fd);
		nap_a_little(i);
	}
	return NULL;
}

static void *harvests(void *arg)
{
	struct counts *c = arg;
	uint64_t bits[STACKS];

	while (!stop)
		if (harvest(c->arena, 0, STACKS * 64, bits) < 0)
			die("harvest");
	return NULL;
}

static void *gives_tables(void *arg)
{
	struct counts *c = arg;
	struct burrow_pgtables told;
	unsigned int i;
	int err;

	for (i = 0; !stop; i++) {
		err = i % 3 ? pgtables_of(c->arena, 0, STACKS, &told) :
			      pgtables_of(c->arena, i % 8 * 8, 8, &told);
		if (err)
			die("pgtables: %d", err);
		atomic_fetch_add(&c->given, told.bytes > 0);
	}
	return NULL;
}

TEST_F_TIMEOUT(hibernate, no_write_is_lost_to_threads_that_meet, 60)
{
	static void *(*const others[])(void *) = { hibernates, harvests,
						   gives_tables, gives_tables };
	struct arena arena = stack_arena(self->fd, KIB(256), STACKS);
	struct counts counts = { .arena = &arena };
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS + COUNT(others)];
	unsigned int i, j;

	/* A fresh page may hold what another stack held. */
	for (i = 0; i < STACKS; i++)
		memset(slot_page(&arena, i, 0), 0, PAGE);
	stop = false;
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ &counts, i };
		threads[i] = thread_start(writes, &writers[i]);
	}
	for (i = 0; i < COUNT(others); i++)
		threads[WRITERS + i] = thread_start(others[i], &counts);
	nap_ms(seconds_of_stress(3 * time_scale()) * 1000);
	stop = true;
	for (i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < WRITERS; i++)
		for (j = 0; j < STACKS; j++)
			EXPECT_EQ(counts.written[i][j], *counter(&counts, i, j))
	TH_LOG("writer %u, stack %u", i, j);
	EXPECT_LT(0, counts.hibernated);
	EXPECT_LT(0, counts.given);
	TH_LOG("%lu hibernations, %lu times given back", counts.hibernated,
	       counts.given);
}

/* Somebody maps and unmaps what is not the arena's in the midst of the range. */
static void *replaces(void *arg)
{
	struct counts *c = arg;
	char *there = c->arena->base + MIB(6);
	unsigned int i;

	for (i = 1; !stop; i++) {
		if (mmap(there, MIB(2), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			die("mmap");
		*(volatile unsigned int *)there = i;
		nap_a_little(i);
		if (*(volatile unsigned int *)there != i)
			die("what was mapped there is gone");
		arena_map_piece(c->arena, there, MIB(6), MIB(2));
		touch(there + MIB(2) - 1);
		nap_a_little(i * 3);
	}
	return NULL;
}

TEST_F_TIMEOUT(hibernate, nothing_is_lost_to_who_maps_there_meanwhile, 60)
{
	struct arena arena = stack_arena(self->fd, KIB(256), STACKS);
	struct counts counts = { .arena = &arena };
	unsigned int given = 0, refused = 0;
	uint64_t end;
	pthread_t thread;
	int err;

	park_and_hibernate(&arena, 0, STACKS);
	stop = false;
	thread = thread_start(replaces, &counts);
	end = now_ns() + seconds_of_stress(2 * time_scale()) * 1000000000ULL;
	while (now_ns() < end) {
		if (!is_whole(&arena, given % 8, LIVE))
			die("slot %u is not whole", given % 8);
		hibernate_slot(&arena, given % 8, LIVE);
		err = pgtables(&arena, 0, STACKS);
		given += !err;
		refused += err == -ENXIO;
		if (err && err != -ENXIO)
			die("pgtables: %d", err);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0, given);
	EXPECT_LT(0, refused);
	TH_LOG("given back %u times, refused %u times", given, refused);
	EXPECT_TRUE(are_whole(&arena, 0, 24));
	EXPECT_TRUE(are_whole(&arena, 32, STACKS - 32));
}

ARENA_TEST_MAIN
