// SPDX-License-Identifier: GPL-2.0
/* Start, end, order, ids, errors: what every program relies on. */
#include <pthread.h>
#include <time.h>

#include "runtime.h"

static int seven(void *arg)
{
	*(int *)arg = 1;
	return 7;
}

TEST(run_returns_what_main_returns)
{
	int ran = 0;

	EXPECT_EQ(7, burrow_run(NULL, seven, &ran));
	EXPECT_EQ(1, ran);
	EXPECT_EQ(0, burrow_id());
	EXPECT_EQ(0, burrow_num_goroutines());
}

TEST(run_again)
{
	int i, ran;

	for (i = 0; i < 20; i++) {
		ran = 0;
		ASSERT_EQ(7, burrow_run(NULL, seven, &ran));
		ASSERT_EQ(1, ran);
	}
}

static int nested(void *arg)
{
	return burrow_run(NULL, seven, arg);
}

TEST(nested_run_is_busy)
{
	int ran = 0;

	EXPECT_EQ(-EBUSY, burrow_run(NULL, nested, &ran));
	EXPECT_EQ(0, ran);
}

#define MANY 1000

struct many {
	uint64_t ids[MANY];
	int order[MANY];
	int started;
	int ended;
	bool mixed;
};

static int progress(const struct many *m)
{
	return __atomic_load_n(&m->started, __ATOMIC_RELAXED) +
	       __atomic_load_n(&m->ended, __ATOMIC_RELAXED);
}

static void one_of_many(void *arg)
{
	struct many *m = arg;
	int me = __atomic_fetch_add(&m->started, 1, __ATOMIC_RELAXED);
	uint64_t id = burrow_id();
	int i, before = me;

	m->ids[me] = id;
	for (i = 0; i < 10; i++) {
		before = progress(m);
		burrow_yield();
		if (progress(m) != before)
			__atomic_store_n(&m->mixed, true, __ATOMIC_RELAXED);
		if (burrow_id() != id)
			m->ids[me] = 0;
	}
	__atomic_fetch_add(&m->ended, 1, __ATOMIC_RELAXED);
}

static int run_many(void *arg)
{
	int i;

	for (i = 0; i < MANY; i++) {
		if (burrow_go(one_of_many, arg))
			return 1;
	}
	/* With more processors some have ended already. */
	if (burrow_set_procs(0) == 1 && burrow_num_goroutines() != MANY + 1)
		return 2;
	wait_for_others();
	return 0;
}

TEST(many_goroutines_take_turns)
{
	static struct many m;
	int i, j;

	ASSERT_EQ(0, burrow_run(NULL, run_many, &m));
	EXPECT_EQ(MANY, m.started);
	EXPECT_EQ(MANY, m.ended);
	EXPECT_TRUE(m.mixed);
	for (i = 0; i < MANY; i++) {
		ASSERT_NE(0, m.ids[i]);
		for (j = 0; j < i; j++)
			ASSERT_NE(m.ids[i], m.ids[j]);
	}
}

struct order {
	int next;
	int behind; /* had no time left to sleep */
	int seen[8];
	int64_t late[8];
};

struct sleeper {
	struct order *order;
	int number;
	int64_t until;
};

static void sleeper(void *arg)
{
	struct sleeper *s = arg;

	if (s->until <= burrow_now())
		__atomic_add_fetch(&s->order->behind, 1, __ATOMIC_SEQ_CST);
	burrow_sleep(s->until - burrow_now());
	s->order->late[s->number] = burrow_now() - s->until;
	s->order->seen[__atomic_fetch_add(&s->order->next, 1, __ATOMIC_SEQ_CST)] =
		s->number;
}

static int sleep_in_order(void *arg)
{
	static const int ms[8] = { 160, 20, 100, 60, 140, 40, 120, 80 };
	static struct sleeper sleepers[8];
	/* Late enough for all of them to have begun, wherever this runs. */
	int64_t begin = burrow_now() + 500 * MS;
	int i;

	for (i = 0; i < 8; i++) {
		sleepers[i].order = arg;
		sleepers[i].number = i;
		sleepers[i].until = begin + ms[i] * MS;
		burrow_go(sleeper, &sleepers[i]);
	}
	wait_for_others();
	return 0;
}

/*
 * How many of the eight woke when they should. Where the machine stood still until
 * one of them was due, it did not sleep, and that was no try.
 */
static int sleep_on(const char *procs, struct order *order)
{
	int i, n = 0, tries = 0;

	setenv("BURROW_PROCS", procs, 1);
	do {
		memset(order, 0, sizeof(*order));
		if (burrow_run(NULL, sleep_in_order, order) || order->next != 8)
			return -1;
	} while (order->behind && ++tries < 20);
	for (i = 0; i < 8; i++)
		n += order->late[i] >= 0;
	return n;
}

/* In order on one processor: of those due at once, others may take some. */
TEST(sleepers_wake_in_order_and_not_early)
{
	static const int expected[8] = { 1, 5, 3, 7, 2, 6, 4, 0 };
	struct order order;
	int i;

	EXPECT_EQ(8, sleep_on("2", &order));
	EXPECT_EQ(8, sleep_on("8", &order));
	ASSERT_EQ(8, sleep_on("1", &order));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(expected[i], order.seen[i]);
}

static int idle_cpu(void *arg)
{
	struct timespec before, after;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	burrow_sleep(300 * MS);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	*(int64_t *)arg = (after.tv_sec - before.tv_sec) * 1000 * MS +
			  after.tv_nsec - before.tv_nsec;
	return burrow_sleep(0) + burrow_sleep(-5);
}

TEST(an_idle_runtime_uses_no_processor)
{
	int64_t used = 0;

	EXPECT_EQ(0, burrow_run(NULL, idle_cpu, &used));
	EXPECT_LT(used, 100 * MS);
}

static void exit_midway(void *arg)
{
	*(int *)arg += 1;
	burrow_exit();
	*(int *)arg += 100;
}

static int start_exit(void *arg)
{
	burrow_go(exit_midway, arg);
	wait_for_others();
	return 0;
}

TEST(exit_ends_the_goroutine_alone)
{
	int n = 0;

	EXPECT_EQ(0, burrow_run(NULL, start_exit, &n));
	EXPECT_EQ(1, n);
}

static void last_words(void *arg)
{
	(void)arg;
	burrow_sleep(20 * MS);
	fprintf(stderr, "the other went on\n");
}

static int main_exits(void *arg)
{
	burrow_go(last_words, arg);
	burrow_exit();
	return 0;
}

static void run_main_exits(void *arg)
{
	burrow_run(NULL, main_exits, arg);
}

TEST(exit_in_main_lets_others_go_on_then_deadlock)
{
	static struct outcome o;

	outcome_of(&o, run_main_exits, NULL);
	EXPECT_TRUE(exited_with(&o, 2));
	EXPECT_STREQ("the other went on\n"
		     "burrow: all goroutines are asleep - deadlock!\n",
		     o.text);
}

static void never(void *arg)
{
	burrow_sleep(3600 * 1000 * MS);
	*(int *)arg = 1;
}

static int leave_others(void *arg)
{
	int i;

	for (i = 0; i < 100; i++)
		burrow_go(never, arg);
	burrow_sleep(MS);
	return 3;
}

TEST(run_does_not_wait_for_others)
{
	int woke = 0;

	EXPECT_EQ(3, burrow_run(NULL, leave_others, &woke));
	EXPECT_EQ(3, burrow_run(NULL, leave_others, &woke));
	EXPECT_EQ(0, woke);
}

static void count_one(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void *foreign(void *arg)
{
	int i, ret;

	if (burrow_id() || burrow_sleep(MS) != -EPERM)
		return "id or sleep";
	for (i = 0; i < 500; i++) {
		ret = burrow_go(count_one, arg);
		if (ret)
			return "go";
		if (i % 50 == 0)
			usleep(2000);
	}
	return NULL;
}

static int wait_for_foreign(void *arg)
{
	pthread_t threads[3];
	void *failed = NULL;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, foreign, arg);
	/* Far longer than it takes: what they start must wake us meanwhile. */
	for (i = 0;
	     i < 1000 && __atomic_load_n((int *)arg, __ATOMIC_SEQ_CST) < 1500;
	     i++)
		burrow_sleep(10 * MS);
	for (i = 0; i < 3 && !failed; i++)
		pthread_join(threads[i], &failed);
	return failed ? 1 : 0;
}

TEST(go_from_other_threads)
{
	int n = 0;

	EXPECT_EQ(-ESRCH, burrow_go(count_one, &n));
	EXPECT_EQ(0, burrow_run(NULL, wait_for_foreign, &n));
	EXPECT_EQ(1500, n);
	EXPECT_EQ(-ESRCH, burrow_go(count_one, &n));
}

static int64_t woken_after;

static void note_wake(void *arg)
{
	woken_after = burrow_now() - *(int64_t *)arg;
}

static void *wake_once(void *arg)
{
	usleep(50000);
	*(int64_t *)arg = burrow_now();
	burrow_go(note_wake, arg);
	return NULL;
}

static int sleep_long(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wake_once, arg);
	burrow_sleep(1500 * MS);
	pthread_join(thread, NULL);
	return 0;
}

TEST(go_from_another_thread_wakes_an_idle_runtime)
{
	int64_t when = 0;

	EXPECT_EQ(0, burrow_run(NULL, sleep_long, &when));
	EXPECT_GT(woken_after, 0);
	EXPECT_LT(woken_after, 700 * MS);
}

static void yield_outside(void *arg)
{
	(void)arg;
	burrow_yield();
}

TEST(misuse_says_what_and_aborts)
{
	static struct outcome o;

	outcome_of(&o, yield_outside, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: burrow_yield: called by a thread that runs no goroutine\n"));
	EXPECT_TRUE(says(&o, "yield_outside+0x"));
}

static int stats_of(void *arg)
{
	struct burrow_stats *s = arg;
	static int n;
	int i;

	for (i = 0; i < 10; i++)
		burrow_go(count_one, &n);
	while (burrow_num_goroutines() > 1)
		burrow_yield();
	return burrow_stats(s);
}

TEST(stats)
{
	struct {
		struct burrow_stats s;
		uint64_t more;
	} later = { .more = 5 };
	struct burrow_stats s = { .size = sizeof(s) };
	struct burrow_stats none = { .size = 0 };

	EXPECT_EQ(-ESRCH, burrow_stats(&s));
	ASSERT_EQ(0, burrow_run(NULL, stats_of, &s));
	EXPECT_EQ(11, s.created);
	EXPECT_EQ(1, s.goroutines);
	EXPECT_GE(s.switches, 12);
	EXPECT_GT(s.stack_bytes, 0);
	EXPECT_GT(s.stacks_warm, 0);
	EXPECT_EQ(on_kmod(), s.stack_grows > 0);
	/* None is parked for long; on mmap none could. */
	EXPECT_EQ(0, on_kmod() ? 0 : s.stacks_hibernated + s.hibernates);
	EXPECT_GE(s.hibernates, s.restores);

	later.s.size = sizeof(later);
	EXPECT_EQ(0, burrow_run(NULL, stats_of, &later.s));
	EXPECT_EQ(0, later.more);
	EXPECT_EQ(sizeof(later), later.s.size);
	EXPECT_EQ(-EINVAL, burrow_run(NULL, stats_of, &none));
}

static int go_badly(void *arg)
{
	struct {
		struct burrow_go_options o;
		uint64_t more;
	} o = { 0 };

	o.o.size = sizeof(o);
	o.more = 1;
	if (burrow_go_opts(&o.o, count_one, arg) != -E2BIG)
		return 1;
	o.more = 0;
	if (burrow_go_opts(&o.o, count_one, arg))
		return 2;
	o.o.size = 4;
	if (burrow_go_opts(&o.o, count_one, arg) != -EINVAL)
		return 3;
	o.o.size = sizeof(o.o);
	o.o.stack_max = 1UL << 30;
	if (burrow_go_opts(&o.o, count_one, arg) != -EINVAL)
		return 4;
	wait_for_others();
	return 0;
}

TEST(go_options_are_checked)
{
	int n = 0;

	EXPECT_EQ(0, burrow_run(NULL, go_badly, &n));
	EXPECT_EQ(1, n);
}

struct bad_env {
	const char *name;
	const char *value;
};

static void run_with(void *arg)
{
	struct bad_env *e = arg;
	int ran = 0;

	setenv(e->name, e->value, 1);
	exit(burrow_run(NULL, seven, &ran) == -EINVAL && !ran ? 0 : 1);
}

TEST(an_environment_that_cannot_be_is_named)
{
	static struct bad_env bad[] = {
		{ "BURROW_BACKEND", "disk" },
		{ "BURROW_STACKMAX", "lots" },
		{ "BURROW_STACKMAX", "1GiB" },
		{ "BURROW_STACKMAX", "-1" },
		{ "BURROW_STACKMAX", "5MB" },
		{ "BURROW_PROCS", "0" },
		{ "BURROW_PROCS", "two" },
		{ "BURROW_DEBUG", "nonsense" },
		{ "BURROW_STACKMAX", "99999999999GiB" },
	};
	static struct outcome o;
	char line[128];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "burrow: %s=%s: ", bad[i].name,
			 bad[i].value);
		outcome_of(&o, run_with, &bad[i]);
		EXPECT_TRUE(exited_with(&o, 0))
		{
			TH_LOG("%s -> %s", line, o.text);
		}
		EXPECT_TRUE(begins(&o, line));
	}
}

TEST(the_program_wins_over_the_environment)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 3 };
	int ran = 0;

	setenv("BURROW_PROCS", "two", 1);
	EXPECT_EQ(7, burrow_run(&o, seven, &ran));
	setenv("BURROW_PROCS", "2", 1);
	EXPECT_EQ(7, burrow_run(NULL, seven, &ran));
	setenv("BURROW_STACKMAX", "lots", 1);
	o.stack_max = MIB;
	EXPECT_EQ(7, burrow_run(&o, seven, &ran));
	o.size = 3;
	EXPECT_EQ(-EINVAL, burrow_run(&o, seven, &ran));
	o.size = sizeof(o);
	o.stack_max = 1UL << 30;
	EXPECT_EQ(-EINVAL, burrow_run(&o, seven, &ran));
	o.stack_max = 0;
	o.backend = 77;
	EXPECT_EQ(-EINVAL, burrow_run(&o, seven, &ran));
	o.backend = 0;
	o.procs = -1;
	EXPECT_EQ(-EINVAL, burrow_run(&o, seven, &ran));
}

static int break_pipe(void *arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds))
		return 1;
	close(fds[0]);
	if (write(fds[1], "x", 1) != -1 || errno != EPIPE)
		return 2;
	/* What we start has it at its default, not ignored. */
	return system("kill -PIPE $$; exit 5") == SIGPIPE ? 0 : 3;
}

TEST(sigpipe_is_ignored_but_not_inherited)
{
	EXPECT_EQ(0, burrow_run(NULL, break_pipe, NULL));
}

TEST_HARNESS_MAIN
