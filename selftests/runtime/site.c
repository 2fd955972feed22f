// SPDX-License-Identifier: GPL-2.0
/*
 * The adaptive start: what goroutines of one place used is what the next ones
 * have from the beginning.
 */
#include <sys/mman.h>

#include "runtime.h"

#define CROWD 200

struct crowd {
	struct burrow_chan *gate;
	uint64_t slept_before;
	int here;
	int leave;
	int ready;
	int from_nobody;
};

/* Not inlined, and all of it touched. */
__attribute__((noipa)) static int dive(size_t bytes)
{
	volatile char frame[4096];

	frame[0] = 1;
	frame[sizeof(frame) - 1] = 1;
	return bytes > sizeof(frame) ? dive(bytes - sizeof(frame)) + frame[0] :
				       frame[0];
}

/* Whether what it is going to use is there already. */
static bool is_there(size_t below)
{
	size_t page = sysconf(_SC_PAGESIZE);
	unsigned char there = 0;
	char here;

	mincore((void *)(((uintptr_t)&here - below) & -page), page, &there);
	return there & 1;
}

static uint64_t hibernations(void)
{
	struct burrow_stats s = { .size = sizeof(s) };

	return burrow_stats(&s) ? 0 : s.hibernates;
}

static void begin_to_dive(struct crowd *crowd)
{
	if (is_there(40 * KIB)) {
		__atomic_add_fetch(&crowd->ready, 1, __ATOMIC_RELAXED);
		/* Who is the first to have it has it from somebody. */
		if (hibernations() == crowd->slept_before)
			__atomic_add_fetch(&crowd->from_nobody, 1,
					   __ATOMIC_RELAXED);
	}
	dive(60 * KIB);
	__atomic_add_fetch(&crowd->here, 1, __ATOMIC_RELAXED);
}

static void diver(void *arg)
{
	struct crowd *crowd = arg;

	begin_to_dive(crowd);
	while (!__atomic_load_n(&crowd->leave, __ATOMIC_RELAXED))
		burrow_sleep(10 * MS);
}

static uint64_t growths(void)
{
	struct burrow_stats s = { .size = sizeof(s) };

	return burrow_stats(&s) ? 0 : s.stack_grows;
}

struct result {
	int ready;
	int from_nobody;
	uint64_t grown;
};

/* More than are kept warm, so most begin on an empty stack. */
static void gather(struct result *result)
{
	struct crowd crowd = { .slept_before = hibernations() };
	uint64_t before = growths();
	int i;

	for (i = 0; i < CROWD; i++)
		burrow_go(diver, &crowd);
	while (__atomic_load_n(&crowd.here, __ATOMIC_RELAXED) < CROWD)
		burrow_sleep(MS);
	result->grown = growths() - before;
	result->ready = crowd.ready;
	result->from_nobody = crowd.from_nobody;
	__atomic_store_n(&crowd.leave, 1, __ATOMIC_RELAXED);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(10 * MS);
}

static int compare(void *arg)
{
	struct result *results = arg;

	gather(&results[0]);
	gather(&results[1]);
	return 0;
}

TEST(the_second_crowd_has_what_the_first_used)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };
	struct result r[2];

	ASSERT_EQ(0, burrow_run(&o, compare, r));
	EXPECT_EQ(CROWD, r[1].ready);
	/* One fault for each that begins on an empty stack, not five. */
	if (on_kmod())
		EXPECT_LE(r[1].grown, CROWD);
	/* In the first crowd there is only who hibernates to learn from. */
	EXPECT_EQ(0, r[0].from_nobody);
	if (on_kmod())
		EXPECT_GT(r[0].grown, (uint64_t)(CROWD - r[0].ready) * 3);
}

static void idler(void *arg)
{
	struct crowd *crowd = arg;

	__atomic_add_fetch(&crowd->here, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&crowd->leave, __ATOMIC_RELAXED))
		burrow_sleep(10 * MS);
}

/* Crowd after crowd, of which some are measured; what the last of them have. */
static int idle_in_crowds(void *arg)
{
	struct burrow_stats s = { .size = sizeof(s) };
	struct crowd crowd;
	int round, i;

	for (round = 0; round < 4; round++) {
		crowd = (struct crowd){ 0 };
		for (i = 0; i < CROWD; i++)
			burrow_go(idler, &crowd);
		while (__atomic_load_n(&crowd.here, __ATOMIC_RELAXED) < CROWD)
			burrow_sleep(MS);
		burrow_stats(&s);
		__atomic_store_n(&crowd.leave, 1, __ATOMIC_RELAXED);
		while (burrow_num_goroutines() > 1)
			burrow_sleep(10 * MS);
	}
	*(uint64_t *)arg = s.stack_bytes;
	return 0;
}

/* That others are measured is on nobody's account. */
TEST(who_needs_a_page_has_one)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };
	uint64_t bytes = 0;

	ASSERT_EQ(0, burrow_run(&o, idle_in_crowds, &bytes));
	EXPECT_GE(bytes, CROWD * sysconf(_SC_PAGESIZE));
	EXPECT_LE(bytes, CROWD * sysconf(_SC_PAGESIZE) * 3 / 2);
}

#define SLEEPERS 30 /* as many as are kept warm, or less */

static void sleeping_diver(void *arg)
{
	struct crowd *crowd = arg;

	begin_to_dive(crowd);
	burrow_chan_recv(crowd->gate, NULL);
}

/* All of them end after they have hibernated; how many had what they used at once. */
static int sleep_in_crowd(void)
{
	struct crowd crowd = { .gate = burrow_chan_new(0, 0) };
	uint64_t before = hibernations();
	int i;

	for (i = 0; i < SLEEPERS; i++)
		burrow_go(sleeping_diver, &crowd);
	for (i = 0; i < 1000 && hibernations() < before + SLEEPERS; i++)
		burrow_sleep(10 * MS);
	burrow_chan_close(crowd.gate);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(10 * MS);
	return i < 1000 ? crowd.ready : -1;
}

static int sleep_in_crowds(void *arg)
{
	int *ready = arg, round;

	for (round = 0; round < 3; round++)
		ready[round] = sleep_in_crowd();
	return 0;
}

/* Its stack has less than it used when it ends; that is neither learned nor handed on. */
TEST(who_follows_one_that_slept_has_what_that_used)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };
	int ready[3];

	if (!on_kmod())
		SKIP(return, "hibernating takes the module");
	setenv("BURROW_HIBERNATE", "50ms", 1);
	ASSERT_EQ(0, burrow_run(&o, sleep_in_crowds, ready));
	EXPECT_EQ(0, ready[0]);
	EXPECT_EQ(SLEEPERS, ready[1]);
	EXPECT_EQ(SLEEPERS, ready[2]);
}

TEST_HARNESS_MAIN
