// SPDX-License-Identifier: GPL-2.0
/* Sleepers, timers and channels that get the time. */
#include <pthread.h>

#include "sync.h"

#define LONG (20000 * MS) /* never reached where all is well */

static int ran;

static void run_once(void *arg)
{
	(void)arg;
	add(&ran, 1);
}

static void wait_until(int *counter, int n)
{
	int64_t begin = burrow_now();

	while (get(counter) < n && burrow_now() - begin < LONG)
		burrow_sleep(MS / 10);
	CHECK(get(counter) >= n);
}

#define SLEEPERS 2000

static int early, soon;

static void sleep_a_while(void *arg)
{
	int64_t ns = (intptr_t)arg, late = burrow_now();

	CHECK(burrow_sleep(ns) == 0);
	late = burrow_now() - late - ns;
	add(&early, late < 0);
	add(&soon, late < 200 * MS);
}

TEST_ON(sleepers_are_never_early_and_seldom_late)
{
	uint32_t state = 5;
	intptr_t ns;
	int i;

	early = 0;
	soon = 0;
	for (i = 0; i < SLEEPERS; i++) {
		ns = MS + next_random(&state) % (200 * MS);
		CHECK(burrow_go(sleep_a_while, (void *)ns) == 0);
	}
	wait_for_others();
	CHECK(early == 0);
	CHECK(soon > SLEEPERS / 2);
}

static int order[50], next_place;
static int64_t order_begin;

static void sleep_for_place(void *arg)
{
	int n = (int)(intptr_t)arg;

	burrow_sleep(order_begin + (n + 1) * MS - burrow_now());
	order[next_place++] = n;
}

static void sleep_in_order(void)
{
	int i, n;

	next_place = 0;
	order_begin = burrow_now() + 50 * MS;
	for (i = 0; i < 50; i++) {
		n = i * 17 % 50;
		burrow_go(sleep_for_place, (void *)(intptr_t)n);
	}
	wait_for_others();
	for (i = 0; i < 50; i++)
		CHECK(order[i] == i);
}

/* One processor: its heap alone says who is first. */
TEST(sleepers_wake_in_order)
{
	EXPECT_EQ(0, run_on(1, sleep_in_order));
}

TEST_ON(sleep_of_no_time_is_a_yield)
{
	ran = 0;
	burrow_go(run_once, NULL);
	CHECK(burrow_sleep(0) == 0);
	CHECK(burrow_sleep(-1) == 0);
	CHECK(burrow_sleep(INT64_MIN) == 0);
	wait_until(&ran, 1);
}

TEST(sleep_outside_of_goroutines)
{
	EXPECT_EQ(-EPERM, burrow_sleep(MS));
	EXPECT_EQ(-EPERM, burrow_sleep(0));
}

static int64_t ran_at;

static void note_time(void *arg)
{
	*(int64_t *)arg = burrow_now();
	add(&ran, 1);
}

TEST_ON(a_timer_runs_once_and_not_early)
{
	int64_t begin = burrow_now();
	struct burrow_timer *t;

	ran = 0;
	t = burrow_timer_new(20 * MS, 0, note_time, &ran_at);
	CHECK(t);
	wait_until(&ran, 1);
	CHECK(ran_at - begin >= 20 * MS);
	burrow_sleep(50 * MS);
	CHECK(ran == 1);
	CHECK(burrow_timer_stop(t) == 0);
}

TEST_ON(a_timer_of_no_time_runs_at_once)
{
	ran = 0;
	CHECK(burrow_timer_new(0, 0, run_once, NULL));
	CHECK(burrow_timer_new(-1, 0, run_once, NULL));
	CHECK(burrow_timer_new(INT64_MIN, 0, run_once, NULL));
	wait_until(&ran, 3);
	settle();
	CHECK(ran == 3);
}

TEST_ON(stop_says_whether_it_came_in_time)
{
	struct burrow_timer *t;

	ran = 0;
	t = burrow_timer_new(5 * MS, 0, run_once, NULL);
	CHECK(burrow_timer_stop(t) == 1);
	CHECK(burrow_timer_stop(t) == 0);
	burrow_sleep(20 * MS);
	CHECK(ran == 0);
	t = burrow_timer_new(0, 0, run_once, NULL);
	wait_until(&ran, 1);
	CHECK(burrow_timer_stop(t) == 0);
	t = burrow_timer_new(INT64_MAX, INT64_MAX, run_once, NULL);
	CHECK(burrow_timer_stop(t) == 1);
	CHECK(ran == 1);
}

TEST_ON(reset_says_whether_it_was_set)
{
	int64_t begin;
	struct burrow_timer *t;

	ran = 0;
	t = burrow_timer_new(LONG, 0, note_time, &ran_at);
	begin = burrow_now();
	CHECK(burrow_timer_reset(t, 10 * MS) == 1);
	wait_until(&ran, 1);
	CHECK(ran_at - begin >= 10 * MS);
	/* One that has run, one that was stopped, one that is set later. */
	CHECK(burrow_timer_reset(t, 0) == 0);
	wait_until(&ran, 2);
	CHECK(burrow_timer_reset(t, 30 * MS) == 0);
	CHECK(burrow_timer_stop(t) == 1);
	CHECK(burrow_timer_reset(t, 5 * MS) == 0);
	begin = burrow_now();
	CHECK(burrow_timer_reset(t, 40 * MS) == 1);
	wait_until(&ran, 3);
	CHECK(ran_at - begin >= 40 * MS);
	CHECK(burrow_timer_reset(t, INT64_MIN) == 0);
	wait_until(&ran, 4);
}

TEST_ON(a_period_goes_on_until_it_is_stopped)
{
	int64_t begin = burrow_now(), ns;
	struct burrow_timer *t;
	int n;

	ran = 0;
	t = burrow_timer_new(5 * MS, 2 * MS, run_once, NULL);
	wait_until(&ran, 10);
	ns = burrow_now() - begin;
	/* 5, 7, 9, ... */
	CHECK(ns >= (5 + 9 * 2) * MS);
	CHECK(get(&ran) <= (ns - 5 * MS) / (2 * MS) + 2);
	burrow_timer_stop(t);
	settle();
	n = get(&ran);
	burrow_sleep(20 * MS);
	CHECK(get(&ran) == n);
	CHECK(burrow_timer_reset(t, MS) == 0);
	wait_until(&ran, n + 3);
	burrow_timer_stop(t);
	wait_for_others();
}

/* A run that was missed is not made up for: no burst after a hog. */
TEST_ON(missed_runs_are_left_out)
{
	int64_t begin = burrow_now();
	struct burrow_timer *t;

	ran = 0;
	burrow_set_procs(1);
	burrow_lock_thread();
	t = burrow_timer_new(MS, MS, run_once, NULL);
	while (burrow_now() - begin < 30 * MS)
		;
	wait_until(&ran, 5);
	burrow_timer_stop(t);
	CHECK(get(&ran) <= (burrow_now() - begin) / MS + 1);
	burrow_unlock_thread();
	wait_for_others();
}

static void run_long(void *arg)
{
	add(&ran, 1);
	burrow_chan_recv(arg, NULL);
}

TEST_ON(what_a_timer_runs_may_wait)
{
	struct burrow_chan *ch = burrow_chan_new(0, 0);
	struct burrow_timer *t;

	ran = 0;
	t = burrow_timer_new(MS, MS, run_long, ch);
	wait_until(&ran, 5);
	burrow_timer_stop(t);
	burrow_chan_close(ch);
	wait_for_others();
}

#define TIMERS 100000

static struct burrow_timer *timers[TIMERS];

/* Each of them runs, or was stopped in time: never both, never neither. */
TEST_ON(a_hundred_thousand_timers)
{
	uint32_t state = 9;
	int i, stopped = 0;

	ran = 0;
	for (i = 0; i < TIMERS; i++) {
		timers[i] = burrow_timer_new(next_random(&state) % (400 * MS),
					     0, run_once, NULL);
		CHECK(timers[i]);
	}
	for (i = 0; i < TIMERS; i += 2)
		stopped += burrow_timer_stop(timers[i]);
	CHECK(stopped > 0);
	wait_until(&ran, TIMERS - stopped);
	settle();
	CHECK(get(&ran) == TIMERS - stopped);
	for (i = 0; i < TIMERS; i++)
		CHECK(burrow_timer_stop(timers[i]) == 0);
}

#define RACES 3000

static int prevented, set;

static void stop_them(void *arg)
{
	struct burrow_chan *ch = arg;
	struct burrow_timer *t;

	while (burrow_chan_recv(ch, &t)) {
		if (next_random(&(uint32_t){ (uint32_t)burrow_now() | 1 }) % 2)
			burrow_yield();
		add(&prevented, burrow_timer_stop(t));
	}
}

TEST_ON(stop_races_with_the_run)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(void *), 4);
	struct burrow_timer *t;
	uint32_t state = 3;
	int i;

	ran = 0;
	prevented = 0;
	for (i = 0; i < 3; i++)
		burrow_go(stop_them, ch);
	for (i = 0; i < RACES; i++) {
		t = burrow_timer_new(next_random(&state) % 50000, 0, run_once,
				     NULL);
		burrow_chan_send(ch, &t);
	}
	burrow_chan_close(ch);
	wait_for_others();
	CHECK(get(&ran) + get(&prevented) == RACES);
}

static void reset_it(void *arg)
{
	uint32_t state = 1 + (uint32_t)burrow_now();
	int i, ret;

	for (i = 0; i < RACES; i++) {
		ret = burrow_timer_reset(arg, next_random(&state) % 30000);
		CHECK(ret == 0 || ret == 1);
		add(&set, 1);
		add(&prevented, ret);
		if (i % 3)
			burrow_yield();
	}
}

/* Every time that it is set it either runs or is said to have been set still. */
TEST_ON(reset_races_with_the_run)
{
	struct burrow_timer *t;
	int i;

	ran = 0;
	prevented = 0;
	set = 1;
	t = burrow_timer_new(0, 0, run_once, NULL);
	for (i = 0; i < 3; i++)
		burrow_go(reset_it, t);
	while (get(&set) < 1 + 3 * RACES)
		burrow_sleep(MS);
	wait_for_others();
	burrow_sleep(5 * MS);
	wait_for_others();
	prevented += burrow_timer_stop(t);
	wait_for_others();
	CHECK(get(&ran) + get(&prevented) == get(&set));
}

TEST_ON(after_carries_the_time_once)
{
	int64_t begin = burrow_now(), when = 0;
	struct burrow_chan *ch = burrow_after(10 * MS);
	struct burrow_case c = { BURROW_RECV, ch, &when, 0 };

	CHECK(burrow_chan_cap(ch) == 1);
	CHECK(burrow_chan_try_recv(ch, &when) == -EAGAIN);
	CHECK(burrow_select(&c, 1, LONG) == 0);
	CHECK(c.result == 1);
	CHECK(when - begin >= 10 * MS);
	CHECK(when <= burrow_now());
	burrow_sleep(5 * MS);
	CHECK(burrow_chan_try_recv(ch, &when) == -EAGAIN);
	/* It waits in the channel where nobody does. */
	ch = burrow_after(-5);
	burrow_sleep(5 * MS);
	CHECK(burrow_chan_recv(ch, &when) == 1);
	CHECK(burrow_chan_recv(burrow_after(0), &when) == 1);
}

static void *call_outside(void *arg)
{
	if (burrow_timer_stop(arg) != -EPERM ||
	    burrow_timer_reset(arg, 0) != -EPERM)
		add(&ran, 1);
	return NULL;
}

TEST_ON(other_threads_may_not_touch_timers)
{
	struct burrow_timer *t = burrow_timer_new(LONG, 0, run_once, NULL);
	pthread_t thread;

	ran = 0;
	pthread_create(&thread, NULL, call_outside, t);
	pthread_join(thread, NULL);
	CHECK(ran == 0);
	CHECK(burrow_timer_stop(t) == 1);
}

static void new_outside(void *arg)
{
	burrow_timer_new(0, 0, run_once, arg);
}

static void after_outside(void *arg)
{
	(void)arg;
	burrow_after(0);
}

TEST(timers_are_made_by_goroutines)
{
	static struct outcome o;

	outcome_of(&o, new_outside, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: burrow_timer_new: called by a thread that runs no goroutine\n"));
	outcome_of(&o, after_outside, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: burrow_after: called by a thread that runs no goroutine\n"));
}

TEST_HARNESS_MAIN
