// SPDX-License-Identifier: GPL-2.0
/* How deep stacks go, what they keep, and what limits of the system do. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <burrow/sync.h>

#include "runtime.h"

/* Writes every page of @bytes below, checks them on the way back. */
__attribute__((noinline)) static int descend(size_t bytes, int salt)
{
	volatile char page[4000];
	size_t i;
	int bad = 0;

	for (i = 0; i < sizeof(page); i += 500)
		page[i] = (char)(salt + (bytes >> 12));
	if (bytes > 4096)
		bad = descend(bytes - 4096, salt);
	for (i = 0; i < sizeof(page); i += 500)
		bad += page[i] != (char)(salt + (bytes >> 12));
	return bad;
}

struct depth {
	size_t stack_max;
	size_t bytes;
	int bad;
};

static void descend_goroutine(void *arg)
{
	struct depth *d = arg;

	d->bad = descend(d->bytes, 7);
}

static int run_depths(void *arg)
{
	struct burrow_go_options o = { .size = sizeof(o) };
	struct depth *d;

	for (d = arg; d->bytes; d++) {
		o.stack_max = d->stack_max;
		if (burrow_go_opts(&o, descend_goroutine, d))
			return 1;
		wait_for_others();
		if (d->bad)
			return 2;
	}
	return 0;
}

TEST(every_stride_to_its_limit)
{
	/* What is asked for, and how deep that must go: frames are 4 KiB. */
	static struct depth depths[] = {
		{ 1, 4 * KIB, -1 },
		{ 8 * KIB, 4 * KIB, -1 },
		{ 12 * KIB, 12 * KIB, -1 },
		{ 32 * KIB, 28 * KIB, -1 },
		{ 96 * KIB, 90 * KIB, -1 },
		{ 0, 200 * KIB, -1 },
		{ 400 * KIB, 400 * KIB, -1 },
		{ 800 * KIB, 800 * KIB, -1 },
		{ 7 * MIB, 6900 * KIB, -1 },
		{ 60 * MIB, 55 * MIB, -1 },
		{ 0, 0, 0 },
	};

	EXPECT_EQ(0, burrow_run(NULL, run_depths, depths));
}

TEST(the_largest_stride_to_its_limit)
{
	static struct depth depths[] = {
		{ 896 * MIB, 870 * MIB, -1 },
		{ 0, 0, 0 },
	};
	struct burrow_options o = { .size = sizeof(o), .stack_max = 896 * MIB };

	if (sysconf(_SC_AVPHYS_PAGES) * 4096L < 1200L * (long)MIB)
		SKIP(return, "less than 1200 MiB of free memory");
	EXPECT_EQ(0, burrow_run(NULL, run_depths, depths));
	depths[0].bad = -1;
	depths[0].stack_max = 0;
	EXPECT_EQ(0, burrow_run(&o, run_depths, depths));
}

static int main_descends(void *arg)
{
	*(int *)arg = descend(8 * MIB, 3);
	return 0;
}

TEST(main_has_8_mib)
{
	int bad = -1;

	EXPECT_EQ(0, burrow_run(NULL, main_descends, &bad));
	EXPECT_EQ(0, bad);
}

/* A frame that is larger than all that was ever touched of the stack. */
__attribute__((noinline)) static int jump(size_t bytes)
{
	volatile char frame[bytes];

	frame[0] = 5;
	frame[bytes / 2] = 6;
	return frame[0] + frame[bytes / 2] - 11;
}

static void jump_far(void *arg)
{
	*(int *)arg = jump(180 * KIB);
}

static int run_jump(void *arg)
{
	burrow_go(jump_far, arg);
	wait_for_others();
	return 0;
}

TEST(a_far_jump_down)
{
	int bad = -1;

	EXPECT_EQ(0, burrow_run(NULL, run_jump, &bad));
	EXPECT_EQ(0, bad);
}

/*
 * Parked stacks keep what is on them while others come and go, deep ones among
 * them, so that warm stacks are trimmed and recycled all the time.
 */
struct keep {
	int alive;
	int bad;
	bool stop;
};

__attribute__((noinline)) static int hold(struct keep *keep, int depth, int me)
{
	volatile char bytes[3000];
	size_t i;
	int bad = 0;

	for (i = 0; i < sizeof(bytes); i += 100)
		bytes[i] = (char)(me + depth);
	if (depth)
		bad = hold(keep, depth - 1, me);
	else
		while (!keep->stop)
			burrow_sleep(5 * MS);
	for (i = 0; i < sizeof(bytes); i += 100)
		bad += bytes[i] != (char)(me + depth);
	return bad;
}

static void bad(struct keep *keep, int n)
{
	__atomic_fetch_add(&keep->bad, n, __ATOMIC_RELAXED);
}

static void keeper(void *arg)
{
	struct keep *keep = arg;
	int me = __atomic_fetch_add(&keep->alive, 1, __ATOMIC_RELAXED);

	bad(keep, hold(keep, me % 40, me));
	__atomic_fetch_sub(&keep->alive, 1, __ATOMIC_RELAXED);
}

static void passer(void *arg)
{
	struct keep *keep = arg;

	bad(keep, descend(20 * KIB, (int)burrow_id()));
	if (burrow_id() % 3 == 0)
		burrow_yield();
	bad(keep, descend(100 * KIB, (int)burrow_id()));
}

static int run_keep(void *arg)
{
	struct keep *keep = arg;
	int round, i;

	for (i = 0; i < 200; i++)
		burrow_go(keeper, keep);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 300; i++)
			burrow_go(passer, keep);
		while (burrow_num_goroutines() > 201)
			burrow_yield();
	}
	keep->stop = true;
	wait_for_others();
	return keep->bad;
}

TEST(stacks_keep_their_bytes_while_others_are_recycled)
{
	struct keep keep = { 0 };

	EXPECT_EQ(0, burrow_run(NULL, run_keep, &keep));
	EXPECT_EQ(0, keep.alive);
}

static void touch_a_little(void *arg)
{
	(void)arg;
	descend(8 * KIB, 1);
}

/* Each keeps stacks of its own. */
static uint64_t procs(void)
{
	return burrow_set_procs(0);
}

static int burst(void *arg)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int i;

	(void)arg;
	for (i = 0; i < 20000; i++)
		burrow_go(touch_a_little, NULL);
	while (burrow_num_goroutines() > 1)
		burrow_yield();
	burrow_stats(&s);
	/* A handful of stacks, not twenty thousand. */
	if (s.stack_bytes > procs() * 4 * MIB || s.stacks_warm > procs() * 64)
		return 1;
	return 0;
}

TEST(short_goroutines_share_few_stacks)
{
	EXPECT_EQ(0, burrow_run(NULL, burst, NULL));
}

struct crowd {
	int here;
	bool leave;
};

static void member(void *arg)
{
	struct crowd *crowd = arg;

	__atomic_add_fetch(&crowd->here, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&crowd->leave, __ATOMIC_RELAXED))
		burrow_sleep(2000 * MS);
	__atomic_sub_fetch(&crowd->here, 1, __ATOMIC_RELAXED);
}

static void deep_member(void *arg)
{
	descend(100 * KIB, 1);
	member(arg);
}

static uint64_t stack_bytes(void)
{
	struct burrow_stats s = { .size = sizeof(s) };

	return burrow_stats(&s) ? 0 : s.stack_bytes;
}

/* What many deep stacks held is given back, by the watermark and by time. */
static int give_back(void *arg)
{
	struct crowd *crowd = arg;
	int i;

	for (i = 0; i < 400; i++)
		burrow_go(deep_member, crowd);
	while (__atomic_load_n(&crowd->here, __ATOMIC_RELAXED) < 400)
		burrow_yield();
	if (stack_bytes() < 400 * 100 * KIB)
		return 1;
	__atomic_store_n(&crowd->leave, true, __ATOMIC_RELAXED);
	wait_for_others();
	if (stack_bytes() > procs() * 70 * 128 * KIB)
		return 2;
	for (i = 0; i < 30 && stack_bytes() > MIB; i++)
		burrow_sleep(1000 * MS);
	return i < 30 ? 0 : 3;
}

TEST(memory_of_ended_goroutines_is_given_back)
{
	struct crowd crowd = { 0 };

	EXPECT_EQ(0, burrow_run(NULL, give_back, &crowd));
}

#define SMALL 5000

static struct burrow_waitgroup gate, arrivals;

static void small_member(void *arg)
{
	(void)arg;
	burrow_waitgroup_done(&arrivals);
	burrow_waitgroup_wait(&gate);
}

/* How many page faults a crowd of small stacks takes. */
static long faults_of_a_crowd(void)
{
	struct rusage before, after;
	int i;

	getrusage(RUSAGE_SELF, &before);
	burrow_waitgroup_add(&gate, 1);
	burrow_waitgroup_add(&arrivals, SMALL);
	for (i = 0; i < SMALL; i++)
		burrow_go(small_member, NULL);
	burrow_waitgroup_wait(&arrivals);
	burrow_waitgroup_done(&gate);
	wait_for_others();
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

/* The next crowd finds the stacks of the last one; when none comes they go. */
static int rest(void *arg)
{
	long *faults = arg;
	uint64_t bytes;
	int i;

	faults[0] = faults_of_a_crowd();
	faults[1] = faults_of_a_crowd();
	bytes = stack_bytes();
	for (i = 0; i < 200 && stack_bytes() > MIB; i++)
		burrow_sleep(100 * MS);
	if (stack_bytes() > MIB)
		return 1;
	faults[2] = faults_of_a_crowd();
	return bytes > SMALL / 2 * 4 * KIB ? 0 : 2;
}

TEST(small_stacks_rest_for_the_next_crowd)
{
	long faults[3] = { 0 };

	if (on_kmod())
		SKIP(return, "the module keeps pages itself");
	EXPECT_EQ(0, burrow_run(NULL, rest, faults));
	EXPECT_GT(faults[0], SMALL);
	EXPECT_LT(faults[1], SMALL / 4);
	EXPECT_GT(faults[2], SMALL / 2);
}

/* With a limit on memory that few may rest in, the others go at once. */
TEST(few_stacks_rest_where_memory_is_limited)
{
	const struct burrow_options options = {
		.size = sizeof(options),
		.memory_limit = 8 * MIB,
	};
	long faults[3] = { 0 };

	if (on_kmod())
		SKIP(return, "the module keeps pages itself");
	EXPECT_EQ(2, burrow_run(&options, rest, faults));
	EXPECT_GT(faults[1], SMALL / 2);
}

static int limit_and_rest(void *arg)
{
	burrow_memory_limit(8 * MIB);
	return rest(arg);
}

TEST(and_where_it_is_limited_later)
{
	long faults[3] = { 0 };

	if (on_kmod())
		SKIP(return, "the module keeps pages itself");
	EXPECT_EQ(2, burrow_run(NULL, limit_and_rest, faults));
	EXPECT_GT(faults[1], SMALL / 2);
}

static int gather(void *arg)
{
	struct crowd *crowd = arg;
	int i, ret;

	for (i = 0; i < 100000; i++) {
		ret = burrow_go(member, arg);
		if (ret)
			return ret;
	}
	while (__atomic_load_n(&crowd->here, __ATOMIC_RELAXED) < 100000)
		burrow_yield();
	__atomic_store_n(&crowd->leave, true, __ATOMIC_RELAXED);
	wait_for_others();
	return 0;
}

static bool guards_cost_mappings(void)
{
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool cost = !on_kmod() && madvise(p, 4096, 102 /* guard install */);

	munmap(p, 8192);
	return cost;
}

TEST(a_hundred_thousand_at_once)
{
	struct crowd crowd = { 0 };

	if (guards_cost_mappings())
		SKIP(return, "two mappings a stack on this kernel");
	EXPECT_EQ(0, burrow_run(NULL, gather, &crowd));
	EXPECT_EQ(0, crowd.here);
}

static void park(void *arg)
{
	(void)arg;
	burrow_sleep(3600 * 1000 * MS);
}

#define MAP_COUNT "/proc/sys/vm/max_map_count"
#define FEW_MAPPINGS 16384

static int mappings(void)
{
	FILE *file = fopen(MAP_COUNT, "r");
	int n = 0;

	if (file && fscanf(file, "%d", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

static void set_mappings(int n)
{
	FILE *file = fopen(MAP_COUNT, "w");

	if (file) {
		fprintf(file, "%d\n", n);
		fclose(file);
	}
}

static int exhaust(void *arg)
{
	int ret = 0, n;

	for (n = 0; n < 200000 && !ret; n++)
		ret = burrow_go(park, arg);
	burrow_yield();
	/* Those that were promised a stack run, guards and all. */
	fprintf(stderr, "started %d\n", n - 1);
	return ret == -ENOMEM && n > mappings() / 10 * 3 ? 0 : 1;
}

static void run_exhaust(void *arg)
{
	setenv("BURROW_DEBUG", "guardinstall=0", 1);
	exit(burrow_run(NULL, exhaust, arg));
}

TEST(too_many_mappings_is_an_error_that_says_what_to_do)
{
	static struct outcome o;
	int limit = mappings();

	if (on_kmod())
		SKIP(return, "stacks of the module cost no mappings");
	/* A debug kernel looks at all of them for each that is made. */
	if (scaled_down())
		set_mappings(FEW_MAPPINGS);
	outcome_of(&o, run_exhaust, NULL);
	if (scaled_down())
		set_mappings(limit);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(
		&o, "burrow: no stack for another goroutine (there are "));
	EXPECT_TRUE(says(&o, "sysctl -w vm.max_map_count="));
	EXPECT_TRUE(says(&o, "\nstarted "));
}

static void recurse_past(void *arg)
{
	(void)arg;
	descend(400 * KIB, 1);
}

static int overflow_anyway(void *arg)
{
	burrow_go(recurse_past, arg);
	burrow_sleep(1000 * MS);
	return 0;
}

static void run_overflow_mprotect(void *arg)
{
	setenv("BURROW_DEBUG", "guardinstall=0", 1);
	exit(burrow_run(NULL, overflow_anyway, arg));
}

TEST(guards_by_mprotect_hold_too)
{
	static struct outcome o;

	outcome_of(&o, run_overflow_mprotect, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(
		says(&o, "goroutine 2: stack overflow: limit 229376 bytes"));
}

static int some(void *arg)
{
	struct keep keep = { 0 };
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		if (burrow_go(passer, &keep))
			return 1;
	}
	wait_for_others();
	return keep.bad;
}

static void run_small(void *arg)
{
	const struct rlimit limit = { *(rlim_t *)arg, *(rlim_t *)arg };

	setrlimit(RLIMIT_AS, &limit);
	exit(burrow_run(NULL, some, NULL));
}

TEST(little_address_space)
{
	static const rlim_t limits[] = { 4096 * MIB, 1024 * MIB, 512 * MIB };
	static struct outcome o;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		outcome_of(&o, run_small, (void *)&limits[i]);
		EXPECT_TRUE(exited_with(&o, 0))
		{
			TH_LOG("%lu MiB: status %x: %s",
			       (unsigned long)(limits[i] >> 20), o.status,
			       o.text);
		}
	}
}

static void run_tiny(void *arg)
{
	const struct rlimit limit = { 12 * MIB, 12 * MIB };

	(void)arg;
	setrlimit(RLIMIT_AS, &limit);
	exit(burrow_run(NULL, some, NULL) < 0 ? 0 : 1);
}

TEST(far_too_little_address_space_is_an_error)
{
	static struct outcome o;

	outcome_of(&o, run_tiny, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(&o, "burrow: "));
}

static void run_locked(void *arg)
{
	if (mlockall(*(int *)arg))
		exit(44);
	exit(burrow_run(NULL, some, NULL));
}

static int lock_meanwhile(void *arg)
{
	int ret = some(arg);

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return 44;
	return ret + some(arg);
}

static void run_locked_later(void *arg)
{
	exit(burrow_run(NULL, lock_meanwhile, arg));
}

TEST(memory_locked_by_mlockall)
{
	int flags[] = { MCL_FUTURE, MCL_CURRENT | MCL_FUTURE };
	static struct outcome o;
	int i;

	for (i = 0; i < 2; i++) {
		outcome_of(&o, run_locked, &flags[i]);
		if (exited_with(&o, 44))
			SKIP(return, "mlockall is not allowed");
		EXPECT_TRUE(exited_with(&o, 0))
		{
			TH_LOG("%d: status %x: %s", i, o.status, o.text);
		}
	}
	outcome_of(&o, run_locked_later, NULL);
	EXPECT_TRUE(exited_with(&o, 0))
	{
		TH_LOG("later: status %x: %s", o.status, o.text);
	}
}

static void run_no_descriptors(void *arg)
{
	const struct rlimit limit = { 3, 3 };

	(void)arg;
	setrlimit(RLIMIT_NOFILE, &limit);
	exit(burrow_run(NULL, some, NULL) == (on_kmod() ? -EMFILE : 0) ? 0 : 1);
}

static int take_all_descriptors(void *arg)
{
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	return some(arg);
}

static void run_descriptors_gone(void *arg)
{
	const struct rlimit limit = { 20, 20 };

	setrlimit(RLIMIT_NOFILE, &limit);
	exit(burrow_run(NULL, take_all_descriptors, arg));
}

TEST(no_descriptors)
{
	static struct outcome o;

	outcome_of(&o, run_no_descriptors, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_EQ(on_kmod(), says(&o, "ulimit -n"));
	outcome_of(&o, run_descriptors_gone, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
}

static void run_some(void *arg)
{
	(void)arg;
	exit(burrow_run(NULL, some, NULL));
}

TEST(two_processes_at_once)
{
	static struct outcome o[4];
	pid_t pids[4];
	int i, status;

	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			outcome_of(&o[i], run_some, NULL);
			_exit(exited_with(&o[i], 0) ? 0 : 1);
		}
	}
	for (i = 0; i < 4; i++) {
		waitpid(pids[i], &status, 0);
		EXPECT_EQ(0, status);
	}
}

TEST_HARNESS_MAIN
