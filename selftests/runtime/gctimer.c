// SPDX-License-Identifier: GPL-2.0
/*
 * Timers and contexts are objects of the collected heap: those that nobody needs any
 * more go, and what is to happen yet happens, whoever has forgotten about it.
 */
#include <burrow/ctx.h>
#include <burrow/timer.h>

#include "gc.h"

static int fired;

static void count_one(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
}

static void await_fired(int n)
{
	while (get(&fired) < n)
		burrow_sleep(MS);
	CHECK(get(&fired) == n);
}

static struct burrow_weak *weak[MANY];

static int count_weak(void)
{
	int i, n = 0;

	collect();
	for (i = 0; i < MANY; i++)
		n += !!burrow_weak_get(weak[i]);
	return n;
}

__attribute__((noipa)) static void start_many(int64_t ns, bool stop)
{
	struct burrow_timer *t;
	int i;

	fired = 0;
	for (i = 0; i < MANY; i++) {
		t = burrow_timer_new(ns, 0, count_one, NULL);
		CHECK(t);
		weak[i] = burrow_weak_new(t);
		if (stop)
			CHECK(burrow_timer_stop(t) == 1);
	}
}

TEST_GC(timers_that_have_fired_go)
{
	start_many(100 * MS * scale(), false);
	CHECK(count_weak() == MANY || get(&fired));
	await_fired(MANY);
	CHECK(count_weak() <= MANY - MOST);
}

/* The entry that is left of one that was stopped goes with its time. */
TEST_GC(timers_that_were_stopped_go)
{
	start_many(50 * MS, true);
	burrow_sleep(100 * MS);
	/* Whoever has the processor looks at what is due. */
	burrow_sleep(MS);
	CHECK(count_weak() <= MANY - MOST);
	CHECK(get(&fired) == 0);
}

TEST_GC(timers_that_were_reset_live)
{
	static struct burrow_timer *t;
	int i;

	fired = 0;
	t = burrow_timer_new(MS, 0, count_one, NULL);
	for (i = 1; i < 20; i++) {
		await_fired(i);
		collect();
		CHECK(burrow_timer_reset(t, i % 2 ? 0 : 2 * MS) == 0);
		if (i % 3 == 0)
			collect();
	}
	await_fired(20);
	t = NULL;
}

#define RUNS 50

static void run_again(void *arg)
{
	struct thing *t = arg;

	CHECK(t->magic == MAGIC);
	__atomic_add_fetch(&t->rest[0], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
}

/* Nobody has the timer nor its argument; it fires between collections. */
TEST_GC(periodic_timers_live)
{
	struct secret secret;

	fired = 0;
	CHECK(burrow_timer_new(MS, MS, run_again, make(&secret)));
	while (get(&fired) < RUNS)
		collect();
	CHECK(lives(&secret));
}

static int collector_stops;
static struct burrow_waitgroup collects;

static void collect_on(void *arg)
{
	(void)arg;
	while (!get(&collector_stops)) {
		collect();
		burrow_yield();
	}
	burrow_waitgroup_done(&collects);
}

static void check_thing(void *arg)
{
	struct thing *t = arg;

	CHECK(t->magic == MAGIC);
	__atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
}

/* They are set at every moment of a cycle. */
TEST_GC(timers_set_while_marking_live)
{
	const int count = 3000;
	struct secret secret;
	int i;

	fired = 0;
	collector_stops = 0;
	burrow_waitgroup_add(&collects, 1);
	CHECK(burrow_go(collect_on, NULL) == 0);
	for (i = 0; i < count; i++) {
		CHECK(burrow_timer_new(i % 7 * MS / 2, 0, check_thing,
				       make(&secret)));
		if (i % 16 == 0)
			burrow_yield();
	}
	await_fired(count);
	collector_stops = 1;
	burrow_waitgroup_wait(&collects);
}

/* A server's: a timeout for each request, for years. */
#define REQUESTS 400000
#define ROOM (32 * MIB)

static uint64_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	CHECK(f && fscanf(f, "%*u %lu", &pages) == 1);
	fclose(f);
	return pages * 4096;
}

TEST_GC(timeouts_and_contexts_leave_nothing)
{
	struct burrow_ctx *all, *each, *with;
	uint64_t before;
	int64_t at;
	int i;

	burrow_gc_percent(100);
	all = burrow_ctx_with_cancel(NULL);
	before = resident();
	for (i = 0; i < REQUESTS; i++) {
		each = burrow_ctx_with_deadline(all, burrow_now() + 1000 * MS);
		with = burrow_ctx_with_value(each, &before, &at);
		CHECK(burrow_ctx_value(with, &before) == &at);
		CHECK(burrow_chan_recv(burrow_after(0), &at) == 1);
		CHECK(burrow_ctx_cancel(each, 0) == 0);
	}
	CHECK(resident() < before + ROOM);
	burrow_ctx_cancel(all, 0);
}

/* A channel that closes is all that is left of a context. */
__attribute__((noipa)) static struct burrow_chan *
done_of_child(struct burrow_ctx *parent, int64_t deadline)
{
	struct burrow_ctx *ctx;

	ctx = deadline ? burrow_ctx_with_deadline(parent, deadline) :
			 burrow_ctx_with_cancel(parent);
	return burrow_ctx_done(burrow_ctx_with_value(ctx, &fired, &fired));
}

TEST_GC(contexts_end_though_forgotten)
{
	struct burrow_chan *done[MANY], *late;
	struct burrow_ctx *parent = burrow_ctx_with_cancel(NULL);
	int i;

	for (i = 0; i < MANY; i++)
		done[i] = done_of_child(parent, 0);
	late = done_of_child(NULL, burrow_now() + 50 * MS);
	collect();
	collect();
	CHECK(burrow_chan_recv(late, NULL) == 0);
	burrow_ctx_cancel(parent, 0);
	for (i = 0; i < MANY; i++)
		CHECK(burrow_chan_try_recv(done[i], NULL) == 0);
}

/* Those that have ended go; those that have not are their parent's. */
__attribute__((noipa)) static void make_children(struct burrow_ctx *parent)
{
	struct burrow_ctx *ctx;
	int i;

	for (i = 0; i < MANY; i++) {
		ctx = burrow_ctx_with_cancel(parent);
		weak[i] = burrow_weak_new(ctx);
		if (i % 2)
			burrow_ctx_cancel(ctx, 0);
	}
}

TEST_GC(contexts_that_have_ended_go)
{
	struct burrow_ctx *parent = burrow_ctx_with_cancel(NULL);
	int n, i;

	make_children(parent);
	n = count_weak();
	for (i = 0; i < MANY; i += 2)
		CHECK(burrow_weak_get(weak[i]));
	CHECK(n < MANY / 2 + 16);
	burrow_ctx_cancel(parent, 0);
	CHECK(count_weak() <= MANY - MOST);
}

/* A group may lie where the collector does not look. */
static int fail(void *arg)
{
	burrow_chan_recv(arg, NULL);
	return 7;
}

__attribute__((noipa)) static uintptr_t begin(struct burrow_group *group,
					      struct burrow_chan *gate)
{
	struct burrow_ctx *ctx = burrow_group_ctx(group, NULL);

	CHECK(ctx);
	CHECK(burrow_group_go(group, fail, gate) == 0);
	return hide(ctx);
}

TEST_GC(contexts_of_groups_live)
{
	struct burrow_group *group = calloc(1, sizeof(*group));
	struct burrow_chan *gate = burrow_chan_new(0, 0);
	uintptr_t ctx;

	ctx = begin(group, gate);
	collect();
	collect();
	burrow_chan_close(gate);
	CHECK(burrow_group_wait(group) == 7);
	/* Nothing was collected since. */
	CHECK(burrow_ctx_err((struct burrow_ctx *)unhide(ctx)) == -ECANCELED);
	free(group);
}

TEST_HARNESS_MAIN
