// SPDX-License-Identifier: GPL-2.0
/*
 * Cycles that the program's allocation brings about: young ones, in which what
 * is old counts as alive, those that a goroutine runs where it stands, and those
 * that have much to mark.
 */
#include <sched.h>
#include <sys/resource.h>

#include "../../userland/gc/track.h"
#include "gc.h"

FIXTURE(young){};

FIXTURE_VARIANT(young)
{
	struct way way;
};

FIXTURE_VARIANT_ADD(young, 1_processor){
	.way = { 1, "gcpoison=1" },
};

FIXTURE_VARIANT_ADD(young, 2_processors){
	.way = { 2, "gcpoison=1" },
};

FIXTURE_VARIANT_ADD(young, 8_processors){
	.way = { 8, "gcpoison=1" },
};

FIXTURE_VARIANT_ADD(young, 2_processors_verified){
	.way = { 2, "gcpoison=1,gcverify=1" },
};

/* Where pages can't be armed a cycle that was to be young is a full one. */
FIXTURE_VARIANT_ADD(young, 1_processor_unarmed){
	.way = { 1, "gcpoison=1,gcfault=6" },
};

FIXTURE_SETUP(young)
{
}

FIXTURE_TEARDOWN(young)
{
}

#define TEST_YOUNG(name)                                           \
	static void test_##name(void);                             \
	TEST_F(young, name)                                        \
	{                                                          \
		EXPECT_EQ(0, run_way(&variant->way, test_##name)); \
	}                                                          \
	static void test_##name(void)

#define OLD 20000 /* objects, on several hundred pages */
#define ROUNDS 40

static struct thing *old[OLD];

static uint64_t cycles(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	CHECK(burrow_stats(&stats) == 0);
	return stats.gc_cycles;
}

/* Allocates what nobody keeps until so many cycles are through. */
__attribute__((noipa)) static void churn(uint64_t n)
{
	uint64_t end = cycles() + n;
	int i;

	while (cycles() < end) {
		for (i = 0; i < 2000; i++)
			((struct thing *)burrow_new(&thing_type))->magic =
				~MAGIC;
	}
}

/* They are old, and what they point to is dead. */
static void make_old(void)
{
	int i;

	for (i = 0; i < OLD; i++)
		old[i] = burrow_new(&thing_type);
	collect();
	churn(2);
}

__attribute__((noipa)) static void give(struct thing *to)
{
	struct thing *t = burrow_new(&thing_type);

	t->magic = MAGIC;
	to->next = t;
}

static void drop_all(void)
{
	memset(old, 0, sizeof(old));
	scrub();
}

/* New objects that only an old one points to, written between cycles. */
TEST_YOUNG(old_objects_keep_new_ones)
{
	uint64_t x = 1;
	int i, round, at[8];

	make_old();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 8; i++) {
			x = x * 6364136223846793005UL + 1442695040888963407UL;
			at[i] = (x >> 33) % OLD;
			give(old[at[i]]);
		}
		scrub();
		churn(1 + round % 3);
		for (i = 0; i < 8; i++)
			CHECK(old[at[i]]->next->magic == MAGIC);
	}
	drop_all();
}

/* The same, written by the kernel. */
TEST_YOUNG(what_the_kernel_writes_is_seen)
{
	struct thing *t;
	int fds[2], round;

	make_old();
	CHECK(!pipe(fds));
	for (round = 0; round < ROUNDS; round++) {
		t = burrow_new(&thing_type);
		t->magic = MAGIC;
		CHECK(write(fds[1], &t, sizeof(t)) == sizeof(t));
		CHECK(read(fds[0], &old[round]->next, sizeof(t)) == sizeof(t));
		t = NULL;
		scrub();
		churn(2);
		CHECK(old[round]->next->magic == MAGIC);
	}
	close(fds[0]);
	close(fds[1]);
	drop_all();
}

/* Chains of which each cycle has seen the part that was there before. */
TEST_YOUNG(chains_grow)
{
	struct thing *t;
	int round, n;

	make_old();
	for (round = 0; round < ROUNDS; round++) {
		for (t = old[round % 5]; t->next; t = t->next)
			;
		give(t);
		t = NULL;
		scrub();
		churn(1);
	}
	for (round = 0; round < 5; round++) {
		for (n = 0, t = old[round]->next; t; t = t->next, n++)
			CHECK(t->magic == MAGIC);
		CHECK(n == ROUNDS / 5);
	}
	drop_all();
}

/* What died when it was old is found without anybody's asking for it. */
TEST_YOUNG(what_died_old_is_found)
{
	static struct secret secrets[MANY];
	int i, n, tries;

	for (i = 0; i < MANY; i++)
		old[i] = make(&secrets[i]);
	collect();
	churn(3);
	drop_all();
	for (tries = 0; tries < 10; tries++) {
		churn(20);
		for (i = 0, n = 0; i < MANY; i++)
			n += lives(&secrets[i]);
		if (n <= MANY - MOST)
			break;
	}
	CHECK(n <= MANY - MOST);
}

/* Nothing but registers, and where calls save them, has these. */
TEST_YOUNG(registers_of_who_collects)
{
	register struct thing *a = burrow_new(&thing_type);
	register struct thing *b = burrow_new(&thing_type);
	register struct thing *c = burrow_new(&thing_type);
	register struct thing *d = burrow_new(&thing_type);
	register struct thing *e = burrow_new(&thing_type);
	uint64_t end = cycles() + 20;
	int i;

	a->magic = MAGIC;
	b->magic = MAGIC;
	c->magic = MAGIC;
	d->magic = MAGIC;
	e->magic = MAGIC;
	while (cycles() < end) {
		for (i = 0; i < 2000; i++) {
			burrow_alloc(64);
			__asm__ volatile(""
					 : "+r"(a), "+r"(b), "+r"(c), "+r"(d),
					   "+r"(e));
		}
	}
	CHECK(a->magic == MAGIC && b->magic == MAGIC && c->magic == MAGIC &&
	      d->magic == MAGIC && e->magic == MAGIC);
}

static void rounds_of_own(void *arg)
{
	struct thing *own[4] = { 0 };
	int round, i;

	(void)arg;
	for (round = 0; round < 400; round++) {
		i = round % 4;
		own[i] = burrow_new(&thing_type);
		own[i]->magic = MAGIC;
		give(own[i]);
		for (i = 0; i < 200; i++)
			burrow_alloc(16 << i % 5);
		for (i = 0; i < 4; i++)
			CHECK(!own[i] || own[i]->next->magic == MAGIC);
		if (round % 16 == 0)
			burrow_yield();
	}
}

/* Several come to the trigger at once; others ask for full cycles meanwhile. */
TEST_YOUNG(many_collect)
{
	int i;

	for (i = 0; i < 16; i++)
		burrow_go(rounds_of_own, NULL);
	for (i = 0; i < 10; i++) {
		collect();
		burrow_yield();
	}
	wait_for_others();
}

static int write_old(void *arg)
{
	int round;

	(void)arg;
	make_old();
	for (round = 0; round < ROUNDS; round++) {
		give(old[round]);
		scrub();
		churn(2);
	}
	return 0;
}

static void run_write_old(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 1 };

	(void)arg;
	setenv("BURROW_DEBUG", "gcverify=1,gcfault=1", 1);
	exit(burrow_run(&opts, write_old, NULL));
}

TEST(forgotten_pages_are_noticed)
{
	static struct outcome o;

	if (!on_kmod() && burrow_track_try(&burrow_track_uffd, -1))
		SKIP(return, "no writes are tracked here");
	outcome_of(&o, run_write_old, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: gcverify: object "));
}

/* A list, of which there is never more than one thing to scan. */
static int keep_list(void *arg)
{
	struct thing *first = NULL, *t;
	int i;

	(void)arg;
	for (i = 0; i < 400000; i++) {
		t = burrow_new(&thing_type);
		t->next = first;
		first = t;
	}
	churn(6);
	burrow_keep_alive(first);
	return 0;
}

/* Two of five stay, so new objects come to all pages, and none is protected. */
static int keep_some(void *arg)
{
	static struct thing *some[500000];
	int i;

	(void)arg;
	for (i = 0; i < 500000; i++)
		some[i] = burrow_new(&thing_type);
	for (i = 0; i < 500000; i++) {
		if (i % 5 < 3)
			some[i] = NULL;
	}
	collect();
	churn(12);
	return !some[3];
}

/**
 * struct keeping - a program that keeps much
 * @fn:		it
 * @debug:	settings
 * @least:	KiB that live, of cycles that count
 */
struct keeping {
	int (*fn)(void *arg);
	const char *debug;
	long least;
};

/* On one CPU: where there are more than processors the collector never rests. */
static void run_keeping(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 1 };
	const struct keeping *keeping = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	setenv("BURROW_DEBUG", keeping->debug, 1);
	exit(burrow_run(&opts, keeping->fn, NULL));
}

/* Cycles, and how many of them did most of their work in the last stop. */
static void count_late(const struct keeping *keeping, const char *text,
		       long *cycles, long *late)
{
	long first, last, all, live;
	const char *at;

	for (; (at = strstr(text, "us clock, ")); text = at + 1) {
		if (sscanf(at, "us clock, %ld+%ld/%ld us cpu, %*d->%*d->%ld",
			   &first, &last, &all, &live) != 4 ||
		    live < keeping->least)
			continue;
		++*cycles;
		*late += last > all / 2;
	}
}

/* Somebody who helps may have all that is left in hand for a moment. */
TEST(marking_is_not_left_to_the_last_stop)
{
	struct keeping all[] = {
		{ keep_list, "gctrace=1,gcyoung=0", 16384 },
		{ keep_some, "gctrace=1", 8192 },
	};
	static struct outcome o;
	long cycles, late;
	int i;

	if (!on_kmod() && burrow_track_try(&burrow_track_uffd, -1))
		SKIP(return, "no writes are tracked here");
	for (i = 0; i < 2; i++) {
		cycles = 0;
		late = 0;
		outcome_of(&o, run_keeping, &all[i]);
		EXPECT_TRUE(exited_with(&o, 0));
		count_late(&all[i], o.text, &cycles, &late);
		EXPECT_GT(cycles, 3);
		EXPECT_LE(late, cycles / 4)
		TH_LOG("%s", o.text);
	}
}

static int keep_few(void *arg)
{
	static struct thing *few[100];
	int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		few[i] = burrow_new(&thing_type);
	churn(50);
	return !few[3];
}

/* Cycles, and how many of them took more than one stop. */
static void count_long(const char *text, long *cycles, long *more)
{
	const char *at;
	long last;

	for (; (at = strstr(text, "ms: ")); text = at + 1) {
		if (sscanf(at, "ms: %*d+%*d+%ld us clock", &last) != 1)
			continue;
		++*cycles;
		*more += last > 0;
	}
}

/* Some may find that half a millisecond was not enough, on a slow machine. */
TEST(where_little_lives_one_stop_suffices)
{
	struct keeping few = { keep_few, "gctrace=1", 0 };
	static struct outcome o;
	long cycles = 0, more = 0;

	if (!on_kmod() && burrow_track_try(&burrow_track_uffd, -1))
		SKIP(return, "no writes are tracked here");
	outcome_of(&o, run_keeping, &few);
	EXPECT_TRUE(exited_with(&o, 0));
	count_long(o.text, &cycles, &more);
	EXPECT_GT(cycles, 45);
	EXPECT_LE(more, scaled_down() ? cycles * 9 / 10 : cycles / 4)
	TH_LOG("%s", o.text);
}

#define THINGS 400000L /* on as many times 48 bytes */

static long faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt;
}

__attribute__((noipa)) static void make_many(struct thing **first)
{
	long i;

	for (i = 0; i < THINGS; i++) {
		struct thing *t = burrow_new(&thing_type);

		t->next = *first;
		*first = t;
	}
}

/* Their pages were protected while they lived; the next ones must not pay for it. */
static void again(void)
{
	static struct thing *first, *second;
	long before;

	make_many(&first);
	collect();
	collect();
	first = NULL;
	scrub();
	collect();
	before = faults();
	make_many(&second);
	before = faults() - before;
	CHECK(before < THINGS * (long)sizeof(struct thing) / 4096 / 4);
	second = NULL;
}

TEST(memory_that_is_free_again_takes_no_faults)
{
	const struct way way = { 1, "" };

	EXPECT_EQ(0, run_way(&way, again));
}

TEST_HARNESS_MAIN
