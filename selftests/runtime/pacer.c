// SPDX-License-Identifier: GPL-2.0
/*
 * The collector's pacing in a simulated program: so many bytes are allocated and
 * so many become garbage in each step, a cycle marks so many, and the pacer says
 * when one begins and how much allocation helps. No clock, no heap.
 */
#include "../../userland/gc/pacer.h"
#include "runtime.h"

#define STEP (16 * KIB) /* allocated between looks */

/**
 * struct sim - a program and its collector
 * @pacer:	what is tested
 * @live:	bytes that the program holds
 * @heap:	bytes of heap: live ones and garbage
 * @speed:	bytes that the collector marks for each byte allocated, in 1/16
 * @marking:	a cycle is under way
 * @marked:	bytes in it so far
 * @since:	bytes allocated since it began
 * @at_begin:	live bytes then
 * @cycles:	so far
 * @peak:	most heap since it was reset
 * @work:	bytes marked, ever
 * @assisted:	of these by allocation
 * @worst:	most of one allocation
 */
struct sim {
	struct burrow_pacer pacer;
	uint64_t live;
	uint64_t heap;
	uint64_t speed;
	bool marking;
	uint64_t marked;
	uint64_t since;
	uint64_t at_begin;
	uint64_t cycles;
	uint64_t peak;
	uint64_t work;
	uint64_t assisted;
	uint64_t worst;
};

static void sim_open(struct sim *s, int percent, uint64_t limit)
{
	memset(s, 0, sizeof(*s));
	s->speed = 64;
	burrow_pacer_open(&s->pacer, percent, limit);
}

static void sim_end_cycle(struct sim *s)
{
	/* What was allocated meanwhile is kept, whether it lives or not. */
	const struct burrow_pacer_end end = {
		.live = s->at_begin + s->since,
		.allocated = s->since,
	};

	burrow_pacer_cycle(&s->pacer, &end);
	s->heap = end.live;
	s->marking = false;
	s->cycles++;
}

static void sim_mark(struct sim *s)
{
	uint64_t help;

	help = burrow_pacer_assist(&s->pacer, s->heap, s->marked, STEP);
	if (help > s->worst)
		s->worst = help;
	s->assisted += help;
	s->marked += help + STEP * s->speed / 16;
	s->work += help + STEP * s->speed / 16;
	if (s->marked >= s->at_begin)
		sim_end_cycle(s);
}

/* The program allocates @bytes while what it holds moves to @live. */
static void sim_run(struct sim *s, uint64_t bytes, uint64_t live)
{
	int64_t change = (int64_t)(live - s->live) / (int64_t)(bytes / STEP);
	uint64_t i;

	for (i = 0; i < bytes / STEP; i++) {
		s->live += change;
		s->heap += STEP;
		if (s->heap > s->peak)
			s->peak = s->heap;
		if (s->marking) {
			s->since += STEP;
			sim_mark(s);
		} else if (s->heap >= s->pacer.trigger) {
			s->marking = true;
			s->marked = 0;
			s->since = 0;
			s->at_begin = s->live;
		}
	}
	s->live = live;
}

/* The same again and again: the heap keeps to twice what lives. */
TEST(steady)
{
	struct sim s;

	sim_open(&s, 100, 0);
	sim_run(&s, 400 * MIB, 100 * MIB);
	s.peak = 0;
	s.cycles = 0;
	s.assisted = 0;
	s.work = 0;
	sim_run(&s, 4096 * MIB, 100 * MIB);
	EXPECT_LE(s.peak, 300 * MIB);
	EXPECT_GE(s.peak, 190 * MIB);
	/* Some 40 would be without what is allocated while marking. */
	EXPECT_GE(s.cycles, 20);
	EXPECT_LE(s.cycles, 60);
	/* It begins early enough: nobody else need mark much. */
	EXPECT_LE(s.assisted, s.work / 8);
	EXPECT_LE(s.worst, BURROW_PACER_ASSIST_MAX);
}

TEST(small_heaps_have_a_minimum)
{
	struct sim s;

	sim_open(&s, 100, 0);
	sim_run(&s, 400 * MIB, 10 * KIB);
	EXPECT_LE(s.cycles, 400 / 2);
	EXPECT_GE(s.cycles, 400 / 5);
	EXPECT_LE(s.peak, 5 * MIB);
}

TEST(percent)
{
	struct sim s;
	uint64_t cycles;

	sim_open(&s, 50, 0);
	sim_run(&s, 2048 * MIB, 64 * MIB);
	cycles = s.cycles;
	sim_open(&s, 400, 0);
	sim_run(&s, 2048 * MIB, 64 * MIB);
	EXPECT_GT(cycles, 4 * s.cycles);
	EXPECT_GT(s.peak, 250 * MIB);
	sim_open(&s, -1, 0);
	sim_run(&s, 2048 * MIB, 64 * MIB);
	EXPECT_EQ(0, s.cycles);
	burrow_pacer_set(&s.pacer, 100, 0);
	sim_run(&s, 256 * MIB, 64 * MIB);
	EXPECT_GT(s.cycles, 0);
}

/* It grows steadily, and shrinks. */
TEST(ramp)
{
	struct sim s;

	sim_open(&s, 100, 0);
	sim_run(&s, 2048 * MIB, 1024 * MIB);
	EXPECT_LE(s.peak, 3 * 1024 * MIB);
	EXPECT_LE(s.cycles, 100);
	sim_run(&s, 2048 * MIB, 8 * MIB);
	s.peak = 0;
	sim_run(&s, 512 * MIB, 8 * MIB);
	EXPECT_LE(s.peak, 64 * MIB);
}

/* Much more at once: one cycle may come too late, the next does not. */
TEST(step)
{
	struct sim s;

	sim_open(&s, 100, 0);
	sim_run(&s, 256 * MIB, 16 * MIB);
	sim_run(&s, 256 * MIB, 256 * MIB);
	EXPECT_LE(s.peak, 700 * MIB);
	s.peak = 0;
	sim_run(&s, 2048 * MIB, 256 * MIB);
	EXPECT_LE(s.peak, 800 * MIB);
}

/* A program that allocates sixteen times as fast as usual now and then. */
TEST(bursts)
{
	struct sim s;
	int i;

	sim_open(&s, 100, 0);
	sim_run(&s, 512 * MIB, 64 * MIB);
	for (i = 0; i < 10; i++) {
		s.speed = 4;
		sim_run(&s, 128 * MIB, 64 * MIB);
		s.speed = 64;
		sim_run(&s, 128 * MIB, 64 * MIB);
	}
	EXPECT_LE(s.peak, 280 * MIB);
	EXPECT_LE(s.worst, BURROW_PACER_ASSIST_MAX);
}

/* A collector that gets next to no CPU: allocation does the marking. */
TEST(starved)
{
	struct sim s;

	sim_open(&s, 100, 0);
	sim_run(&s, 512 * MIB, 64 * MIB);
	s.speed = 0;
	s.peak = 0;
	sim_run(&s, 1024 * MIB, 64 * MIB);
	EXPECT_GT(s.cycles, 0);
	EXPECT_LE(s.peak, 280 * MIB);
}

/* The limit is lowered to near what lives, and below it. */
TEST(limit_squeeze)
{
	struct sim s;
	uint64_t cycles;

	sim_open(&s, 100, 0);
	sim_run(&s, 512 * MIB, 100 * MIB);
	burrow_pacer_set(&s.pacer, 100, 160 * MIB);
	sim_run(&s, 512 * MIB, 100 * MIB);
	s.peak = 0;
	cycles = s.cycles;
	sim_run(&s, 1024 * MIB, 100 * MIB);
	EXPECT_LE(s.peak, 170 * MIB);
	EXPECT_GT(s.cycles - cycles, 1024 / 80);
	/* What does not fit does not collect all the time. */
	burrow_pacer_set(&s.pacer, 100, 50 * MIB);
	cycles = s.cycles;
	sim_run(&s, 1024 * MIB, 100 * MIB);
	EXPECT_LE(s.cycles - cycles, 1024 / 6);
	EXPECT_LE(s.peak, 170 * MIB);
}

/* Young cycles keep to the goal of the last full one, and are not for ever. */
TEST(young_ones_are_followed_by_a_full_one)
{
	struct burrow_pacer p;
	struct burrow_pacer_end end = { .live = 100 * MIB };
	int n;

	burrow_pacer_open(&p, 100, 0);
	burrow_pacer_cycle(&p, &end);
	end.young = true;
	for (n = 0; !p.full; n++) {
		end.live += 128 * KIB;
		burrow_pacer_cycle(&p, &end);
		EXPECT_EQ(200 * MIB, p.goal);
	}
	EXPECT_GE(n, 16);
	EXPECT_LE(n, 64);
	end.young = false;
	end.live = 100 * MIB;
	burrow_pacer_cycle(&p, &end);
	EXPECT_FALSE(p.full);
	end.young = true;
	end.live = 160 * MIB;
	burrow_pacer_cycle(&p, &end);
	EXPECT_TRUE(p.full);
	EXPECT_EQ(200 * MIB, p.goal);
	/* All of it stayed. */
	end.live = 200 * MIB;
	burrow_pacer_cycle(&p, &end);
	EXPECT_TRUE(p.full);
	EXPECT_GE(p.goal, 220 * MIB);
	EXPECT_LE(p.goal, 230 * MIB);
}

/* How many of @n cycles may be young, if each keeps @kept of what is new. */
static int count_young(struct burrow_pacer *p, int n, uint64_t kept)
{
	struct burrow_pacer_end end = { .live = 100 * MIB };
	int young = 0;

	while (n--) {
		end.young = !p->full;
		end.live = end.young ? p->live + kept : 100 * MIB;
		young += end.young;
		burrow_pacer_cycle(p, &end);
	}
	return young;
}

/* Where they free little they are left, and tried again now and then. */
TEST(young_ones_must_be_worth_it)
{
	struct burrow_pacer p;

	burrow_pacer_open(&p, 100, 0);
	EXPECT_GE(count_young(&p, 100, MIB), 90);
	EXPECT_LE(count_young(&p, 200, 90 * MIB), 30);
	EXPECT_GE(count_young(&p, 200, 90 * MIB), 15);
	EXPECT_GE(count_young(&p, 200, MIB), 180);
}

TEST(near_the_limit_all_are_full)
{
	struct burrow_pacer p;
	struct burrow_pacer_end end = { .live = 100 * MIB };

	burrow_pacer_open(&p, 100, 150 * MIB);
	burrow_pacer_cycle(&p, &end);
	EXPECT_TRUE(p.full);
	burrow_pacer_set(&p, 100, 400 * MIB);
	EXPECT_FALSE(p.full);
}

/* Numbers at the ends of their range. */
TEST(extremes)
{
	struct burrow_pacer p;
	struct burrow_pacer_end end = {
		.live = UINT64_MAX / 2,
		.roots = UINT64_MAX / 2,
		.overhead = UINT64_MAX,
		.allocated = UINT64_MAX,
	};

	burrow_pacer_open(&p, 1000000, 1);
	burrow_pacer_cycle(&p, &end);
	EXPECT_GE(p.goal, p.live);
	EXPECT_GE(p.trigger, p.live);
	EXPECT_LE(p.trigger, p.goal);
	EXPECT_LE(burrow_pacer_assist(&p, UINT64_MAX, 0, UINT64_MAX),
		  BURROW_PACER_ASSIST_MAX);
	EXPECT_LE(burrow_pacer_assist(&p, 0, 0, UINT64_MAX),
		  BURROW_PACER_ASSIST_MAX);
}

TEST_HARNESS_MAIN
