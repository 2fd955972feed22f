// SPDX-License-Identifier: GPL-2.0
/*
 * Who has goroutines hibernate: the monitor alone, for a hundredth of its time, while
 * there is memory enough; all who run goroutines, where it gets short. On the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/burrow.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gc.h"

/*
 * Stacks of 156 MiB. Where 128 are allowed half of them are meant; until they are kept to,
 * in the hundredth of a second for which one is left alone, many can park.
 */
#define MANY_PARKED 40000
#define ALLOWED "128MiB"
#define ENOUGH (112 * MIB)

static struct burrow_chan *gate;
static int here, wrong;

static void look_for_it(void)
{
	CHECK(burrow_runtime.pool->hibernates);
}

static bool can_hibernate(void)
{
	return on_kmod() && !run_on(1, look_for_it);
}

static struct burrow_context_stats module_stats(void)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	CHECK(!ioctl(burrow_runtime.pool->fd, BURROW_IOC_STATS, &stats));
	return stats;
}

static void sleeper(void *arg)
{
	volatile intptr_t mine = (intptr_t)arg;

	add(&here, 1);
	burrow_chan_recv(gate, NULL);
	if (mine != (intptr_t)arg)
		add(&wrong, 1);
}

/* The most that stacks had while @n came. */
static uint64_t park(int n)
{
	uint64_t most = 0, bytes;
	int i;

	here = 0;
	wrong = 0;
	gate = burrow_chan_new(0, 0);
	for (i = 0; i < n; i++) {
		CHECK(burrow_go(sleeper, (void *)(intptr_t)i) == 0);
		if (i % 64)
			continue;
		burrow_yield();
		bytes = module_stats().stack_bytes;
		most = bytes > most ? bytes : most;
	}
	while (get(&here) < n)
		burrow_yield();
	bytes = module_stats().stack_bytes;
	return bytes > most ? bytes : most;
}

static void wake(void)
{
	burrow_chan_close(gate);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(MS);
	CHECK(get(&wrong) == 0);
}

FIXTURE(shortage){};

FIXTURE_VARIANT(shortage)
{
	int procs;
	const char *time;
};

FIXTURE_VARIANT_ADD(shortage, 1_processor){
	.procs = 1,
	.time = "1h",
};

FIXTURE_VARIANT_ADD(shortage, 2_processors){
	.procs = 2,
	.time = "10s",
};

FIXTURE_VARIANT_ADD(shortage, 8_processors){
	.procs = 8,
	.time = "0",
};

FIXTURE_SETUP(shortage)
{
	setenv("BURROW_HIBERNATE", variant->time, 1);
}

FIXTURE_TEARDOWN(shortage)
{
}

/* A test in each way: a function that runs as main goroutine. */
#define TEST_SHORT(name)                                                      \
	static void test_##name(void);                                        \
	TEST_F_TIMEOUT(shortage, name, 300)                                   \
	{                                                                     \
		if (!can_hibernate())                                         \
			SKIP(return, "stacks hibernate on the module alone"); \
		setenv("BURROW_MEMLIMIT", ALLOWED, 1);                        \
		EXPECT_EQ(0, run_on(variant->procs, test_##name));            \
	}                                                                     \
	static void test_##name(void)

/* They keep to about half of it, and all are right when they wake. */
TEST_SHORT(those_who_park_help)
{
	CHECK(park(MANY_PARKED) < ENOUGH);
	CHECK(module_stats().hibernates > MANY_PARKED / 2);
	wake();
}

static struct burrow_chan *there;

static void serve(void *arg)
{
	int n;

	(void)arg;
	add(&here, 1);
	while (burrow_chan_recv(there, &n) == 1)
		add(&wrong, n != 1);
	add(&here, -1);
}

/* So do those who wake others that park again: nobody is started. */
TEST_SHORT(those_who_wake_help)
{
	uint64_t most = 0, bytes;
	int i, n = 1;

	here = 0;
	wrong = 0;
	there = burrow_chan_new(sizeof(n), 0);
	for (i = 0; i < MANY_PARKED; i++) {
		CHECK(burrow_go(serve, NULL) == 0);
		if (i % 64 == 0)
			burrow_yield();
	}
	while (get(&here) < MANY_PARKED)
		burrow_yield();
	/*
	 * Each waits for its turn behind all others. Who is sent to comes back at once,
	 * and is not parked any more: so they have to have their turn.
	 */
	for (i = 0; i < MANY_PARKED; i++) {
		CHECK(burrow_chan_send(there, &n) == 0);
		if (i % 64)
			continue;
		burrow_yield();
		bytes = module_stats().stack_bytes;
		most = bytes > most ? bytes : most;
	}
	CHECK(most < ENOUGH);
	burrow_chan_close(there);
	while (get(&here))
		burrow_sleep(MS);
	CHECK(get(&wrong) == 0);
}

/* The thread that called burrow_run(), CPU time. */
static int64_t monitor_ns(void)
{
	struct timespec ts;

	/* The kernel's name for the clock of a thread. */
	CHECK(!clock_gettime(~(clockid_t)getpid() << 3 | 6, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* While there is enough they are left alone, but for the monitor's hundredth. */
static void test_enough(void)
{
	int64_t from, spent;
	uint64_t before;

	park(MANY_PARKED);
	before = module_stats().hibernates;
	CHECK(before < MANY_PARKED / 2);
	from = monitor_ns();
	burrow_sleep(2000 * MS);
	spent = monitor_ns() - from;
	/* Its other work, and what waking up costs it, is in it. */
	CHECK(spent < 2000 * MS * 4 / 100);
	/* What took the monitor long, as page tables given back, is paid for by rest. */
	while (module_stats().hibernates == before)
		burrow_sleep(10 * MS);
	wake();
}

TEST(the_monitor_alone_where_there_is_enough)
{
	if (!can_hibernate())
		SKIP(return, "stacks hibernate on the module alone");
	setenv("BURROW_HIBERNATE", "0", 1);
	EXPECT_EQ(0, run_on(2, test_enough));
}

#define CGROUP "/sys/fs/cgroup/burrow-shortage"

static bool spew(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* What the run may have says nothing: the cgroup's own figures do. */
static void test_cgroup(void)
{
	CHECK(park(MANY_PARKED) < ENOUGH);
	wake();
}

TEST(a_cgroup_runs_out)
{
	if (!can_hibernate())
		SKIP(return, "stacks hibernate on the module alone");
	if ((mkdir(CGROUP, 0755) && errno != EEXIST) ||
	    !spew(CGROUP "/memory.max", "160M"))
		SKIP(return, "no memory cgroup can be made");
	ASSERT_TRUE(spew(CGROUP "/cgroup.procs", "0"));
	setenv("BURROW_HIBERNATE", "1h", 1);
	setenv("BURROW_MEMLIMIT", "16GiB", 1);
	EXPECT_EQ(0, run_on(2, test_cgroup));
	ASSERT_TRUE(spew("/sys/fs/cgroup/cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(CGROUP));
}

TEST_HARNESS_MAIN
