// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of goroutines that wait lose what they hold and do not use, and nothing
 * else, also while they are being woken.
 */
#include "gc.h"

#define DEEP (192 * KIB)
#define WAITERS 24
#define PAGE (4 * KIB)

/* What a stack may keep: what is used, and what it had when it was made. */
#define KEPT (32 * KIB)

static int stop;

/* Fills @bytes below its caller with a pattern, and looks at it again. */
__attribute__((noipa)) static void go_deep(size_t bytes, unsigned char seed)
{
	volatile unsigned char area[bytes];
	size_t i;

	for (i = 0; i < bytes; i += 64)
		area[i] = seed + i / 64;
	for (i = 0; i < bytes; i += 64)
		CHECK(area[i] == (unsigned char)(seed + i / 64));
}

static struct burrow_stats stats_now(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	CHECK(burrow_stats(&stats) == 0);
	return stats;
}

static uint64_t stack_bytes(void)
{
	return stats_now().stack_bytes;
}

/*
 * Whether stacks hold no more than @bytes, and a page for each that was put back since
 * @before: gcverify looks at the live part of all where it lies.
 */
static bool hold(uint64_t bytes, const struct burrow_stats *before)
{
	const struct burrow_stats now = stats_now();

	return now.stack_bytes <=
	       bytes + (now.restores - before->restores) * PAGE;
}

/* The trim comes soon after the cycle, not before burrow_gc() returns. */
static bool shrinks_to(uint64_t bytes, const struct burrow_stats *before)
{
	int i;

	for (i = 0; i < 200 && !hold(bytes, before); i++) {
		burrow_sleep(5 * MS);
		collect();
	}
	return hold(bytes, before);
}

static struct burrow_chan *gate;
static int deep;

static void wait_deep(void *arg)
{
	size_t bytes = (size_t)arg;

	go_deep(bytes, 1);
	add(&deep, 1);
	burrow_chan_recv(gate, NULL);
	go_deep(bytes, 2);
}

static struct burrow_stats start_waiters(void (*fn)(void *), size_t bytes)
{
	int i;

	gate = burrow_chan_new(0, 0);
	deep = 0;
	for (i = 0; i < WAITERS; i++)
		CHECK(burrow_go(fn, (void *)bytes) == 0);
	while (get(&deep) < WAITERS)
		burrow_sleep(MS);
	/* Who waits since the cycle began may be busy: clocks are coarse. */
	burrow_sleep(50 * MS);
	/* Our own stack may have hibernated meanwhile, and will be used to collect. */
	go_deep(KEPT, 0);
	return stats_now();
}

static void end_waiters(void)
{
	burrow_chan_close(gate);
	wait_for_others();
}

TEST_GC(deep_stacks_are_trimmed)
{
	const struct burrow_stats before = start_waiters(wait_deep, DEEP);
	uint64_t less = before.stack_bytes;

	if (less >= WAITERS * DEEP)
		less -= WAITERS * (DEEP - KEPT);
	else /* Who hibernates has lost it all already. */
		CHECK(before.hibernates);
	collect();
	CHECK(shrinks_to(less, &before));
	end_waiters();
}

/* Those that use a quarter and more keep all. */
static void wait_in_use(void *arg)
{
	volatile char used[DEEP / 3];
	size_t i;

	for (i = 0; i < sizeof(used); i += 64)
		used[i] = i / 64;
	wait_deep(arg);
	for (i = 0; i < sizeof(used); i += 64)
		CHECK(used[i] == (char)(i / 64));
}

TEST_GC(stacks_in_use_are_not)
{
	uint64_t before = start_waiters(wait_in_use, DEEP / 2).stack_bytes;

	collect();
	burrow_sleep(50 * MS);
	CHECK(stack_bytes() + 64 * KIB >= before);
	end_waiters();
}

/* Two play ball, deep in calls at each turn, while collections trim. */
static void play(void *arg)
{
	struct burrow_chan **chans = arg;
	unsigned char n;

	while (burrow_chan_recv(chans[0], &n) == 1) {
		go_deep(DEEP, n++);
		if (burrow_chan_send(chans[1], &n))
			break;
	}
}

static void sleeper(void *arg)
{
	unsigned char n = (size_t)arg;

	while (!get(&stop)) {
		go_deep(DEEP, n++);
		burrow_sleep(n % 16 * MS);
	}
}

TEST_GC(woken_while_trimmed)
{
	struct burrow_chan *chans[] = { burrow_chan_new(1, 0),
					burrow_chan_new(1, 0) };
	unsigned char n = 0;
	size_t i;

	stop = 0;
	burrow_go(play, chans);
	for (i = 0; i < WAITERS; i++)
		burrow_go(sleeper, (void *)i);
	for (i = 0; i < 150; i++) {
		CHECK(burrow_chan_send(chans[0], &n) == 0);
		burrow_gc();
		CHECK(burrow_chan_recv(chans[1], &n) == 1);
	}
	stop = 1;
	burrow_chan_close(chans[0]);
	wait_for_others();
}

TEST_HARNESS_MAIN
