/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of channels and of sync share: each runs on one, two and eight
 * processors, in goroutines, where a check that fails is noted for the harness.
 */
#ifndef SELFTESTS_SYNC_H
#define SELFTESTS_SYNC_H

#include "../../userland/sched/sched.h"
#include "runtime.h"

/* Where the first check failed; goroutines may fail at the same time. */
static int failed_line;

static inline void note_failure(const char *file, int line, const char *cond)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&failed_line, &none, line, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		printf("# %s:%d: not so: %s\n", file, line, cond);
}

#define CHECK(cond)                                              \
	do {                                                     \
		if (!(cond))                                     \
			note_failure(__FILE__, __LINE__, #cond); \
	} while (0)

static inline int run_on_main(void *arg)
{
	void (**fn)(void) = arg;

	(*fn)();
	return 0;
}

static inline int run_on(int procs, void (*fn)(void))
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = procs };

	failed_line = 0;
	return burrow_run(&opts, run_on_main, &fn) ?: failed_line;
}

FIXTURE(on){};

FIXTURE_VARIANT(on)
{
	int procs;
};

FIXTURE_VARIANT_ADD(on, 1_processor){
	.procs = 1,
};

FIXTURE_VARIANT_ADD(on, 2_processors){
	.procs = 2,
};

FIXTURE_VARIANT_ADD(on, 8_processors){
	.procs = 8,
};

FIXTURE_SETUP(on)
{
}

FIXTURE_TEARDOWN(on)
{
}

/* A test on each number of processors: a function that runs as main goroutine. */
#define TEST_ON(name)                                              \
	static void test_##name(void);                             \
	TEST_F(on, name)                                           \
	{                                                          \
		EXPECT_EQ(0, run_on(variant->procs, test_##name)); \
	}                                                          \
	static void test_##name(void)

static inline void count_busy(struct goroutine *g, void *arg)
{
	int *busy = arg;
	uint8_t state = __atomic_load_n(&g->state, __ATOMIC_SEQ_CST);

	*busy += g != burrow_current() && state != GOROUTINE_WAITING &&
		 state != GOROUTINE_FREE;
}

/*
 * Those who were started have come to where they wait: for a time at least, and
 * on a busy machine until it is so.
 */
static inline void settle(void)
{
	int64_t end = burrow_now() + 2000 * MS;
	int busy;

	do {
		burrow_sleep(3 * MS);
		busy = 0;
		pthread_mutex_lock(&burrow_runtime.lock);
		goroutine_each(count_busy, &busy);
		pthread_mutex_unlock(&burrow_runtime.lock);
	} while (busy && burrow_now() < end);
}

/* How many timeouts are set, by all processors' count of their own. */
static inline long timeouts_set(void)
{
	long n = 0;
	int i;

	for (i = 0; burrow_runtime.procs[i]; i++)
		n += READ_ONCE(burrow_runtime.procs[i]->timers.set);
	return n;
}

static inline void add(int *counter, int n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
}

static inline void put(int *counter, int n)
{
	__atomic_store_n(counter, n, __ATOMIC_SEQ_CST);
}

static inline int get(int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* A number of one's own that is as good as random: xorshift32, Marsaglia 2003. */
static inline uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#endif /* SELFTESTS_SYNC_H */
