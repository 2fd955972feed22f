// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is collected, as those who allocate see it: sizes, types, arrays,
 * threads, and what is refused.
 */
#include <pthread.h>
#include <stddef.h>

#include "runtime.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct pair {
	struct pair *left;
	struct pair *right;
};

struct mixed {
	char name[24];
	struct {
		uint64_t count;
		struct pair *pair;
	} inner;
	uint64_t number;
	struct mixed *all[3];
	short last;
};

struct list {
	size_t n;
	struct pair *first;
	struct {
		uint64_t key;
		struct pair *value;
	} items[];
};

struct slot {
	void *p;
};

struct plain {
	uint64_t words[5];
};

struct none {};

BURROW_TYPE(pair_type, struct pair, left, right);
BURROW_TYPE(mixed_type, struct mixed, inner.pair, all);
BURROW_TYPE(plain_type, struct plain);
BURROW_TYPE(none_type, struct none);
BURROW_TYPE(slot_type, struct slot, p);
BURROW_TYPE_FLEX(list_type, struct list, items, first, items[0].value);

static bool is_zero(const void *p, size_t bytes)
{
	const unsigned char *at = p;
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i])
			return false;
	return true;
}

static bool is_all(const void *p, size_t bytes, int value)
{
	const unsigned char *at = p;
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i] != (unsigned char)value)
			return false;
	return true;
}

/* Runs a test's body as the main goroutine. */
static int run(int (*fn)(void *), void *arg)
{
	return burrow_run(NULL, fn, arg);
}

/* What a body tells: the line of the first check that failed. */
#define CHECK(what)                      \
	do {                             \
		if (!(what))             \
			return __LINE__; \
	} while (0)

static const size_t sizes[] = {
	0,
	1,
	7,
	8,
	9,
	15,
	16,
	17,
	31,
	32,
	48,
	64,
	100,
	127,
	128,
	129,
	255,
	256,
	257,
	511,
	1000,
	1023,
	1024,
	1025,
	1152,
	1153,
	2048,
	3333,
	4096,
	8191,
	8192,
	8193,
	16384,
	20000,
	32767,
	32768,
	32769,
	65536,
	100000,
	1 << 20,
	(1 << 20) + 1,
	3 << 20,
	17000003,
};

/* Each full of its own byte; then all of them must still be so. */
static int sized(void *arg)
{
	void *(*alloc)(size_t) = *(void *(**)(size_t))arg;
	unsigned char *p[COUNT(sizes)][3];
	size_t i, j;

	for (i = 0; i < COUNT(sizes); i++) {
		for (j = 0; j < 3; j++) {
			p[i][j] = alloc(sizes[i]);
			CHECK(p[i][j]);
			CHECK(!((uintptr_t)p[i][j] % 16));
			CHECK(is_zero(p[i][j], sizes[i]));
			memset(p[i][j], i * 3 + j + 1, sizes[i]);
		}
	}
	burrow_gc();
	for (i = 0; i < COUNT(sizes); i++)
		for (j = 0; j < 3; j++)
			CHECK(is_all(p[i][j], sizes[i], i * 3 + j + 1));
	return 0;
}

TEST(every_size)
{
	void *(*const calls[])(size_t) = {
		burrow_alloc,
		burrow_alloc_noscan,
		burrow_try_alloc,
		burrow_try_alloc_noscan,
	};
	size_t i;

	for (i = 0; i < COUNT(calls); i++)
		EXPECT_EQ(0, run(sized, (void *)&calls[i]));
}

/* What was used before is zero again, of whatever size. */
static int zeroed(void *arg)
{
	static const size_t some[] = { 16, 48, 256, 1024, 5000, 32768, 40000 };
	size_t i, round, n;
	char *p;

	(void)arg;
	for (round = 0; round < 4; round++) {
		for (i = 0; i < COUNT(some); i++) {
			for (n = 0; n < (2 << 20) / some[i]; n++) {
				p = round % 2 ? burrow_alloc(some[i]) :
						burrow_alloc_noscan(some[i]);
				CHECK(is_zero(p, some[i]));
				memset(p, 0xa5, some[i]);
			}
		}
		burrow_gc();
	}
	return 0;
}

TEST(zeroed_when_used_again)
{
	EXPECT_EQ(0, run(zeroed, NULL));
}

/* A heap that is dropped over and over takes no more than it needs at a time. */
static int reused(void *arg)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	uint64_t most = 0;
	size_t i, n;

	(void)arg;
	for (i = 0; i < 64; i++) {
		for (n = 0; n < 10000; n++) {
			burrow_alloc(16 + n % 40 * 16);
			burrow_alloc_noscan(1 + n % 777);
		}
		burrow_alloc(1 << 20);
		burrow_gc();
		burrow_stats(&stats);
		if (stats.heap_bytes > most)
			most = stats.heap_bytes;
	}
	CHECK(most < 64 * MIB);
	return 0;
}

TEST(memory_is_used_again)
{
	EXPECT_EQ(0, run(reused, NULL));
}

static int of_no_size(void *arg)
{
	void *a = burrow_alloc(0), *b = burrow_alloc(0);
	void *c = burrow_new_array(&pair_type, 0);
	void *d = burrow_new(&none_type);

	(void)arg;
	CHECK(a && b && c && d);
	CHECK(a != b);
	CHECK(burrow_new_array(&plain_type, 0));
	CHECK(burrow_new_array(&none_type, 1000));
	CHECK(burrow_new_flex(&list_type, 0));
	burrow_gc();
	return 0;
}

TEST(size_zero)
{
	EXPECT_EQ(0, run(of_no_size, NULL));
}

/* Trees of typed objects, whole after collections. */
static struct pair *tree(int depth)
{
	struct pair *p = burrow_new(&pair_type);

	if (depth) {
		p->left = tree(depth - 1);
		p->right = tree(depth - 1);
	}
	return p;
}

static int count(const struct pair *p)
{
	return p ? 1 + count(p->left) + count(p->right) : 0;
}

static int typed(void *arg)
{
	struct pair *p = tree(14);
	struct mixed *m = burrow_new(&mixed_type), *n;
	int i, j;

	(void)arg;
	CHECK(is_zero(m, sizeof(*m)));
	m->inner.pair = tree(5);
	for (i = 0; i < 3; i++) {
		n = burrow_new(&mixed_type);
		n->inner.pair = tree(i);
		m->all[i] = n;
	}
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 300; j++)
			tree(8);
		burrow_gc();
	}
	CHECK(count(p) == (1 << 15) - 1);
	CHECK(count(m->inner.pair) == 63);
	for (i = 0; i < 3; i++)
		CHECK(count(m->all[i]->inner.pair) == (2 << i) - 1);
	return 0;
}

TEST(types)
{
	EXPECT_EQ(0, run(typed, NULL));
}

/*
 * What a type says is no pointer keeps nothing: of objects that only such words
 * point to, few may be left (a stale word on the stack keeps one).
 */
#define HIDDEN 1000
static uint64_t hidden[HIDDEN];
static struct burrow_weak *weak[HIDDEN];

static __attribute__((noinline)) void hide(struct mixed **all)
{
	size_t i;

	for (i = 0; i < HIDDEN; i++) {
		struct pair *p = burrow_new(&pair_type);

		all[i] = burrow_new(&mixed_type);
		all[i]->number = (uintptr_t)p;
		all[i]->inner.count = (uintptr_t)p;
		weak[i] = burrow_weak_new(p);
	}
}

static int precise(void *arg)
{
	struct mixed **all = burrow_new_array(&slot_type, HIDDEN);
	size_t i, left = 0;

	(void)arg;
	hide(all);
	burrow_gc();
	for (i = 0; i < HIDDEN; i++)
		left += !!burrow_weak_get(weak[i]);
	memset(weak, 0, sizeof(weak));
	memset(hidden, 0, sizeof(hidden));
	CHECK(all[HIDDEN - 1]->number);
	CHECK(left < HIDDEN / 20);
	return 0;
}

TEST(types_are_precise)
{
	EXPECT_EQ(0, run(precise, NULL));
}

static int of_arrays(void *arg)
{
	static const size_t counts[] = { 1, 2, 10, 63, 700, 5000, 300000 };
	struct mixed *m[COUNT(counts)];
	struct pair **p[COUNT(counts)];
	size_t i, j;

	(void)arg;
	for (i = 0; i < COUNT(counts); i++) {
		m[i] = burrow_new_array(&mixed_type, counts[i]);
		p[i] = burrow_new_array(&slot_type, counts[i]);
		CHECK(!((uintptr_t)m[i] % 16) && !((uintptr_t)p[i] % 16));
		CHECK(is_zero(m[i], counts[i] * sizeof(*m[i])));
		for (j = 0; j < counts[i]; j += 1 + j / 50) {
			m[i][j].inner.pair = tree(1);
			p[i][j] = tree(2);
		}
		m[i][counts[i] - 1].all[2] = burrow_new(&mixed_type);
		m[i][counts[i] - 1].all[2]->inner.pair = tree(3);
	}
	for (i = 0; i < 3; i++) {
		tree(12);
		burrow_gc();
	}
	for (i = 0; i < COUNT(counts); i++) {
		for (j = 0; j < counts[i]; j += 1 + j / 50) {
			CHECK(count(m[i][j].inner.pair) == 3);
			CHECK(count(p[i][j]) == 7);
		}
		CHECK(count(m[i][counts[i] - 1].all[2]->inner.pair) == 15);
	}
	return 0;
}

TEST(arrays)
{
	EXPECT_EQ(0, run(of_arrays, NULL));
}

static int flexible(void *arg)
{
	static const size_t counts[] = { 0, 1, 3, 100, 3000, 100000 };
	struct list *l[COUNT(counts)];
	size_t i, j;

	(void)arg;
	for (i = 0; i < COUNT(counts); i++) {
		l[i] = burrow_new_flex(&list_type, counts[i]);
		CHECK(is_zero(l[i],
			      sizeof(*l[i]) +
				      counts[i] * sizeof(l[i]->items[0])));
		l[i]->first = tree(3);
		for (j = 0; j < counts[i]; j += 1 + j / 50)
			l[i]->items[j].value = tree(1);
	}
	for (i = 0; i < 3; i++) {
		tree(12);
		burrow_gc();
	}
	for (i = 0; i < COUNT(counts); i++) {
		CHECK(count(l[i]->first) == 15);
		for (j = 0; j < counts[i]; j += 1 + j / 50)
			CHECK(count(l[i]->items[j].value) == 3);
	}
	return 0;
}

TEST(flexible_arrays)
{
	EXPECT_EQ(0, run(flexible, NULL));
}

/* A pointer to any byte of an object keeps it; large ones too. */
static int interior(void *arg)
{
	static const size_t some[] = { 16, 100, 4000, 32768, 500000 };
	volatile char *p[COUNT(some)];
	struct pair *middle;
	size_t i;

	(void)arg;
	for (i = 0; i < COUNT(some); i++) {
		char *start = burrow_alloc_noscan(some[i]);

		memset(start, 'a' + i, some[i]);
		p[i] = start + some[i] - 1;
	}
	middle = (struct pair *)burrow_new_array(&pair_type, 100) + 57;
	middle->left = tree(2);
	for (i = 0; i < 3; i++) {
		sized(&(void *(*)(size_t)){ burrow_alloc });
		burrow_gc();
	}
	for (i = 0; i < COUNT(some); i++)
		CHECK(is_all((char *)p[i] - some[i] + 1, some[i], 'a' + i));
	CHECK(count(middle->left) == 7);
	return 0;
}

TEST(pointers_into_objects)
{
	EXPECT_EQ(0, run(interior, NULL));
}

/* Bad descriptors: the try forms return NULL, the others end with a line. */
static struct burrow_type_cell cells[16];
static const struct burrow_type_field unaligned[] = { { 4, 8 } };
static const struct burrow_type_field half_word[] = { { 0, 12 } };
static const struct burrow_type_field outside[] = { { 0, 8 }, { 64, 8 } };
static const struct burrow_type_field beyond[] = { { SIZE_MAX - 7, 16 } };
static const struct burrow_type_field across[] = { { 8, 16 } };
static const struct burrow_type_field in_tail[] = { { 20, 4 } };

static const struct burrow_type liars[] = {
	{ 64, 64, 0, unaligned, 1, "unaligned", &cells[0], 0 },
	{ 64, 64, 0, half_word, 1, "half_word", &cells[1], 0 },
	{ 64, 64, 0, outside, 2, "outside", &cells[2], 0 },
	{ 64, 64, 0, beyond, 1, "beyond", &cells[3], 0 },
	{ 16, 16, 8, across, 1, "across", &cells[4], 0 },
	{ 16, 32, 8, across, 1, "tail_outside", &cells[5], 0 },
	{ 16, 8, 0, NULL, 0, "tail_of_nothing", &cells[6], 0 },
	{ SIZE_MAX, SIZE_MAX, 0, NULL, 0, "huge", &cells[7], 0 },
	{ 24, 20, 4, in_tail, 1, "tail_unaligned", &cells[8], 0 },
};

static int try_liars(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < COUNT(liars); i++) {
		CHECK(!burrow_try_new(&liars[i]));
		CHECK(!burrow_try_new_array(&liars[i], 2));
		CHECK(!burrow_try_new_flex(&liars[i], 2));
	}
	CHECK(!burrow_try_new_array(&list_type, 2));
	CHECK(!burrow_try_new_flex(&pair_type, 2));
	return 0;
}

TEST(types_that_lie)
{
	EXPECT_EQ(0, run(try_liars, NULL));
}

static int use_liar(void *arg)
{
	burrow_new(arg);
	return 0;
}

static void run_liar(void *arg)
{
	exit(run(use_liar, arg));
}

TEST(types_that_lie_end_the_program)
{
	struct outcome o;

	outcome_of(&o, run_liar, (void *)&liars[0]);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(&o, "burrow_new: type unaligned: "))
	TH_LOG("%s", o.text);
}

/* More than there can be. */
static int too_large(void *arg)
{
	static const size_t n[] = { SIZE_MAX,	     SIZE_MAX - 15,
				    SIZE_MAX / 16,   SIZE_MAX / 16 + 2,
				    1UL << 60,	     1UL << 47,
				    SIZE_MAX / 2 + 1 };
	size_t i;

	(void)arg;
	for (i = 0; i < COUNT(n); i++) {
		CHECK(!burrow_try_alloc(n[i]));
		CHECK(!burrow_try_alloc_noscan(n[i]));
		CHECK(!burrow_try_new_array(&pair_type, n[i]));
		CHECK(!burrow_try_new_array(&mixed_type, n[i]));
		CHECK(!burrow_try_new_flex(&list_type, n[i]));
	}
	CHECK(burrow_try_alloc(100));
	return 0;
}

TEST(sizes_that_overflow)
{
	EXPECT_EQ(0, run(too_large, NULL));
}

static int want_too_much(void *arg)
{
	burrow_new_array(&pair_type, *(size_t *)arg);
	return 0;
}

static void run_too_much(void *arg)
{
	exit(run(want_too_much, arg));
}

TEST(out_of_memory_ends_the_program)
{
	size_t n[] = { SIZE_MAX / 16 + 2, 1UL << 41 };
	struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(n); i++) {
		outcome_of(&o, run_too_much, &n[i]);
		EXPECT_TRUE(killed_by(&o, SIGABRT));
		EXPECT_TRUE(
			says(&o, "burrow: out of memory: burrow_new_array: "))
		TH_LOG("%s", o.text);
	}
}

/* Address space that is limited: NULL in time, and the heap goes on after. */
static int fill(void *arg)
{
	void **last = NULL, **p;
	size_t n;

	(void)arg;
	for (n = 0; n < 1UL << 20; n++) {
		p = burrow_try_alloc(1 << 20);
		if (!p)
			break;
		p[0] = last;
		last = p;
	}
	CHECK(n > 4 && n < 1UL << 20);
	CHECK(!burrow_try_alloc(1 << 20));
	for (; last; last = last[0])
		n--;
	CHECK(!n);
	p = NULL;
	burrow_gc();
	CHECK(burrow_try_alloc(1 << 20));
	return 0;
}

static void run_limited(void *arg)
{
	struct rlimit limit = { 4UL << 30, 4UL << 30 };

	(void)arg;
	setrlimit(RLIMIT_AS, &limit);
	exit(run(fill, NULL) ? 1 : 0);
}

TEST(out_of_address_space)
{
	struct outcome o;

	if (on_kmod())
		SKIP(return, "stacks of the module do not fit the limit");
#ifdef __SANITIZE_ADDRESS__
	SKIP(return, "AddressSanitizer does not fit the limit");
#endif
	outcome_of(&o, run_limited, NULL);
	EXPECT_TRUE(exited_with(&o, 0))
	TH_LOG("status %x: %s", o.status, o.text);
}

/* Several goroutines, each with a structure of its own that it looks after. */
struct worker {
	struct burrow_waitgroup *done;
	unsigned int seed;
	int rounds;
	int failed;
};

#define SLOTS 200

static void work(void *arg)
{
	struct worker *w = arg;
	struct pair **slots = burrow_new_array(&slot_type, SLOTS);
	int *depth = burrow_alloc_noscan(SLOTS * sizeof(*depth)), i, at;

	for (i = 0; i < w->rounds; i++) {
		at = rand_r(&w->seed) % SLOTS;
		if (slots[at] && count(slots[at]) != (2 << depth[at]) - 1)
			w->failed = 1;
		depth[at] = rand_r(&w->seed) % 8;
		slots[at] = tree(depth[at]);
		burrow_alloc_noscan(rand_r(&w->seed) % 3000);
		if (i % 64 == 0)
			burrow_yield();
	}
	for (at = 0; at < SLOTS; at++)
		if (slots[at] && count(slots[at]) != (2 << depth[at]) - 1)
			w->failed = 1;
	burrow_waitgroup_done(w->done);
}

static int workers(void *arg)
{
	struct burrow_waitgroup done = { 0 };
	struct worker w[16];
	int n = *(int *)arg, i;

	for (i = 0; i < n; i++) {
		w[i] = (struct worker){
			.done = &done,
			.seed = i + 1,
			.rounds = 20000 / n,
		};
		burrow_waitgroup_add(&done, 1);
		CHECK(!burrow_go(work, &w[i]));
	}
	burrow_waitgroup_wait(&done);
	for (i = 0; i < n; i++)
		CHECK(!w[i].failed);
	return 0;
}

TEST(several_threads)
{
	static int n[] = { 1, 2, 8, 16 };
	struct burrow_options opts = { .size = sizeof(opts) };
	size_t i;

	for (i = 0; i < COUNT(n); i++) {
		opts.procs = n[i] < 8 ? n[i] : 8;
		EXPECT_EQ(0, burrow_run(&opts, workers, &n[i]));
	}
}

/* In burrow_blocking() objects are made as elsewhere. */
static void in_blocking(void *arg)
{
	struct pair **p = arg;

	*p = tree(12);
	burrow_alloc(100000);
}

static void no_memory_here(void *arg)
{
	*(bool *)arg = !burrow_try_alloc(10) && !burrow_try_new(&pair_type);
}

static int blocking(void *arg)
{
	bool refused = false;
	struct pair *p;

	(void)arg;
	burrow_blocking(in_blocking, &p);
	burrow_gc();
	CHECK(count(p) == (1 << 13) - 1);
	burrow_blocking_nogc(no_memory_here, &refused);
	CHECK(refused);
	CHECK(burrow_try_alloc(10));
	return 0;
}

TEST(in_blocking_code)
{
	EXPECT_EQ(0, run(blocking, NULL));
}

static void alloc_nogc(void *arg)
{
	burrow_alloc((uintptr_t)arg);
}

static int go_nogc(void *arg)
{
	burrow_blocking_nogc(alloc_nogc, arg);
	return 0;
}

static void run_nogc(void *arg)
{
	exit(run(go_nogc, arg));
}

TEST(nogc_code_must_not_allocate)
{
	struct outcome o;

	outcome_of(&o, run_nogc, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(&o, "burrow_alloc: called in burrow_blocking_nogc()"))
	TH_LOG("%s", o.text);
}

static void alloc_outside(void *arg)
{
	(void)arg;
	burrow_alloc(10);
}

TEST(other_threads)
{
	struct outcome o;

	EXPECT_EQ(NULL, burrow_try_alloc(10));
	EXPECT_EQ(NULL, burrow_try_new(&pair_type));
	outcome_of(&o, alloc_outside, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(
		&o, "burrow_alloc: called by a thread that runs no goroutine"))
	TH_LOG("%s", o.text);
}

/* Types and caches in a second run; the first one's objects are gone. */
TEST(runs_follow_each_other)
{
	int i;

	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, run(typed, NULL));
		EXPECT_EQ(0, run(flexible, NULL));
	}
}

/* A goroutine that the end of the run leaves in C code keeps its objects. */
static int left_fds[2], is_left;

static void left_behind(void *arg)
{
	struct pair *p;
	char c;
	int i;

	(void)arg;
	p = tree(8);
	__atomic_store_n(&is_left, 1, __ATOMIC_RELEASE);
	/* In plain C until the run has ended and another one has come. */
	while (read(left_fds[0], &c, 1) != 1)
		;
	for (i = 0; i < 100; i++)
		if (count(p) != 511)
			_exit(3);
	c = 'd';
	if (write(left_fds[1], &c, 1) != 1)
		_exit(4);
	for (;;)
		p = burrow_new(&pair_type);
}

static int leave_behind(void *arg)
{
	(void)arg;
	burrow_go(left_behind, NULL);
	while (!__atomic_load_n(&is_left, __ATOMIC_ACQUIRE))
		burrow_sleep(MS);
	burrow_sleep(20 * MS);
	return 0;
}

TEST(objects_of_threads_that_are_left)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 2 };
	int to[2], from[2];
	char c = 'g';

	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	left_fds[0] = to[0];
	left_fds[1] = from[1];
	EXPECT_EQ(0, burrow_run(&opts, leave_behind, NULL));
	EXPECT_EQ(1, write(to[1], &c, 1));
	EXPECT_EQ(0, run(typed, NULL));
	EXPECT_EQ(1, read(from[0], &c, 1));
	EXPECT_EQ('d', c);
	EXPECT_EQ(0, run(typed, NULL));
}

/* What is freed is overwritten where that is asked for, and zero when used. */
static int poisoned(void *arg)
{
	uintptr_t hidden_at[64];
	unsigned char *p;
	int i, found = 0;

	(void)arg;
	for (i = 0; i < 64; i++) {
		p = burrow_alloc_noscan(200);
		memset(p, 1, 200);
		hidden_at[i] = ~(uintptr_t)p;
	}
	p = NULL;
	burrow_gc();
	burrow_gc();
	for (i = 0; i < 64; i++)
		found += is_all((void *)~hidden_at[i], 200, 0xdb);
	CHECK(found > 32);
	for (i = 0; i < 100000; i++)
		CHECK(is_zero(burrow_alloc_noscan(200), 200));
	return 0;
}

static void run_poisoned(void *arg)
{
	(void)arg;
	setenv("BURROW_DEBUG", "gcpoison=1", 1);
	exit(run(poisoned, NULL) ? 1 : 0);
}

TEST(freed_memory_is_poisoned)
{
	struct outcome o;

	outcome_of(&o, run_poisoned, NULL);
	EXPECT_TRUE(exited_with(&o, 0))
	TH_LOG("status %x: %s", o.status, o.text);
}

/* A pointer in a word that is declared none is told of, where that is asked for. */
/* Others could see it: the compiler keeps what nobody here reads. */
void *seen[3];

static int undeclared(void *arg)
{
	struct list *list = burrow_new_flex(&list_type, 20);
	struct mixed *all = burrow_new_array(&mixed_type, 10);
	struct mixed *one = burrow_new(&mixed_type);

	list->first = burrow_new(&pair_type);
	one->all[1] = all;
	if (arg) {
		one->number = (uintptr_t)list->first;
		all[7].inner.count = (uintptr_t)list->first;
		list->items[13].key = (uintptr_t)all;
	}
	seen[0] = list;
	seen[1] = all;
	seen[2] = one;
	burrow_gc();
	CHECK(list->first && one->all[1] == all);
	return 0;
}

static void run_undeclared(void *arg)
{
	setenv("BURROW_DEBUG", "gccheck=1", 1);
	exit(run(undeclared, arg) ? 1 : 0);
}

TEST(undeclared_pointers_are_told_of)
{
	static const size_t offsets[] = {
		offsetof(struct mixed, number),
		offsetof(struct mixed, inner.count),
	};
	struct outcome o;
	char text[128];
	size_t i;

	outcome_of(&o, run_undeclared, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_FALSE(says(&o, "not declared"))
	TH_LOG("%s", o.text);

	outcome_of(&o, run_undeclared, &o);
	EXPECT_TRUE(exited_with(&o, 0));
	for (i = 0; i < COUNT(offsets); i++) {
		snprintf(
			text, sizeof(text),
			"burrow: type mixed_type: the word at byte %zu is not declared a pointer",
			offsets[i]);
		EXPECT_TRUE(says(&o, text))
		TH_LOG("%s: %s", text, o.text);
	}
	snprintf(text, sizeof(text),
		 "burrow: type list_type: the word at byte %zu ",
		 offsetof(struct list, items[0].key));
	EXPECT_TRUE(says(&o, text))
	TH_LOG("%s", o.text);
}

TEST_HARNESS_MAIN
