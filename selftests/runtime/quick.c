// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation without a call, as burrow/alloc_inline.h has it, beside the functions
 * of the same names: both take from the same runs, and mean the same size.
 */
#include "runtime.h"

#define FAR 100000 /* further than two objects of a run are apart */

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#define IS_INLINE 1
#else
#define IS_INLINE 0
#endif

struct pair {
	struct pair *left;
	struct pair *right;
	uint64_t number;
};

BURROW_TYPE(pair_type, struct pair, left, right);

/* The compiler does not know what they are. */
static void *(*volatile by_call)(size_t);
static void *(*volatile new_by_call)(const struct burrow_type *);

/**
 * struct tally - what was seen of pairs of objects made in turn
 * @beside:	the second lay where the first one ended
 * @wrong:	it lay on it, was not aligned or not zero
 */
struct tally {
	int beside;
	int wrong;
};

static void compare(struct tally *t, char *p, char *q, size_t size)
{
	size_t step = size ? (size + 15) / 16 * 16 : 16, i;

	t->beside += q == p + step;
	t->wrong += (uintptr_t)p % 16 || (uintptr_t)q % 16;
	t->wrong += q < p ? p < q + step : q < p + step;
	for (i = 0; i < size; i++)
		t->wrong += p[i] || q[i];
	memset(p, 1, size);
	memset(q, 2, size);
}

#define PAIR(fn, size)                               \
	do {                                         \
		char *p = fn(size);                  \
		compare(&t, p, by_call(size), size); \
	} while (0)

#define PAIRS(fn)               \
	do {                    \
		PAIR(fn, 0);    \
		PAIR(fn, 1);    \
		PAIR(fn, 16);   \
		PAIR(fn, 17);   \
		PAIR(fn, 32);   \
		PAIR(fn, 100);  \
		PAIR(fn, 112);  \
		PAIR(fn, 255);  \
		PAIR(fn, 256);  \
		PAIR(fn, 257);  \
		PAIR(fn, 1024); \
	} while (0)

#define ROUNDS 200
#define OF_ROUND 11

static int in_turn(void *arg)
{
	struct tally t = { 0 };
	int i;

	(void)arg;
	by_call = burrow_alloc;
	for (i = 0; i < ROUNDS; i++)
		PAIRS(burrow_alloc);
	by_call = burrow_alloc_noscan;
	for (i = 0; i < ROUNDS; i++)
		PAIRS(burrow_alloc_noscan);
	if (t.wrong)
		return -1;
	/* Where a run ends they are not; 257 takes 288. */
	return t.beside > 2 * ROUNDS * OF_ROUND * 3 / 5 ? 0 : t.beside;
}

TEST(the_same_runs)
{
	EXPECT_EQ(0, burrow_run(NULL, in_turn, NULL));
}

static int of_a_type(void *arg)
{
	struct tally t = { 0 };
	char *p, *q;
	int i;

	(void)arg;
	new_by_call = burrow_new;
	for (i = 0; i < ROUNDS; i++) {
		p = burrow_new(&pair_type);
		q = new_by_call(&pair_type);
		compare(&t, p, q, sizeof(struct pair));
	}
	return t.wrong ? -1 : t.beside > ROUNDS * 3 / 4 ? 0 : t.beside;
}

TEST(the_same_runs_of_types)
{
	EXPECT_EQ(0, burrow_run(NULL, of_a_type, NULL));
}

/* What the run has is taken from where the header says that it is. */
#if IS_INLINE
static int no_call(void *arg)
{
	struct burrow_alloc_run *run;
	char *p = burrow_alloc(32), *q;

	(void)arg;
	run = burrow_alloc_runs() + BURROW_RUN_WORDS + 1;
	run->cur = p;
	q = burrow_alloc(32);
	return q == p && run->cur == p + 32 ? 0 : 1;
}

TEST(is_there)
{
	EXPECT_EQ(0, burrow_run(NULL, no_call, NULL));
}
#endif

static struct pair *chain(int n)
{
	struct pair *first = NULL, *p;

	while (n--) {
		p = burrow_new(&pair_type);
		p->left = first;
		p->number = n;
		first = p;
	}
	return first;
}

/* A goroutine that comes back on another thread takes from that one's. */
static void rounds(void *arg)
{
	struct pair *first, *p;
	int i, n;

	for (i = 0; i < 300; i++) {
		first = chain(200);
		burrow_yield();
		for (n = 0, p = first; p; p = p->left, n++)
			if (p->number != (uint64_t)n)
				abort();
		burrow_alloc(64);
	}
	burrow_waitgroup_done(arg);
}

static int eight(void *arg)
{
	static struct burrow_waitgroup group;
	int i, err = 0;

	(void)arg;
	burrow_waitgroup_add(&group, 8);
	for (i = 0; i < 8; i++)
		err |= burrow_go(rounds, &group);
	for (i = 0; i < 20; i++)
		burrow_gc();
	burrow_waitgroup_wait(&group);
	return err;
}

TEST(on_threads)
{
	const struct burrow_options opts = {
		.size = sizeof(opts),
		.procs = 4,
	};

	EXPECT_EQ(0, burrow_run(&opts, eight, NULL));
}

static void none_here(void *arg)
{
	(void)arg;
	burrow_alloc(48);
}

static int go_nogc(void *arg)
{
	burrow_alloc(48);
	burrow_blocking_nogc(none_here, arg);
	return 0;
}

static void exit_nogc(void *arg)
{
	exit(burrow_run(NULL, go_nogc, arg));
}

TEST(not_where_it_must_not)
{
	struct outcome o;

	outcome_of(&o, exit_nogc, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(&o, "burrow_alloc: called in burrow_blocking_nogc()"))
	TH_LOG("%s", o.text);
}

TEST_HARNESS_MAIN
