// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines that are parked keep what is live of their stacks and no memory for it,
 * and find it as it was, whoever touches it first.
 */
#include <fcntl.h>
#include <linux/burrow.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gc.h"

#define SLEEPERS 200
#define WORDS 60 /* of each sleeper's own */
#define ROUNDS 30

static struct burrow_chan *gate;
static int here, wrong;
static long *shared[SLEEPERS];

static bool module_hibernates(void)
{
	struct burrow_runtime *rt = &burrow_runtime;

	return rt->pool->hibernates;
}

static struct burrow_context_stats module_stats(void)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	CHECK(!ioctl(burrow_runtime.pool->fd, BURROW_IOC_STATS, &stats));
	return stats;
}

/* How many hibernate now. */
static int asleep(void)
{
	return module_stats().hibernated;
}

/*
 * At least @n more than @before. Not for ever: the monitor has a hundredth of its time
 * for it, and an emulated machine is slow.
 */
static bool fall_asleep(int before, int n)
{
	int i;

	for (i = 0; i < 20000 && asleep() - before < n; i++)
		burrow_sleep(5 * MS);
	return asleep() - before >= n;
}

/* What it has live is its own, but for the word that it shows. */
static void sleeper(void *arg)
{
	int i, number = (int)(intptr_t)arg;
	volatile uint32_t words[WORDS];
	uint32_t state = number + 1;
	long mine = 0;

	for (i = 0; i < WORDS; i++)
		words[i] = next_random(&state);
	shared[number] = &mine;
	add(&here, 1);
	burrow_chan_recv(gate, NULL);
	state = number + 1;
	for (i = 0; i < WORDS; i++) {
		if (words[i] != next_random(&state))
			add(&wrong, 1);
	}
	if (__atomic_load_n(&mine, __ATOMIC_RELAXED) != number)
		add(&wrong, 1);
}

static void start_sleepers(void)
{
	int i;

	here = 0;
	wrong = 0;
	gate = burrow_chan_new(0, 0);
	for (i = 0; i < SLEEPERS; i++)
		CHECK(burrow_go(sleeper, (void *)(intptr_t)i) == 0);
	while (get(&here) < SLEEPERS)
		burrow_sleep(MS);
}

static void wake_sleepers(void)
{
	burrow_chan_close(gate);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(MS);
	CHECK(get(&wrong) == 0);
}

FIXTURE(hibernation){};

FIXTURE_VARIANT(hibernation)
{
	int procs;
	const char *time;
};

FIXTURE_VARIANT_ADD(hibernation, 1_processor){
	.procs = 1,
	.time = "0",
};

FIXTURE_VARIANT_ADD(hibernation, 2_processors){
	.procs = 2,
	.time = "0",
};

FIXTURE_VARIANT_ADD(hibernation, 8_processors_20_ms){
	.procs = 8,
	.time = "20ms",
};

static void look_for_it(void)
{
	CHECK(module_hibernates());
}

FIXTURE_SETUP(hibernation)
{
	setenv("BURROW_HIBERNATE", variant->time, 1);
}

FIXTURE_TEARDOWN(hibernation)
{
}

/* A test in each way: a function that runs as main goroutine. */
#define TEST_ASLEEP(name)                                                     \
	static void test_##name(void);                                        \
	TEST_F(hibernation, name)                                             \
	{                                                                     \
		if (!on_kmod() || run_on(1, look_for_it))                     \
			SKIP(return, "stacks hibernate on the module alone"); \
		EXPECT_EQ(0, run_on(variant->procs, test_##name));            \
	}                                                                     \
	static void test_##name(void)

static struct burrow_stats library_stats(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	CHECK(burrow_stats(&stats) == 0);
	return stats;
}

/* As the module counts it, but for who falls asleep or wakes between the looks. */
TEST_ASLEEP(the_library_counts_it)
{
	struct burrow_context_stats before, after;
	struct burrow_stats stats;
	int i, asleep_before = asleep();

	start_sleepers();
	CHECK(fall_asleep(asleep_before, SLEEPERS));
	before = module_stats();
	stats = library_stats();
	after = module_stats();
	CHECK(stats.stacks_hibernated >= SLEEPERS * 9 / 10);
	CHECK(stats.stacks_hibernated <= SLEEPERS + 10);
	CHECK(stats.saved_bytes > stats.stacks_hibernated * WORDS * 4);
	CHECK(stats.store_bytes > stats.saved_bytes);
	CHECK(stats.store_bytes % (4 * KIB) == 0);
	CHECK(stats.hibernates - before.hibernates <=
	      after.hibernates - before.hibernates);
	CHECK(stats.restores - before.restores <=
	      after.restores - before.restores);
	CHECK(stats.hibernate_races - before.hibernate_races <=
	      after.hibernate_races - before.hibernate_races);
	for (i = 0; i < SLEEPERS; i++)
		__atomic_add_fetch(shared[i], i, __ATOMIC_RELAXED);
	CHECK(library_stats().restores - stats.restores >= SLEEPERS * 9 / 10);
	wake_sleepers();
	CHECK(library_stats().stacks_hibernated < SLEEPERS / 2);
}

static struct goroutine *slow_one;
static uint32_t said_at;

static void as_it_said(struct goroutine *g, void *arg)
{
	(void)arg;
	g->parked_at = said_at;
}

/* It says that it waits, and is on its stack still while rounds go by. */
static void slow_to_park(void *arg)
{
	struct burrow_thread *self = burrow_enter("slow_to_park");
	int64_t until = burrow_now() + 300 * MS;

	(void)arg;
	slow_one = self->current;
	said_at = burrow_runtime.clock;
	slow_one->parked_at = said_at;
	slow_one->state = GOROUTINE_WAITING;
	while (burrow_now() < until)
		burrow_hibernate_help();
	slow_one->state = GOROUTINE_RUNNING;
	burrow_leave(
		burrow_park_call(self, GOROUTINE_CHAN_RECV, as_it_said, NULL));
}

TEST_ASLEEP(one_who_is_slow_to_park)
{
	struct burrow_thread *self;

	CHECK(burrow_go(slow_to_park, NULL) == 0);
	burrow_sleep(400 * MS);
	CHECK(fall_asleep(0, 1));
	self = burrow_enter("one_who_is_slow_to_park");
	burrow_ready(self, slow_one);
	burrow_leave(self);
	wait_for_others();
}

#define POKES 30

static struct burrow_event *poke;
static int poked;

/* Of no goroutine's; with each poke one runs for much less than the monitor's period. */
static void *poker(void *arg)
{
	int *late = arg, i, ms;

	for (i = 0; i < POKES; i++) {
		for (ms = 0; ms < 10000 && !asleep(); ms++)
			usleep(1000);
		*late += !asleep();
		burrow_notify(poke);
		while (get(&poked) <= i)
			usleep(100);
		usleep(i * 700);
	}
	return NULL;
}

TEST_ASLEEP(who_runs_for_a_moment_falls_asleep_again)
{
	pthread_t thread;
	int late = 0, i;

	poke = burrow_event_new();
	poked = 0;
	CHECK(pthread_create(&thread, NULL, poker, &late) == 0);
	for (i = 0; i < POKES; i++) {
		CHECK(burrow_event_wait(poke) == 0);
		add(&poked, 1);
	}
	pthread_join(thread, NULL);
	burrow_event_free(poke);
	CHECK(!late);
}

/* A page each before, and then none. */
TEST_ASLEEP(they_lose_their_memory)
{
	struct burrow_context_stats stats;
	uint64_t awake;
	int i, round, before;

	for (round = 0; round < 3; round++) {
		before = asleep();
		start_sleepers();
		CHECK(fall_asleep(before, SLEEPERS));
		stats = module_stats();
		CHECK(stats.saved_bytes >= SLEEPERS * 9 / 10 * WORDS * 4UL);
		CHECK(stats.store_bytes < SLEEPERS * 4 * KIB / 2);
		/* Others write to them: they come back, and are right. */
		for (i = 0; i < SLEEPERS; i++)
			__atomic_add_fetch(shared[i], i, __ATOMIC_RELAXED);
		awake = module_stats().stack_bytes;
		CHECK(awake >= (SLEEPERS - 1) * 4 * KIB);
		CHECK(awake - stats.stack_bytes >= SLEEPERS / 2 * 4 * KIB);
		wake_sleepers();
	}
}

/* As /proc/self/status has it. */
static size_t page_tables(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	CHECK(n > 0);
	text[n] = 0;
	at = strstr(text, "VmPTE:");
	CHECK(at);
	return strtoul(at + 6, NULL, 10) * KIB;
}

#define CROWD 700 /* more than an eighth of what a gigabyte has room for */

static void waiter(void *arg)
{
	(void)arg;
	burrow_chan_recv(gate, NULL);
}

/* Half a kilobyte each; and who then wakes has them again. */
TEST_ASLEEP(they_lose_their_page_tables)
{
	size_t before = page_tables(), now;
	int i, slept = asleep();

	gate = burrow_chan_new(0, 0);
	for (i = 0; i < CROWD; i++)
		CHECK(burrow_go(waiter, NULL) == 0);
	CHECK(fall_asleep(slept, CROWD));
	now = page_tables();
	CHECK(now < before + CROWD * 256);
	CHECK(module_stats().pgtable_bytes > CROWD * 256);
	burrow_chan_close(gate);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(MS);
	CHECK(page_tables() > now + CROWD * 256);
}

static struct burrow_chan *there, *back;

static void play(void *arg)
{
	volatile uint32_t sum = 0;
	uint32_t n;

	(void)arg;
	while (burrow_chan_recv(there, &n) == 1) {
		sum += n;
		n = sum;
		burrow_chan_send(back, &n);
	}
}

/* Between two messages each is parked just long enough. */
TEST_ASLEEP(while_others_talk)
{
	uint32_t n, sum = 0, i;

	there = burrow_chan_new(sizeof(n), 0);
	back = burrow_chan_new(sizeof(n), 0);
	start_sleepers();
	CHECK(burrow_go(play, NULL) == 0);
	for (i = 0; i < 2000; i++) {
		sum += i;
		CHECK(burrow_chan_send(there, &i) == 0);
		if (i % 64 == 0)
			burrow_sleep(MS);
		CHECK(burrow_chan_recv(back, &n) == 1);
		CHECK(n == sum);
	}
	burrow_chan_close(there);
	for (i = 0; i < SLEEPERS; i++)
		*shared[i] = i;
	wake_sleepers();
}

static int fds[2];

/* The kernel writes to where the reader waits. */
static void reader(void *arg)
{
	char text[64];
	ssize_t n;

	(void)arg;
	memset(text, 'x', sizeof(text));
	add(&here, 1);
	n = burrow_read(fds[0], text, 32);
	if (n != 5 || memcmp(text, "hello", 5) || text[5] != 'x')
		add(&wrong, 1);
	add(&here, 1);
}

TEST_ASLEEP(a_reader)
{
	int i, before;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	for (i = 0; i < ROUNDS; i++) {
		before = asleep();
		here = 0;
		wrong = 0;
		CHECK(burrow_go(reader, NULL) == 0);
		CHECK(i || fall_asleep(before, 1));
		burrow_sleep(i % 8 * MS);
		CHECK(burrow_write(fds[1], "hello", 5) == 5);
		while (get(&here) < 2)
			burrow_yield();
		CHECK(wrong == 0);
	}
	close(fds[0]);
	close(fds[1]);
}

/* What only they point to lives. */
static void holder(void *arg)
{
	struct secret *secret = arg;
	struct thing *t = make(secret);

	add(&here, 1);
	burrow_chan_recv(gate, NULL);
	if (t->magic != MAGIC)
		add(&wrong, 1);
	burrow_keep_alive(t);
}

static void start_holders(struct secret *secrets)
{
	int i, before = asleep();

	here = 0;
	wrong = 0;
	gate = burrow_chan_new(0, 0);
	for (i = 0; i < MANY; i++)
		CHECK(burrow_go(holder, &secrets[i]) == 0);
	while (get(&here) < MANY)
		burrow_sleep(MS);
	CHECK(fall_asleep(before, MANY));
}

TEST_ASLEEP(their_objects_live)
{
	static struct secret secrets[MANY];

	start_holders(secrets);
	CHECK(count_living(secrets) == MANY);
	CHECK(count_living(secrets) == MANY);
	wake_sleepers();
}

/* And are not put back for it. */
TEST_ASLEEP(a_collection_wakes_nobody)
{
	static struct secret secrets[MANY];
	uint64_t restores;
	int i;

	start_holders(secrets);
	restores = module_stats().restores;
	for (i = 0; i < 3; i++)
		collect();
	/* Those that help to collect park, too. */
	CHECK(module_stats().restores - restores < MANY / 2);
	CHECK(count_living(secrets) == MANY);
	wake_sleepers();
}

/* Nobody who could wake them is left: that is seen, and who they are is shown. */
static void test_a_deadlock(void)
{
	int before = asleep();

	start_sleepers();
	CHECK(fall_asleep(before, SLEEPERS));
	burrow_chan_recv(gate, NULL);
}

struct run {
	int procs;
	const char *time;
	void (*fn)(void);
};

static void run_it(void *arg)
{
	const struct run *r = arg;

	setenv("BURROW_HIBERNATE", r->time, 1);
	exit(run_on(r->procs, r->fn));
}

static struct outcome how;

TEST_F(hibernation, a_deadlock_is_seen)
{
	struct run r = { variant->procs, variant->time, test_a_deadlock };

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	outcome_of(&how, run_it, &r);
	EXPECT_TRUE(exited_with(&how, 2));
	EXPECT_TRUE(begins(&how, "burrow: all goroutines are asleep"));
	EXPECT_TRUE(says(&how, "sleeper+0x"));
	EXPECT_TRUE(says(&how, "[chan receive"));
}

/* The main goroutine returns while all others hibernate, and begins anew. */
static void test_left_asleep(void)
{
	int before = asleep();

	start_sleepers();
	CHECK(fall_asleep(before, SLEEPERS));
}

TEST_F(hibernation, a_run_ends_while_they_hibernate)
{
	int i;

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, run_on(variant->procs, test_left_asleep));
}

/* exit() in a goroutine, while the monitor is at it. */
static void test_exits(void)
{
	start_sleepers();
	burrow_sleep(5 * MS);
	exit(7);
}

TEST_F(hibernation, an_exit_while_they_fall_asleep)
{
	struct run r = { variant->procs, variant->time, test_exits };
	int i;

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	for (i = 0; i < 3; i++) {
		outcome_of(&how, run_it, &r);
		EXPECT_TRUE(exited_with(&how, 7));
	}
}

static void wait_here(void *arg)
{
	(void)arg;
	burrow_chan_recv(gate, NULL);
}

/* The monitor comes when one of them may have been parked for long enough. */
static void test_an_idle_program(void)
{
	struct rusage before, after;
	int i;

	CHECK(module_hibernates());
	gate = burrow_chan_new(0, 0);
	for (i = 0; i < SLEEPERS; i++)
		CHECK(burrow_go(wait_here, NULL) == 0);
	burrow_sleep(500 * MS);
	getrusage(RUSAGE_SELF, &before);
	burrow_sleep(2000 * MS);
	getrusage(RUSAGE_SELF, &after);
	CHECK(after.ru_nvcsw - before.ru_nvcsw < 100);
	burrow_chan_close(gate);
}

TEST(an_idle_program_is_left_alone)
{
	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	setenv("BURROW_HIBERNATE", "1h", 1);
	EXPECT_EQ(0, run_on(2, test_an_idle_program));
}

/* With who they are, and are not put back for it. */
TEST_ASLEEP(dumps_show_them)
{
	int file = memfd_create("dump", MFD_CLOEXEC), before = asleep();
	static char text[65536];
	uint64_t restores;
	int i;

	start_sleepers();
	CHECK(fall_asleep(before, SLEEPERS));
	restores = module_stats().restores;
	CHECK(burrow_dump(file) == 0);
	/* Who asks for it, and who was missed. */
	CHECK(module_stats().restores - restores < SLEEPERS / 2);
	CHECK(pread(file, text, sizeof(text) - 1, 0) > 0);
	CHECK(strstr(text, "sleeper+0x"));
	CHECK(strstr(text, "goroutines [chan receive"));
	CHECK(strstr(text, "created by start_sleepers+0x"));
	close(file);
	for (i = 0; i < SLEEPERS; i++)
		*shared[i] = i;
	wake_sleepers();
}

static int leave_at_once(void *arg)
{
	return *(int *)arg;
}

static void run_with(void *arg)
{
	int ret = 50;

	setenv("BURROW_HIBERNATE", arg, 1);
	ret = burrow_run(NULL, leave_at_once, &ret);
	exit(ret < 0 ? -ret : ret);
}

TEST(settings)
{
	static char *const right[] = { "off", "0", "5ms", "10s", "5m", "24h" };
	static char *const bad[] = {
		"on", "-1",  "10",  "1.5s",
		"s",  "25h", "5 s", "99999999999999999999s"
	};
	static struct outcome o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(right); i++) {
		outcome_of(&o, run_with, right[i]);
		EXPECT_TRUE(exited_with(&o, 50));
		EXPECT_EQ(0, o.len);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		outcome_of(&o, run_with, bad[i]);
		EXPECT_TRUE(exited_with(&o, EINVAL));
		EXPECT_TRUE(begins(&o, "burrow: BURROW_HIBERNATE="));
	}
}

TEST_HARNESS_MAIN
