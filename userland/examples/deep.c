// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Deep recursion: the Ackermann function, whose calls nest far deeper than a
 * thread's stack goes. One goroutine gets a stack that may grow to 896 MiB;
 * only what it reaches is ever memory.
 *
 *	deep [N]	A(1, N), 4000000 without an argument
 */
#include <burrow.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long result;
static struct burrow_stats then = { .size = sizeof(then) };

static unsigned long ackermann(unsigned long m, unsigned long n)
{
	if (!m)
		return n + 1;
	if (!n)
		return ackermann(m - 1, 1);
	return ackermann(m - 1, ackermann(m, n - 1));
}

static void compute(void *arg)
{
	unsigned long *n = arg;

	result = ackermann(1, *n);
	/* Its stack is as large as it became; when it has ended it goes back. */
	burrow_stats(&then);
	*n = 0;
}

static int start(void *arg)
{
	struct burrow_go_options opts = {
		.size = sizeof(opts),
		.name = "ackermann",
		.stack_max = 896UL << 20,
	};
	unsigned long *n = arg;
	int ret;

	ret = burrow_go_opts(&opts, compute, n);
	if (ret)
		return 1;
	while (*n)
		burrow_sleep(1000 * 1000);
	printf("A(1, n) = %lu; stacks held %lu KiB\n", result,
	       then.stack_bytes >> 10);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 4000000;

	return burrow_run(NULL, start, &n);
}
