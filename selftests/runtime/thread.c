// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines and the threads they run on: they move, and burrow_lock_thread()
 * keeps them where they are.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "runtime.h"

static __thread long mine; /* each thread's own */

/* Not inlined, nor seen through: the address is of the thread we are on now. */
__attribute__((noipa)) static long *my_long(void)
{
	return &mine;
}

__attribute__((noipa)) static pid_t my_thread(void)
{
	return syscall(SYS_gettid);
}

static int stop;

static void churn(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		*my_long() = -1;
		burrow_yield();
		burrow_sleep(MS / 20);
	}
}

static void churn_all(int n)
{
	stop = 0;
	while (n--)
		burrow_go(churn, NULL);
}

static void stop_churn(void)
{
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	wait_for_others();
}

struct locked {
	long number;
	int parks;
	int bad;
	struct burrow_chan *pair;
};

/* What no other goroutine may touch stays what it was, over any way to wait. */
static void stay(void *arg)
{
	struct locked *l = arg;
	pid_t thread;
	int i;

	burrow_lock_thread();
	burrow_lock_thread();
	burrow_unlock_thread();
	thread = my_thread();
	*my_long() = l->number;
	for (i = 0; i < l->parks; i++) {
		if (i % 3 == 0)
			burrow_yield();
		else if (i % 3 == 1)
			burrow_sleep(MS / 10);
		else if (l->pair && l->number % 2)
			l->bad += burrow_chan_recv(l->pair, NULL) != 1;
		else if (l->pair)
			l->bad += burrow_chan_send(l->pair, NULL) != 0;
		l->bad += my_thread() != thread || *my_long() != l->number;
	}
	*my_long() = 0;
	burrow_unlock_thread();
}

#define PAIRS 3

static int run_locked(void *arg)
{
	struct locked *l = arg;
	int i;

	for (i = 0; i < 2 * PAIRS; i++) {
		l[i].number = i + 1;
		l[i].parks = 200;
		l[i].pair = i % 2 ? l[i - 1].pair : burrow_chan_new(0, 0);
	}
	churn_all(10);
	for (i = 0; i < 2 * PAIRS; i++)
		burrow_go(stay, &l[i]);
	while (burrow_num_goroutines() > 11)
		burrow_sleep(MS);
	stop_churn();
	return 0;
}

static void test_locked(struct __test_metadata *_metadata, int procs)
{
	struct burrow_options o = { .size = sizeof(o), .procs = procs };
	struct locked l[2 * PAIRS] = { 0 };
	int i;

	ASSERT_EQ(0, burrow_run(&o, run_locked, l));
	for (i = 0; i < 2 * PAIRS; i++)
		EXPECT_EQ(0, l[i].bad);
}

TEST(a_locked_goroutine_stays_on_its_thread)
{
	test_locked(_metadata, 1);
	test_locked(_metadata, 2);
	test_locked(_metadata, 8);
}

/* Nobody else runs on the thread of one that is locked and waits. */
static void lock_and_end(void *arg)
{
	int *bad = arg;
	pid_t thread;

	burrow_lock_thread();
	thread = my_thread();
	burrow_sleep(MS);
	__atomic_fetch_add(bad, my_thread() != thread, __ATOMIC_RELAXED);
	/* It ends without unlocking: the thread is free for others. */
}

static int run_lock_and_end(void *arg)
{
	int i;

	for (i = 0; i < 200; i++)
		burrow_go(lock_and_end, arg);
	wait_for_others();
	return 0;
}

TEST(a_locked_goroutine_may_end)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 2 };
	int bad = 0;

	EXPECT_EQ(0, burrow_run(&o, run_lock_and_end, &bad));
	EXPECT_EQ(0, bad);
}

static void sleep_in_c(void *arg)
{
	*(pid_t *)arg = my_thread();
	usleep(30000);
}

static int run_locked_blocking(void *arg)
{
	pid_t thread, in_blocking = 0;

	(void)arg;
	burrow_lock_thread();
	thread = my_thread();
	churn_all(4);
	burrow_blocking(sleep_in_c, &in_blocking);
	if (my_thread() != thread || in_blocking != thread)
		return 1;
	burrow_unlock_thread();
	stop_churn();
	return 0;
}

TEST(a_locked_goroutine_in_burrow_blocking)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };

	EXPECT_EQ(0, burrow_run(&o, run_locked_blocking, NULL));
	o.procs = 4;
	EXPECT_EQ(0, burrow_run(&o, run_locked_blocking, NULL));
}

static int unlock(void *arg)
{
	(void)arg;
	burrow_unlock_thread();
	return 0;
}

static void run_unlock(void *arg)
{
	burrow_run(NULL, unlock, arg);
}

TEST(unlocking_what_is_not_locked_is_refused)
{
	static struct outcome o;

	outcome_of(&o, run_unlock, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o, "burrow: goroutine 1 (main): burrow_unlock_thread: "));
	EXPECT_TRUE(says(&o, ": without burrow_lock_thread() before\n"));
}

/* The bug that Documentation/threads.rst shows: goroutines do move. */
static int run_moving(void *arg)
{
	pid_t before;
	int i;

	churn_all(4);
	for (i = 0; i < 2000 && !*(int *)arg; i++) {
		before = my_thread();
		*my_long() = 42;
		/* Long enough to lose the processor to another thread. */
		usleep(20000);
		burrow_sleep(MS / 10);
		*(int *)arg = my_thread() != before;
	}
	stop_churn();
	return 0;
}

TEST(one_that_is_not_locked_moves)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 4 };
	int moved = 0;

	EXPECT_EQ(0, burrow_run(&o, run_moving, &moved));
	EXPECT_EQ(1, moved);
}

TEST_HARNESS_MAIN
