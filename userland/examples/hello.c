// SPDX-License-Identifier: LGPL-2.1-or-later
#include <burrow.h>
#include <stdio.h>

static void greet(void *name)
{
	for (int i = 0; i < 3; i++) {
		printf("goroutine %lu: hello, %s\n", burrow_id(), (char *)name);
		burrow_sleep(10 * 1000 * 1000);
	}
}

static int start(void *arg)
{
	burrow_go(greet, "world");
	burrow_go(greet, arg);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(1000 * 1000);
	return 0;
}

int main(void)
{
	return burrow_run(NULL, start, "burrow");
}
