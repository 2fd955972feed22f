// SPDX-License-Identifier: GPL-2.0
/*
 * The switch benchmark: two goroutines that yield to each other; and the bare
 * switch of the runtime's assembly between two stacks, without the scheduler.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <burrow.h>
#include <burrow/sync.h>

#include "../../arch/arch.h"
#include "contest.h"

#define BARE_STACK (16 << 10)

static struct burrow_waitgroup group;
static long turns;

static void yielder(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < turns; i++)
		burrow_yield();
	burrow_waitgroup_done(&group);
}

static long yield(long n)
{
	int i, err;

	turns = n / 2;
	burrow_waitgroup_add(&group, 2);
	for (i = 0; i < 2; i++) {
		err = burrow_go(yielder, NULL);
		if (err)
			return err;
	}
	burrow_waitgroup_wait(&group);
	return turns * 2;
}

/* Of the two who switch. */
static void *contexts[2];

/*
 * Both switch from the same place, as goroutines do in the scheduler: from two,
 * each return would be mispredicted, which is no part of the switch.
 */
static __attribute__((noinline)) void bounce(int self, long n)
{
	long i;

	for (i = 0; i < n; i++)
		burrow_arch_switch(&contexts[self], contexts[!self], NULL);
}

static void partner(void *pass)
{
	(void)pass;
	bounce(1, LONG_MAX);
	__builtin_unreachable();
}

static long bare_switch(long n)
{
	char *stack = aligned_alloc(16, BARE_STACK);

	if (!stack)
		return -ENOMEM;
	contexts[1] = burrow_arch_make(stack + BARE_STACK, partner);
	bounce(0, n / 2);
	free(stack);
	return n / 2 * 2;
}

const struct contest contest_bare_switch = {
	.work = "bare-switch",
	.unit = "ns/bare-switch",
	.wall = "wall-ns/bare-switch",
	.count = 20000000,
	.alone = true,
	.run = bare_switch,
};

static int run(const struct bench_options *options)
{
	const struct contest contests[] = {
		{
			.work = "yield",
			.unit = "ns/yield",
			.wall = "wall-ns/yield",
			.count = 5000000,
			.alone = true,
			.run = yield,
		},
		contest_bare_switch,
	};

	return contest_run(options, "switch", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_switch = {
	.name = "switch",
	.summary = "two goroutines that yield, and the bare switch",
	.backend = contest_backend,
	.run = run,
};
