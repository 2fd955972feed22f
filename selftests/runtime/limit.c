// SPDX-License-Identifier: GPL-2.0
/*
 * The limit of the heap: what counts for it, goroutines' records among it, and what
 * becomes of those who meet it.
 */
#include <pthread.h>

#include "runtime.h"

#include "../../userland/heap/heap.h"
#include "../../userland/sched/sched.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What a body tells: the line of the first check that failed. */
#define CHECK(what)                      \
	do {                             \
		if (!(what))             \
			return __LINE__; \
	} while (0)

static int run(int (*fn)(void *), void *arg)
{
	return burrow_run(NULL, fn, arg);
}

/* Nothing finds them there as objects. */
#define CROWD 3000

struct crowd {
	struct burrow_chan *gate;
	int woken;
	size_t misplaced; /* of their structs */
};

static void wait_in_crowd(void *arg)
{
	struct crowd *crowd = arg;

	if (burrow_chan_recv(crowd->gate, NULL) == 0)
		__atomic_add_fetch(&crowd->woken, 1, __ATOMIC_RELAXED);
}

static void count_misplaced(struct goroutine *g, void *arg)
{
	struct crowd *crowd = arg;
	struct burrow_object object;

	crowd->misplaced += !burrow_heap_holds(burrow_runtime.heap, g) ||
			    burrow_heap_find(burrow_runtime.heap, g, &object);
}

static uint64_t heap_bytes(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	burrow_gc();
	return burrow_stats(&stats) ? 0 : stats.heap_bytes;
}

static int crowd_twice(void *arg)
{
	uint64_t bytes[3];
	struct crowd crowd;
	int round, i;

	(void)arg;
	bytes[0] = heap_bytes();
	for (round = 1; round < 3; round++) {
		crowd = (struct crowd){ .gate = burrow_chan_new(0, 0) };
		for (i = 0; i < CROWD; i++)
			CHECK(!burrow_go(wait_in_crowd, &crowd));
		burrow_sleep(100000000);
		bytes[round] = heap_bytes();
		pthread_mutex_lock(&burrow_runtime.lock);
		goroutine_each(count_misplaced, &crowd);
		pthread_mutex_unlock(&burrow_runtime.lock);
		CHECK(!crowd.misplaced);
		burrow_chan_close(crowd.gate);
		while (burrow_num_goroutines() > 1)
			burrow_yield();
		CHECK(crowd.woken == CROWD);
	}
	CHECK(bytes[1] >= bytes[0] + CROWD * sizeof(struct goroutine));
	/* The second ones are where the first ones were. */
	CHECK(bytes[2] < bytes[1] + CROWD * sizeof(struct goroutine) / 2);
	return 0;
}

TEST(goroutines_lie_on_the_heap)
{
	static char *const debug[] = { "", "gcstress=50,gcpoison=1" };
	size_t i;

	for (i = 0; i < COUNT(debug); i++) {
		setenv("BURROW_DEBUG", debug[i], 1);
		EXPECT_EQ(0, run(crowd_twice, NULL));
	}
	unsetenv("BURROW_DEBUG");
}

/* All that the heap may have, of what has pointers and of what has none. */
static void **hoard;

__attribute__((noinline)) static void hoard_all(void)
{
	size_t size;
	void **p;

	for (size = 1 << 20; size >= 1 << 13; size /= 2) {
		while ((p = burrow_try_alloc(size))) {
			*p = hoard;
			hoard = p;
		}
	}
}

/* A thread of no goroutine's can't collect. */
static void *start_outside(void *arg)
{
	static int ret;

	ret = burrow_go(wait_in_crowd, arg);
	return &ret;
}

static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

/* Garbage goes for them; where all of it lives the call says so, and goes on after. */
static int crowd_at_the_limit(void *arg)
{
	struct crowd crowd = { .gate = burrow_chan_new(0, 0) };
	struct burrow_group group = { 0 };
	pthread_t thread;
	int *outside;
	int i, n;

	(void)arg;
	burrow_gc_percent(-1);
	CHECK(burrow_memory_limit(64 << 20) > 0);
	for (i = 0; i < 2000; i++)
		CHECK(burrow_try_alloc_noscan(64 << 10));
	for (i = 0; i < CROWD; i++)
		CHECK(!burrow_go(wait_in_crowd, &crowd));
	hoard_all();
	for (n = 0; n < 100000; n++)
		if (burrow_go(wait_in_crowd, &crowd) == -ENOMEM)
			break;
	CHECK(n < 2 * CROWD);
	CHECK(burrow_group_go(&group, return_at_once, NULL) == -ENOMEM);
	CHECK(!pthread_create(&thread, NULL, start_outside, &crowd));
	CHECK(!pthread_join(thread, (void **)&outside));
	CHECK(*outside == -ENOMEM);
	hoard = NULL;
	CHECK(!burrow_group_go(&group, return_at_once, NULL));
	CHECK(!burrow_group_wait(&group));
	for (i = 0; i < CROWD; i++)
		CHECK(!burrow_go(wait_in_crowd, &crowd));
	burrow_chan_close(crowd.gate);
	while (burrow_num_goroutines() > 1)
		burrow_yield();
	CHECK(crowd.woken == n + 2 * CROWD);
	return 0;
}

static void run_at_the_limit(void *arg)
{
	exit(run(crowd_at_the_limit, arg));
}

TEST(goroutines_keep_to_the_limit_of_the_heap)
{
	struct outcome o;

	outcome_of(&o, run_at_the_limit, NULL);
	EXPECT_TRUE(exited_with(&o, 0))
	TH_LOG("status %x: %s", o.status, o.text);
	EXPECT_TRUE(begins(
		&o, "burrow: no memory for another goroutine (there are "))
	TH_LOG("%s", o.text);
}

/* Where the limit is met, what is free of one half of the heap is for the other. */
static int one_kind_after_the_other(void *arg)
{
	void *(*alloc[])(size_t) = { burrow_try_alloc_noscan,
				     burrow_try_alloc };
	int round, i;

	(void)arg;
	CHECK(burrow_memory_limit(64 << 20) > 0);
	for (round = 0; round < 4; round++) {
		hoard = burrow_alloc(48 * sizeof(*hoard));
		for (i = 0; i < 48; i++) {
			hoard[i] = alloc[round % 2](1 << 20);
			CHECK(hoard[i]);
			memset(hoard[i], 1, 1 << 20);
		}
		/* A word that was left somewhere leads to one of them at most. */
		memset(hoard, 0, 48 * sizeof(*hoard));
	}
	hoard = NULL;
	return 0;
}

TEST(the_limit_is_for_both_halves)
{
	static char *const percent[] = { "100", "off" };
	size_t i;

	for (i = 0; i < COUNT(percent); i++) {
		setenv("BURROW_GC", percent[i], 1);
		EXPECT_EQ(0, run(one_kind_after_the_other, NULL));
	}
	unsetenv("BURROW_GC");
}

TEST_HARNESS_MAIN
