// SPDX-License-Identifier: GPL-2.0
/*
 * The timers benchmark: --count goroutines are started and sleep a second each.
 */
#include <burrow.h>
#include <burrow/sync.h>

#include "contest.h"

#define SECOND 1000000000LL

static struct burrow_waitgroup group;

static void sleeper(void *arg)
{
	(void)arg;
	burrow_sleep(SECOND);
	burrow_waitgroup_done(&group);
}

static long sleep_all(long n)
{
	long i;
	int err;

	burrow_waitgroup_add(&group, n);
	for (i = 0; i < n; i++) {
		err = burrow_go(sleeper, NULL);
		if (err)
			return err;
	}
	burrow_waitgroup_wait(&group);
	return n;
}

static const struct contest contests[] = {
	{
		.work = "sleep",
		.unit = "ns/sleeper",
		.wall = "wall-ns/sleeper",
		.count = 1000000,
		.run = sleep_all,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "timers", contests, 1);
}

const struct bench bench_timers = {
	.name = "timers",
	.summary = "--count goroutines that sleep a second each",
	.backend = contest_backend,
	.run = run,
};
