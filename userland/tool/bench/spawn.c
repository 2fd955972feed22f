// SPDX-License-Identifier: GPL-2.0
/*
 * The spawn benchmark. A batch: --count goroutines are started by one, each
 * ends at once; in a fresh process, so that stacks are new. And one: a goroutine
 * is started and waited for, again and again.
 */
#include <burrow.h>
#include <burrow/sync.h>

#include "contest.h"

static struct burrow_waitgroup group;

static void end(void *arg)
{
	(void)arg;
	burrow_waitgroup_done(&group);
}

static long batch(long n)
{
	long i;
	int err;

	burrow_waitgroup_add(&group, n);
	for (i = 0; i < n; i++) {
		err = burrow_go(end, NULL);
		if (err)
			return err;
	}
	burrow_waitgroup_wait(&group);
	return n;
}

static long join(long n)
{
	long i;
	int err;

	for (i = 0; i < n; i++) {
		burrow_waitgroup_add(&group, 1);
		err = burrow_go(end, NULL);
		if (err)
			return err;
		burrow_waitgroup_wait(&group);
	}
	return n;
}

static const struct contest contests[] = {
	{
		.work = "spawn",
		.unit = "ns/spawn",
		.wall = "wall-ns/spawn",
		.count = 1000000,
		.cold = true,
		.run = batch,
	},
	{
		.work = "join",
		.unit = "ns/join",
		.wall = "wall-ns/join",
		.count = 500000,
		.run = join,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "spawn", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_spawn = {
	.name = "spawn",
	.summary = "goroutines started: --count at once, and one by one",
	.backend = contest_backend,
	.run = run,
};
