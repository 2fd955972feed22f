// SPDX-License-Identifier: GPL-2.0
/*
 * Who runs where and when: processors, stealing, fairness, their number while
 * they run, goroutines bound to their thread, starts from other threads.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "sync.h"

#define LONG (20000 * MS) /* never reached where all is well */

static pid_t tid(void)
{
	return syscall(SYS_gettid);
}

/* Threads that were seen. */
#define THREADS_MAX 256

static pid_t threads[THREADS_MAX];

static int threads_seen(void)
{
	int n = 0;

	while (n < THREADS_MAX && get(&threads[n]))
		n++;
	return n;
}

static void see_thread(void)
{
	pid_t none, me = tid();
	int i;

	for (i = 0; i < THREADS_MAX; i++) {
		none = 0;
		if (get(&threads[i]) == me ||
		    __atomic_compare_exchange_n(&threads[i], &none, me, false,
						__ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return;
	}
}

static void forget_threads(void)
{
	memset(threads, 0, sizeof(threads));
}

static int stop, ran;

static bool in_time(int64_t begin)
{
	return burrow_now() - begin < LONG;
}

static void wait_until(int *counter, int n)
{
	int64_t begin = burrow_now();

	while (get(counter) < n && in_time(begin))
		burrow_sleep(MS / 10);
	CHECK(get(counter) >= n);
}

static void yield_and_look(void *arg)
{
	int64_t begin = burrow_now();
	int procs = (int)(intptr_t)arg;

	while (threads_seen() < procs && in_time(begin)) {
		see_thread();
		burrow_yield();
	}
	add(&ran, 1);
}

/* They give way all the time, so that no thread is started for a hog. */
TEST_ON(work_spreads_over_all_processors)
{
	int i, procs = burrow_set_procs(0);

	forget_threads();
	ran = 0;
	for (i = 0; i < 4 * procs; i++)
		burrow_go(yield_and_look, (void *)(intptr_t)procs);
	wait_for_others();
	CHECK(ran == 4 * procs);
	CHECK(threads_seen() >= procs);
}

static void run_once(void *arg)
{
	(void)arg;
	see_thread();
	add(&ran, 1);
}

/* Whoever started them goes on in C: others must come and get them. */
TEST_ON(what_waits_behind_a_busy_goroutine_is_taken)
{
	int64_t begin = burrow_now();
	pid_t me = tid();
	int i;

	forget_threads();
	ran = 0;
	for (i = 0; i < 1000; i++)
		CHECK(burrow_go(run_once, NULL) == 0);
	while (get(&ran) < 1000 && in_time(begin))
		;
	CHECK(get(&ran) == 1000);
	for (i = 0; i < threads_seen(); i++)
		CHECK(threads[i] != me);
}

static void ready_and_go_on(void *arg)
{
	struct burrow_chan *ch = arg;
	int64_t begin = burrow_now();

	burrow_chan_send(ch, NULL);
	while (!get(&ran) && in_time(begin))
		;
}

static void receive_one(void *arg)
{
	burrow_chan_recv(arg, NULL);
	add(&ran, 1);
}

/* The one that is to run next is taken, too, if it does not run soon. */
TEST_ON(who_was_made_ready_is_taken)
{
	struct burrow_chan *ch = burrow_chan_new(0, 0);
	int i;

	for (i = 0; i < 20; i++) {
		ran = 0;
		burrow_go(receive_one, ch);
		settle();
		burrow_go(ready_and_go_on, ch);
		wait_for_others();
		CHECK(ran == 1);
	}
}

struct table {
	struct burrow_chan *there;
	struct burrow_chan *back;
};

static void play(void *arg)
{
	struct table *t = arg;

	while (!get(&stop)) {
		burrow_chan_send(t->there, NULL);
		burrow_chan_recv(t->back, NULL);
	}
	burrow_chan_close(t->there);
}

static void play_back(void *arg)
{
	struct table *t = arg;

	while (burrow_chan_recv(t->there, NULL))
		burrow_chan_send(t->back, NULL);
}

static void start_play(struct table *t)
{
	t->there = burrow_chan_new(0, 0);
	t->back = burrow_chan_new(0, 0);
	burrow_go(play, t);
	burrow_go(play_back, t);
}

static void *start_ten(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 10; i++)
		burrow_go(run_once, NULL);
	return NULL;
}

/*
 * Two that wake each other run one after the other for as long as they like,
 * before all that wait in the ring and in the global queue.
 */
TEST_ON(two_that_play_starve_nobody)
{
	int i, procs = burrow_set_procs(0);
	struct table tables[8];
	pthread_t thread;

	stop = 0;
	ran = 0;
	for (i = 0; i < procs; i++)
		start_play(&tables[i]);
	settle();
	for (i = 0; i < 10; i++)
		burrow_go(run_once, NULL);
	wait_until(&ran, 10);
	pthread_create(&thread, NULL, start_ten, NULL);
	wait_until(&ran, 20);
	pthread_join(thread, NULL);
	stop = 1;
	wait_for_others();
}

static void yield_on(void *arg)
{
	(void)arg;
	while (!get(&stop))
		burrow_yield();
}

/* The ring is never empty, and what other threads start comes from elsewhere. */
TEST_ON(a_full_ring_starves_nobody)
{
	pthread_t thread;
	int i;

	stop = 0;
	ran = 0;
	for (i = 0; i < 50; i++)
		burrow_go(yield_on, NULL);
	pthread_create(&thread, NULL, start_ten, NULL);
	wait_until(&ran, 10);
	pthread_join(thread, NULL);
	stop = 1;
	wait_for_others();
}

/* More than a ring holds: it spills into the global queue, and none is lost. */
static int passed_by;

static void pass_by(void *arg)
{
	(void)arg;
	add(&passed_by, 1);
}

/* More than a ring has room for, and the clock wakes all of them all the time. */
#define SLEEPERS 1000
#define TURNS 6000

static int turns[SLEEPERS];
static struct burrow_waitgroup gate;

static void take_turns(void *arg)
{
	int *mine = arg;

	add(&ran, 1);
	burrow_waitgroup_wait(&gate);
	add(&ran, 1);
	/* Who opens the gate may lose its CPU half way: two had all the turns then. */
	while (get(&ran) < 2 * SLEEPERS)
		burrow_sleep(1);
	while (!get(&stop)) {
		burrow_sleep(1);
		if (__atomic_add_fetch(mine, 1, __ATOMIC_RELAXED) == TURNS)
			put(&stop, 1);
	}
}

TEST_ON(who_is_woken_waits_no_longer_than_others)
{
	int i, least = TURNS;

	put(&stop, 0);
	put(&ran, 0);
	memset(turns, 0, sizeof(turns));
	burrow_waitgroup_add(&gate, 1);
	for (i = 0; i < SLEEPERS; i++)
		burrow_go(take_turns, &turns[i]);
	wait_until(&ran, SLEEPERS);
	burrow_waitgroup_done(&gate);
	wait_for_others();
	for (i = 0; i < SLEEPERS; i++) {
		if (turns[i] < least)
			least = turns[i];
	}
	CHECK(least > TURNS / 4);
}

/* Most of them are in the global queue, and a yield comes to those, too. */
TEST_ON(yields_come_to_all_who_are_new)
{
	int i, yields = 0, started = 0, others = burrow_set_procs(0) - 1;

	passed_by = 0;
	for (i = 0; i < 2000; i++)
		started += !burrow_go(pass_by, NULL);
	while (get(&passed_by) < started && yields++ < 100000)
		burrow_yield();
	/* Another processor's thread may have some, and no CPU for a while. */
	CHECK(get(&passed_by) == started ||
	      (others && !READ_ONCE(burrow_runtime.queued)));
	wait_until(&passed_by, started);
}

TEST_ON(rings_overflow)
{
	int i, n = 0;

	ran = 0;
	for (i = 0; i < 5000; i++)
		n += !burrow_go(run_once, NULL);
	wait_for_others();
	CHECK(n == 5000);
	CHECK(ran == 5000);
}

#define STARTS 1500
#define STARTERS 4

static void *start_many(void *arg)
{
	int i;

	for (i = 0; i < STARTS; i++) {
		while (burrow_num_goroutines() > 2000)
			usleep(100);
		if (burrow_go(run_once, NULL))
			add(arg, 1);
	}
	return NULL;
}

TEST_ON(other_threads_start_goroutines_under_load)
{
	pthread_t starters[STARTERS];
	int i, failed = 0;

	stop = 0;
	ran = 0;
	for (i = 0; i < 8; i++)
		burrow_go(yield_on, NULL);
	for (i = 0; i < STARTERS; i++)
		pthread_create(&starters[i], NULL, start_many, &failed);
	wait_until(&ran, STARTS * STARTERS);
	for (i = 0; i < STARTERS; i++)
		pthread_join(starters[i], NULL);
	stop = 1;
	wait_for_others();
	CHECK(!failed);
	CHECK(ran == STARTS * STARTERS);
}

static void start_from_here(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		CHECK(burrow_go(run_once, NULL) == 0);
}

static void start_from_blocking(void *arg)
{
	burrow_blocking(start_from_here, arg);
}

TEST_ON(burrow_blocking_starts_goroutines)
{
	int i;

	ran = 0;
	for (i = 0; i < 10; i++)
		burrow_go(start_from_blocking, NULL);
	wait_for_others();
	CHECK(ran == 1000);
}

/* The number of processors. */

static void set_in_blocking(void *arg)
{
	*(int *)arg = burrow_set_procs(5);
}

TEST_ON(the_number_of_processors)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int old = burrow_set_procs(0);

	CHECK(old == 1 || old == 2 || old == 8);
	CHECK(burrow_set_procs(0) == old);
	CHECK(burrow_set_procs(3) == old);
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.procs == 3);
	CHECK(burrow_set_procs(-1) == -EINVAL);
	CHECK(burrow_set_procs(1025) == -EINVAL);
	CHECK(burrow_set_procs(1) == 3);
	CHECK(burrow_set_procs(1024) == 1);
	CHECK(burrow_set_procs(2) == 1024);
	burrow_blocking(set_in_blocking, &old);
	CHECK(old == 2);
	CHECK(burrow_set_procs(0) == 5);
}

TEST(the_number_of_processors_of_no_runtime)
{
	EXPECT_EQ(-ESRCH, burrow_set_procs(0));
	EXPECT_EQ(-ESRCH, burrow_set_procs(4));
	EXPECT_EQ(-EINVAL, burrow_set_procs(-1));
}

static uint64_t relayed;

static void relay(void *arg)
{
	struct burrow_chan **ch = arg;
	uint64_t n;

	while (burrow_chan_recv(ch[0], &n)) {
		burrow_yield();
		burrow_chan_send(ch[1], &n);
		burrow_sleep(n % 50 ? 0 : MS / 10);
	}
	burrow_chan_close(ch[1]);
}

#define RELAYS 16
#define MESSAGES 4000

static struct burrow_chan *chain[RELAYS + 1];

static void feed(void *arg)
{
	uint64_t n;

	(void)arg;
	for (n = 1; n <= MESSAGES; n++)
		burrow_chan_send(chain[0], &n);
	burrow_chan_close(chain[0]);
}

static void drain(void *arg)
{
	uint64_t n;

	(void)arg;
	while (burrow_chan_recv(chain[RELAYS], &n))
		relayed += n;
	add(&stop, 1);
}

static void start_relays(void)
{
	int i;

	stop = 0;
	relayed = 0;
	for (i = 0; i <= RELAYS; i++)
		chain[i] = burrow_chan_new(sizeof(uint64_t), i % 3);
	for (i = 0; i < RELAYS; i++)
		burrow_go(relay, &chain[i]);
	burrow_go(feed, NULL);
	burrow_go(drain, NULL);
}

static void end_relays(void)
{
	wait_until(&stop, 1);
	wait_for_others();
	CHECK(relayed == (uint64_t)MESSAGES * (MESSAGES + 1) / 2);
}

static void change_procs(uint32_t *state)
{
	int n = next_random(state) % 9;

	CHECK(burrow_set_procs(n) > 0);
}

TEST_ON(the_number_changes_under_load)
{
	uint32_t state = 1;

	start_relays();
	while (!get(&stop)) {
		change_procs(&state);
		burrow_sleep(MS / 5);
	}
	end_relays();
}

static void *change_from_outside(void *arg)
{
	uint32_t state = 77;

	while (!get(arg)) {
		change_procs(&state);
		usleep(200);
	}
	return NULL;
}

TEST_ON(other_threads_change_the_number_under_load)
{
	pthread_t changers[2];
	int i;

	start_relays();
	for (i = 0; i < 2; i++)
		pthread_create(&changers[i], NULL, change_from_outside, &stop);
	wait_until(&stop, 1);
	for (i = 0; i < 2; i++)
		pthread_join(changers[i], NULL);
	end_relays();
}

struct reader {
	int fds[2];
	int got;
};

static void read_one(void *arg)
{
	struct reader *r = arg;
	char c;

	r->got = burrow_read(r->fds[0], &c, 1);
}

static void sleep_and_count(void *arg)
{
	burrow_sleep((intptr_t)arg * MS);
	add(&ran, 1);
}

static void spread(void)
{
	int i;

	/* Each of them sets its timeout, or asks for I/O, where it runs. */
	for (i = 0; i < 20; i++)
		burrow_yield();
}

static void read_spread(void *arg)
{
	spread();
	read_one(arg);
}

static void sleep_spread(void *arg)
{
	spread();
	sleep_and_count(arg);
}

/* What was set and asked for on processors that go still comes. */
TEST_ON(sleepers_and_readers_survive_their_processors)
{
	static struct reader readers[10];
	int i;

	ran = 0;
	burrow_set_procs(8);
	for (i = 0; i < 10; i++) {
		CHECK(pipe(readers[i].fds) == 0);
		readers[i].got = 0;
		burrow_go(read_spread, &readers[i]);
	}
	for (i = 0; i < 200; i++)
		burrow_go(sleep_spread, (void *)(intptr_t)(30 + i % 50));
	burrow_sleep(20 * MS);
	burrow_set_procs(1);
	wait_until(&ran, 200);
	for (i = 0; i < 10; i++)
		CHECK(write(readers[i].fds[1], "x", 1) == 1);
	wait_for_others();
	for (i = 0; i < 10; i++) {
		CHECK(readers[i].got == 1);
		close(readers[i].fds[0]);
		close(readers[i].fds[1]);
	}
}

/* Goroutines bound to their thread. */

#define BOUND 10

static pid_t homes[BOUND];
static struct burrow_chan *between;

static bool is_home(pid_t t)
{
	int i;

	for (i = 0; i < BOUND; i++) {
		if (get(&homes[i]) == t)
			return true;
	}
	return false;
}

static void stay_home(struct burrow_chan *ch, pid_t home)
{
	int i;

	for (i = 0; i < 100; i++) {
		CHECK(tid() == home);
		burrow_yield();
		CHECK(tid() == home);
		burrow_chan_send(ch, NULL);
		CHECK(tid() == home);
		burrow_chan_recv(ch, NULL);
		CHECK(tid() == home);
		burrow_sleep(i % 10 ? 0 : MS / 10);
	}
}

static void live_bound(void *arg)
{
	int *home = arg;

	burrow_lock_thread();
	*home = tid();
	stay_home(between, *home);
	__atomic_store_n(home, 0, __ATOMIC_SEQ_CST);
	if ((home - homes) % 2)
		burrow_unlock_thread();
	add(&ran, 1);
}

/* @homes are those of others: the one that runs here is bound to none. */
static void live_free(void *arg)
{
	(void)arg;
	while (get(&ran) < BOUND) {
		CHECK(!is_home(tid()));
		burrow_chan_try_recv(between, NULL);
		burrow_chan_try_send(between, NULL);
		burrow_yield();
	}
}

TEST_ON(bound_goroutines_have_a_thread_of_their_own)
{
	int i;

	ran = 0;
	between = burrow_chan_new(0, 3);
	for (i = 0; i < BOUND; i++)
		burrow_go(live_bound, &homes[i]);
	for (i = 0; i < 10; i++)
		burrow_go(live_free, NULL);
	wait_until(&ran, BOUND);
	wait_for_others();
}

TEST_ON(bound_goroutines_survive_their_processors)
{
	uint32_t state = 3;
	int i;

	ran = 0;
	between = burrow_chan_new(0, 3);
	for (i = 0; i < BOUND; i++)
		burrow_go(live_bound, &homes[i]);
	for (i = 0; i < 10; i++)
		burrow_go(live_free, NULL);
	for (i = 0; i < 2000 && get(&ran) < BOUND; i++) {
		change_procs(&state);
		burrow_sleep(MS);
	}
	wait_until(&ran, BOUND);
	wait_for_others();
}

TEST_ON(locks_of_a_thread_nest)
{
	pid_t home = tid();
	int i;

	stop = 0;
	for (i = 0; i < 20; i++)
		burrow_go(yield_on, NULL);
	burrow_lock_thread();
	home = tid();
	burrow_lock_thread();
	burrow_unlock_thread();
	for (i = 0; i < 100; i++) {
		burrow_yield();
		CHECK(tid() == home);
	}
	burrow_unlock_thread();
	stop = 1;
	wait_for_others();
}

static void block_here(void *arg)
{
	pid_t home = *(pid_t *)arg;

	CHECK(tid() == home);
	usleep(20000);
}

static void bound_blocks_and_hogs(void *arg)
{
	int64_t begin;
	pid_t home;

	burrow_lock_thread();
	home = tid();
	burrow_blocking(block_here, &home);
	CHECK(tid() == home);
	begin = burrow_now();
	while (burrow_now() - begin < 20 * MS)
		;
	burrow_yield();
	CHECK(tid() == home);
	add(arg, 1);
}

TEST_ON(bound_goroutines_block_and_hog)
{
	int i;

	stop = 0;
	ran = 0;
	burrow_go(yield_on, NULL);
	for (i = 0; i < 5; i++)
		burrow_go(bound_blocks_and_hogs, &ran);
	wait_until(&ran, 5);
	stop = 1;
	wait_for_others();
}

static int unlock_unlocked(void *arg)
{
	(void)arg;
	burrow_lock_thread();
	burrow_unlock_thread();
	burrow_unlock_thread();
	return 0;
}

static void run_unlock(void *arg)
{
	burrow_run(NULL, unlock_unlocked, arg);
}

TEST(unlock_of_an_unlocked_thread)
{
	static struct outcome o;

	outcome_of(&o, run_unlock, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 1 (main): burrow_unlock_thread: without "));
	EXPECT_TRUE(says(&o, ": without burrow_lock_thread() before\n"));
	EXPECT_TRUE(says(&o, "unlock_unlocked+0x"));
}

TEST_HARNESS_MAIN
