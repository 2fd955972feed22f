// SPDX-License-Identifier: GPL-2.0
/*
 * What a program may ask of the collector: weak references, cleanups, settings
 * and statistics; and that it collects by itself.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "gc.h"

/* Weak references */

TEST_GC(weak_references)
{
	static struct secret secret;
	static struct thing *held;
	struct burrow_weak *inside;
	static int local;

	held = make(&secret);
	inside = burrow_weak_new(&held->rest[2]);
	CHECK(burrow_weak_new(held) == secret.weak);
	CHECK(inside != secret.weak);
	CHECK(burrow_weak_get(inside) == &held->rest[2]);
	CHECK(!burrow_weak_new(NULL));
	CHECK(!burrow_weak_new(&local));
	collect();
	CHECK(lives(&secret));
	CHECK(burrow_weak_new(held) == secret.weak);
	CHECK(burrow_weak_get(inside) == &held->rest[2]);
}

/* Many at once, of which half die: the table loses and takes entries. */
#define CROWD 20000

static struct secret crowd[CROWD];
static struct thing *kept[CROWD];

TEST_GC(many_weak_references)
{
	int i, round, dead;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < CROWD; i++)
			kept[i] = make(&crowd[i]);
		collect();
		for (i = 0; i < CROWD; i++) {
			CHECK(burrow_weak_new(kept[i]) == crowd[i].weak);
			if (i % 2)
				kept[i] = NULL;
		}
		collect();
		for (i = 0, dead = 0; i < CROWD; i++) {
			if (i % 2)
				dead += !lives(&crowd[i]);
			else
				CHECK(lives(&crowd[i]));
		}
		CHECK(dead > CROWD / 2 - 100);
	}
	memset(kept, 0, sizeof(kept));
	memset(crowd, 0, sizeof(crowd));
}

/* Cleanups */

static int cleaned;

static void clean(void *arg)
{
	const struct thing *t = arg;

	CHECK(t->magic == MAGIC);
	add(&cleaned, 1);
}

__attribute__((noipa)) static void make_with_cleanups(int n)
{
	struct secret of_object, of_arg;
	struct thing *t = make(&of_object);

	while (n--)
		CHECK(burrow_cleanup(&t->rest[1], clean, make(&of_arg)) == 0);
}

static void wait_for_cleaned(int n)
{
	int i;

	for (i = 0; i < 100 && get(&cleaned) < n; i++) {
		collect();
		burrow_sleep(MS);
	}
}

TEST_GC(cleanups_run_once)
{
	int i;

	cleaned = 0;
	for (i = 0; i < MANY; i++)
		make_with_cleanups(3);
	wait_for_cleaned(3 * MOST);
	CHECK(cleaned >= 3 * MOST);
	i = get(&cleaned);
	collect();
	collect();
	wait_for_others();
	CHECK(get(&cleaned) <= 3 * MANY);
	CHECK(get(&cleaned) >= i);
}

TEST_GC(cleanups_wait_for_their_object)
{
	static struct thing *held;
	struct secret secret;

	cleaned = 0;
	held = make(&secret);
	CHECK(burrow_cleanup(held, clean, make(&secret)) == 0);
	collect();
	wait_for_others();
	CHECK(cleaned == 0);
	held = NULL;
	wait_for_cleaned(1);
}

/* They may allocate, collect, and wait. */
static void clean_slowly(void *arg)
{
	struct secret secret;

	(void)arg;
	make(&secret);
	burrow_sleep(MS);
	CHECK(burrow_gc() == 0);
	add(&cleaned, 1);
}

__attribute__((noipa)) static void make_slow(void)
{
	struct secret secret;

	CHECK(burrow_cleanup(make(&secret), clean_slowly, NULL) == 0);
}

TEST_GC(cleanups_may_do_anything)
{
	int i;

	cleaned = 0;
	for (i = 0; i < MANY; i++)
		make_slow();
	wait_for_cleaned(MOST);
	CHECK(get(&cleaned) >= MOST);
	wait_for_others();
}

TEST_GC(cleanups_that_can_not_be)
{
	static int local;
	struct secret secret;
	struct thing *t = make(&secret);

	CHECK(burrow_cleanup(t, clean, t) == -EINVAL);
	CHECK(burrow_cleanup(t, clean, &t->rest[3]) == -EINVAL);
	CHECK(burrow_cleanup(&local, clean, NULL) == -EINVAL);
	CHECK(burrow_cleanup(t, NULL, NULL) == -EINVAL);
	burrow_keep_alive(t);
}

/* By itself */

TEST_GC(the_heap_stays_small)
{
	struct burrow_stats s = { .size = sizeof(s) };
	struct secret secret;
	int i;

	for (i = 0; i < 2000000; i++) {
		if (i % 1000 == 0)
			make(&secret);
		else
			burrow_new(&thing_type);
	}
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles > 3);
	/* 96 MB were allocated. */
	CHECK(s.heap_bytes < 64 * MIB);
	CHECK(s.gc_pause_total_ns >= s.gc_pause_max_ns);
	CHECK(s.gc_pause_max_ns > 0);
	CHECK(s.gc_cpu_ns > 0);
}

TEST_GC(it_can_be_off)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int i;

	CHECK(burrow_gc_percent(-1) == 100);
	CHECK(burrow_gc_percent(0) == -1);
	for (i = 0; i < 300000; i++)
		burrow_new(&thing_type);
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles == 0);
	CHECK(burrow_gc_percent(200) == -1);
	CHECK(burrow_gc_percent(-2) == -EINVAL);
	CHECK(burrow_gc_percent(0) == 200);
	collect();
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles == 1);
	CHECK(s.heap_live < MIB);
}

TEST_GC(a_limit_is_kept)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int64_t old = burrow_memory_limit(32 * MIB);
	int i;

	CHECK(old > 0);
	CHECK(burrow_memory_limit(0) == 32 * MIB);
	CHECK(burrow_gc_percent(-1) == 100);
	for (i = 0; i < 1000000; i++)
		burrow_new(&thing_type);
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles > 0);
	CHECK(s.heap_bytes < 40 * MIB);
	CHECK(burrow_memory_limit(SIZE_MAX) == 32 * MIB);
	/* What the module allows is a limit, too; it was the one before. */
	CHECK(burrow_memory_limit(0) == old || !on_kmod());
	CHECK(burrow_memory_limit(0) == INT64_MAX || on_kmod());
}

static void litter(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 2000000; i++)
		burrow_new(&thing_type);
}

/* Nobody can be parked there: who comes to the limit waits outside. */
TEST_GC(a_limit_is_kept_in_blocking)
{
	struct burrow_stats s = { .size = sizeof(s) };

	CHECK(burrow_memory_limit(32 * MIB) > 0);
	CHECK(burrow_gc_percent(-1) == 100);
	burrow_blocking(litter, NULL);
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles > 0);
	CHECK(s.heap_bytes < 40 * MIB);
}

#define BLOCK (64 * KIB)

static void **blocks;

/* One more of them is kept; false: there is none to be had. */
static bool keep_block(void **block)
{
	if (block) {
		*block = blocks;
		blocks = block;
	}
	return block;
}

TEST_GC(what_does_not_fit_the_limit_is_refused)
{
	size_t n = 0;

	CHECK(burrow_memory_limit(16 * MIB) > 0);
	while (keep_block(burrow_try_alloc(BLOCK)))
		n++;
	CHECK(n * BLOCK <= 16 * MIB);
	CHECK(n * BLOCK > 12 * MIB);
	CHECK(!burrow_try_alloc(32 * MIB));
	blocks = NULL;
	CHECK(burrow_try_alloc(BLOCK));
}

static int keep_blocks(void *arg)
{
	(void)arg;
	while (keep_block(burrow_alloc(BLOCK)))
		;
	return 0;
}

static void run_keep_blocks(void *limit)
{
	setenv("BURROW_MEMLIMIT", limit, 1);
	exit(burrow_run(NULL, keep_blocks, NULL));
}

TEST(past_the_limit_ends_with_a_line)
{
	static struct outcome o;

	outcome_of(&o, run_keep_blocks, "16MiB");
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o, "burrow: out of memory: burrow_alloc: no 65536 bytes; "));
	EXPECT_TRUE(says(&o, ", and may have 16384 KiB\n"));
}

TEST_GC(memory_goes_back)
{
	struct burrow_stats s = { .size = sizeof(s) };
	static struct secret secret;
	uint64_t before;
	int i;

	burrow_gc_percent(-1);
	for (i = 0; i < 500000; i++)
		make_dropped(i % 1000 ? &(struct secret){ 0 } : &secret);
	CHECK(burrow_stats(&s) == 0);
	before = s.heap_bytes;
	CHECK(burrow_release_memory() == 0);
	for (i = 0; i < 200 && s.heap_bytes > before / 4; i++) {
		burrow_sleep(MS);
		CHECK(burrow_stats(&s) == 0);
	}
	CHECK(s.heap_bytes <= before / 4);
}

/* Nothing is asked for, so the memory that the goal would allow is not kept. */
TEST_GC(memory_of_a_program_that_rests_goes_back)
{
	struct burrow_stats s = { .size = sizeof(s) };
	static void *blocks[512];
	int i;

	for (i = 0; i < 512; i++)
		blocks[i] = burrow_alloc_noscan(64 * KIB);
	collect();
	for (i = 256; i < 512; i++)
		blocks[i] = NULL;
	collect();
	for (i = 0; i < 600; i++) {
		CHECK(burrow_stats(&s) == 0);
		if (s.heap_bytes < 20 * MIB)
			break;
		burrow_sleep(10 * MS * scale());
	}
	CHECK(s.heap_live >= 16 * MIB);
	CHECK(s.heap_bytes < 20 * MIB);
	memset(blocks, 0, sizeof(blocks));
}

/*
 * A large heap may have a cycle in many seconds only. What it frees will be needed
 * before the next one: it does not go back to be touched anew.
 */
TEST_GC(memory_that_will_be_needed_stays)
{
	struct burrow_stats s = { .size = sizeof(s) };
	static void *blocks[512];
	uint64_t before, least;
	int i;

	burrow_gc_percent(1000);
	for (i = 0; i < 512; i++)
		blocks[i] = burrow_alloc_noscan(64 * KIB);
	/* The next one is ours, too. */
	collect();
	for (i = 0; i < 1536; i++)
		burrow_alloc_noscan(64 * KIB);
	collect();
	CHECK(burrow_stats(&s) == 0);
	before = s.heap_bytes;
	CHECK(before >= 120 * MIB);
	/* 60 MiB a second, or a tenth of it. */
	for (i = 0, least = before; i < 300; i++) {
		burrow_alloc_noscan(256 * KIB);
		burrow_sleep(4 * MS);
		CHECK(burrow_stats(&s) == 0);
		if (s.heap_bytes < least)
			least = s.heap_bytes;
	}
	CHECK(least >= before - before / 8);
	memset(blocks, 0, sizeof(blocks));
}

static long faults_of_thread(void)
{
	struct rusage use;

	getrusage(RUSAGE_THREAD, &use);
	return use.ru_minflt;
}

/* Of a heap that grows, and not too fast: by the collector's thread. */
static void test_memory_is_ready(void)
{
	static char *blocks[2048];
	long faults = 0, before;
	int i;

	burrow_gc_percent(1000);
	collect();
	for (i = 0; i < 2048; i++) {
		blocks[i] = burrow_alloc_noscan(64 * KIB);
		before = faults_of_thread();
		memset(blocks[i], 1, 64 * KIB);
		/* The first half is before it is looked after. */
		if (i >= 1024)
			faults += faults_of_thread() - before;
		burrow_sleep(MS);
	}
	CHECK(faults < 1024 * 16 / 2);
	for (i = 0; i < 2048; i++)
		CHECK(blocks[i][0] == 1 && blocks[i][64 * KIB - 1] == 1);
	memset(blocks, 0, sizeof(blocks));
}

TEST_F(gc, memory_is_ready_before_it_is_needed)
{
	if (on_kmod())
		SKIP(return, "the module maps many pages when one is touched");
	EXPECT_EQ(0, run_way(&variant->way, test_memory_is_ready));
}

#define PIECES 6000
#define PIECE 5000 /* more than a page */

static unsigned char *pieces[PIECES];

__attribute__((noipa)) static void make_pieces(int from, int step)
{
	int i, k;

	for (i = from; i < PIECES; i += step) {
		pieces[i] = burrow_alloc_noscan(PIECE);
		for (k = 0; k < PIECE; k++)
			CHECK(!pieces[i][k]);
		memset(pieces[i], i, PIECE);
	}
}

/* Of four that lie side by side one stays: pages of the others are empty. */
TEST_GC(pages_between_objects_go_back)
{
	struct burrow_stats s = { .size = sizeof(s) };
	uint64_t before;
	int i, k, patience = scaled_down() ? 20000 : 500;

	make_pieces(0, 1);
	CHECK(burrow_stats(&s) == 0);
	before = s.heap_bytes;
	for (i = 0; i < PIECES; i++) {
		if (i % 4)
			pieces[i] = NULL;
	}
	CHECK(burrow_release_memory() == 0);
	for (i = 0; i < patience && s.heap_bytes > before / 2; i++) {
		burrow_sleep(MS);
		CHECK(burrow_stats(&s) == 0);
	}
	CHECK(s.heap_bytes <= before / 2);
	for (i = 1; i < 4; i++)
		make_pieces(i, 4);
	for (i = 0; i < PIECES; i++) {
		for (k = 0; k < PIECE; k++)
			CHECK(pieces[i][k] == (unsigned char)i);
	}
	memset(pieces, 0, sizeof(pieces));
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.heap_bytes > before / 2);
}

static void allocate_much(void *arg)
{
	struct thing *list = NULL, *t;
	int i;

	(void)arg;
	for (i = 0; i < 200000; i++) {
		t = burrow_new(&thing_type);
		t->magic = i;
		if (i % 100 == 0)
			list = NULL;
		t->next = list;
		list = t;
		for (t = list; t && i % 100 == 99; t = t->next)
			CHECK((int)t->magic ==
			      i - (int)(list->magic - t->magic));
	}
}

TEST_GC(many_allocate)
{
	int i;

	for (i = 0; i < 8; i++)
		burrow_go(allocate_much, NULL);
	wait_for_others();
}

static int leave_at_once(void *arg)
{
	int i;

	for (i = 0; i < 8; i++)
		burrow_go(allocate_much, NULL);
	burrow_sleep((intptr_t)arg);
	return 0;
}

/* The run ends while cycles are under way, and begins again. */
TEST_F(gc, runs_end_beside_the_collector)
{
	struct burrow_options opts = { .size = sizeof(opts) };
	intptr_t i;

	setenv("BURROW_DEBUG", variant->way.debug, 1);
	opts.procs = variant->way.procs;
	failed_line = 0;
	for (i = 0; i < 20; i++)
		EXPECT_EQ(0,
			  burrow_run(&opts, leave_at_once, (void *)(i * MS)));
	EXPECT_EQ(0, failed_line);
}

static const struct way stressed[] = {
	{ 1, "gcstress=1,gcverify=1,gcpoison=1" },
	{ 2, "gcstress=2,gcverify=1,gcpoison=1" },
	{ 2, "gcstress=2,gcverify=1,gcpoison=1,gcuffd=0,kmodheap=0" },
	{ 8, "gcstress=3,gcpoison=1" },
};

static void allocate_little(void *arg)
{
	struct thing *list = NULL, *t;
	int i;

	(void)arg;
	for (i = 0; i < 4000; i++) {
		t = burrow_new(&thing_type);
		t->magic = i;
		t->next = i % 50 ? list : NULL;
		list = t;
	}
	for (; list; list = list->next)
		CHECK((int)list->magic == --i);
}

static void test_stress(void)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int i;

	for (i = 0; i < 4; i++)
		burrow_go(allocate_little, NULL);
	wait_for_others();
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.gc_cycles > 5);
}

TEST(stress)
{
	size_t i;

	for (i = 0; i < sizeof(stressed) / sizeof(stressed[0]); i++)
		EXPECT_EQ(0, run_way(&stressed[i], test_stress));
}

/* From outside */

static void *call_from_outside(void *arg)
{
	intptr_t failed = 0;

	(void)arg;
	failed |= burrow_gc() != -EPERM;
	failed |= burrow_release_memory() != -EPERM;
	failed |= burrow_cleanup(&failed, clean, NULL) != -EPERM;
	failed |= burrow_gc_percent(0) != 100;
	failed |= burrow_memory_limit(0) <= 0;
	return (void *)failed;
}

TEST_GC(calls_from_outside)
{
	pthread_t thread;
	void *failed;

	CHECK(!pthread_create(&thread, NULL, call_from_outside, NULL));
	pthread_join(thread, &failed);
	CHECK(!failed);
}

TEST(calls_without_a_runtime)
{
	EXPECT_EQ(-EPERM, burrow_gc());
	EXPECT_EQ(-ESRCH, burrow_gc_percent(0));
	EXPECT_EQ(-ESRCH, burrow_memory_limit(0));
}

/* A thread that blocks the signal is named, and then waited for. */
static void block_signal(void *arg)
{
	sigset_t all, old;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	usleep(1500000);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void go_and_block(void *arg)
{
	burrow_blocking(block_signal, arg);
}

static int collect_beside(void *arg)
{
	int64_t begin;

	(void)arg;
	burrow_go(go_and_block, NULL);
	burrow_sleep(100 * MS);
	begin = burrow_now();
	burrow_gc();
	return burrow_now() - begin > 1000 * MS ? 50 : 1;
}

static void run_beside_blocked(void *arg)
{
	(void)arg;
	exit(burrow_run(NULL, collect_beside, NULL));
}

TEST(threads_that_block_the_signal_are_named)
{
	static struct outcome o;

	unsetenv("BURROW_DEBUG");
	outcome_of(&o, run_beside_blocked, NULL);
	EXPECT_TRUE(exited_with(&o, 50));
	EXPECT_TRUE(begins(&o, "burrow: goroutine 2: its thread "));
	EXPECT_TRUE(says(&o, " does not stop for the collector"));
	EXPECT_TRUE(says(&o, "burrow_blocking_nogc()"));
}

/* One that promised to touch nothing is not. */
static void go_and_block_nogc(void *arg)
{
	burrow_blocking_nogc(block_signal, arg);
}

static int collect_beside_nogc(void *arg)
{
	int64_t begin;

	(void)arg;
	burrow_go(go_and_block_nogc, NULL);
	burrow_sleep(100 * MS);
	begin = burrow_now();
	burrow_gc();
	return burrow_now() - begin < 1000 * MS ? 50 : 1;
}

TEST(burrow_blocking_nogc_is_not_stopped)
{
	unsetenv("BURROW_DEBUG");
	EXPECT_EQ(50, burrow_run(NULL, collect_beside_nogc, NULL));
}

/* The child of a program whose heap was collected has a collector of its own. */
static void fork_and_collect(void *arg)
{
	static const struct way way = { 2, "gcverify=1,gcpoison=1" };
	int *status = arg;
	pid_t pid = fork();

	if (!pid) {
		alarm(100);
		_exit(run_way(&way, test_weak_references) ? 1 : 33);
	}
	waitpid(pid, status, 0);
}

TEST_GC(children_collect)
{
	static struct secret secret;
	struct thing *volatile held = make(&secret);
	int status = -1;

	collect();
	burrow_blocking(fork_and_collect, &status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 33);
	collect();
	CHECK(lives(&secret));
	CHECK(held->magic == MAGIC);
}

static void **tree(int depth)
{
	void **node = burrow_alloc(4 * sizeof(*node));

	if (depth) {
		node[0] = tree(depth - 1);
		node[1] = tree(depth - 1);
	}
	return node;
}

static long count(void **node)
{
	return node ? 1 + count(node[0]) + count(node[1]) : 0;
}

static int trace_one(void *arg)
{
	(void)arg;
	return burrow_gc();
}

static void run_traced(void *arg)
{
	setenv("BURROW_DEBUG", arg, 1);
	exit(burrow_run(NULL, trace_one, NULL));
}

TEST(gctrace)
{
	static struct outcome o;

	outcome_of(&o, run_traced, "gctrace=1");
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(&o, "gc 1 @"));
	EXPECT_TRUE(says(&o, "(forced)\n"));
}

/* A tree of some 30 MiB, collected while all wait for that. */
static int collect_a_tree(void *arg)
{
	void **volatile root;
	int i;

	(void)arg;
	root = tree(19);
	for (i = 0; i < 5; i++) {
		if (burrow_gc())
			return 1;
	}
	return count(root) == (2 << 19) - 1 ? 0 : 2;
}

static void run_many(void *arg)
{
	const struct burrow_options opts = {
		.size = sizeof(opts),
		.procs = 4,
	};

	setenv("BURROW_DEBUG", arg, 1);
	exit(burrow_run(&opts, collect_a_tree, NULL));
}

/* In one of its lines "... P, N KiB by others" is not 0. */
static bool others_marked(const struct outcome *o)
{
	const char *at = o->text;

	while ((at = strstr(at, " P, "))) {
		at += strlen(" P, ");
		if (strtol(at, NULL, 10) > 0)
			return true;
	}
	return false;
}

TEST(several_mark_where_all_wait)
{
	static struct outcome o;

	outcome_of(&o, run_many, "gctrace=1");
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(others_marked(&o));
	outcome_of(&o, run_many, "gctrace=1,gcuffd=0,kmodheap=0");
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(others_marked(&o));
}

static void run_with(void *arg)
{
	const char *const *setting = arg;

	setenv(setting[0], setting[1], 1);
	exit(-burrow_run(NULL, trace_one, NULL));
}

TEST(settings_that_can_not_be)
{
	static const char *const wrong[][2] = {
		{ "BURROW_GC", "much" },
		{ "BURROW_GC", "0" },
		{ "BURROW_GC", "-5" },
		{ "BURROW_MEMLIMIT", "all" },
		{ "BURROW_MEMLIMIT", "0" },
		{ "BURROW_DEBUG", "gcstress=0" },
		{ "BURROW_DEBUG", "gcfault=9" },
	};
	static struct outcome o;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		outcome_of(&o, run_with, (void *)wrong[i]);
		EXPECT_TRUE(exited_with(&o, EINVAL));
		EXPECT_TRUE(begins(&o, "burrow: BURROW_"));
	}
}

static int percent_now(void *arg)
{
	return burrow_gc_percent(0) == *(int *)arg ? 50 : 1;
}

TEST(settings_are_taken)
{
	struct burrow_options opts = { .size = sizeof(opts) };
	int want = 250;

	unsetenv("BURROW_DEBUG");
	setenv("BURROW_GC", "250", 1);
	EXPECT_EQ(50, burrow_run(NULL, percent_now, &want));
	opts.gc_percent = 70;
	want = 70;
	EXPECT_EQ(50, burrow_run(&opts, percent_now, &want));
	opts.gc_percent = 0;
	setenv("BURROW_GC", "off", 1);
	want = -1;
	EXPECT_EQ(50, burrow_run(&opts, percent_now, &want));
	unsetenv("BURROW_GC");
}

TEST_HARNESS_MAIN
