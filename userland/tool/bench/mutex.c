// SPDX-License-Identifier: GPL-2.0
/*
 * The mutex benchmark: 1,000 goroutines enter the same mutex again and again.
 * In the second case each yields while it holds it, so that the others queue.
 */
#include <errno.h>

#include <burrow.h>
#include <burrow/sync.h>

#include "contest.h"

#define MEMBERS 1000

static struct burrow_mutex lock;
static struct burrow_waitgroup group;
static long turns, count;

static void member(void *arg)
{
	long i, n = turns;

	(void)arg;
	for (i = 0; i < n; i++) {
		burrow_mutex_lock(&lock);
		count++;
		burrow_mutex_unlock(&lock);
	}
	burrow_waitgroup_done(&group);
}

static void member_held(void *arg)
{
	long i, n = turns;

	(void)arg;
	for (i = 0; i < n; i++) {
		burrow_mutex_lock(&lock);
		count++;
		burrow_yield();
		burrow_mutex_unlock(&lock);
	}
	burrow_waitgroup_done(&group);
}

static long crowd(long n, void (*fn)(void *arg))
{
	int i, err;

	turns = n / MEMBERS;
	count = 0;
	burrow_waitgroup_add(&group, MEMBERS);
	for (i = 0; i < MEMBERS; i++) {
		err = burrow_go(fn, NULL);
		if (err)
			return err;
	}
	burrow_waitgroup_wait(&group);
	return count == turns * MEMBERS ? count : -EBADMSG;
}

static long mutex(long n)
{
	return crowd(n, member);
}

static long mutex_held(long n)
{
	return crowd(n, member_held);
}

static const struct contest contests[] = {
	{
		.work = "mutex",
		.unit = "ns/lock",
		.wall = "wall-ns/lock",
		.count = 20000000,
		.run = mutex,
	},
	{
		.work = "mutex-held",
		.unit = "ns/held-lock",
		.wall = "wall-ns/held-lock",
		.count = 500000,
		.run = mutex_held,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "mutex", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_mutex = {
	.name = "mutex",
	.summary = "1,000 goroutines that enter a mutex --count times in all",
	.backend = contest_backend,
	.run = run,
};
