// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines whose stacks grow by a known amount: COUNT of them write one byte
 * to each of the PAGES uppermost pages of their stacks, downward, and then wait
 * until all have; so none gets a stack that another has used.
 *
 * The main goroutine's own stack is grown before. Then, and again at the end, it
 * writes a line and reads one, so that a script can look at counters between.
 *
 * usage: grow COUNT PAGES
 */
#include <burrow.h>
#include <burrow/sync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096UL

static long count, pages;
static struct burrow_waitgroup grown, ended;
static struct burrow_sem gate;

/* Downward from the page that this function's frame begins in. */
static __attribute__((noinline)) void touch(long n)
{
	char *here = __builtin_frame_address(0);
	char *page = (char *)((unsigned long)here & ~(PAGE - 1));
	long i;

	/* Below the stack pointer, as a very deep frame would. */
	for (i = 0; i < n; i++)
		*(volatile char *)(page - i * PAGE) = 1;
}

static void one(void *arg)
{
	(void)arg;
	touch(pages);
	burrow_waitgroup_done(&grown);
	burrow_sem_acquire(&gate, 1);
	burrow_waitgroup_done(&ended);
}

static void tell(const char *what)
{
	char line[16];

	puts(what);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(EXIT_FAILURE);
}

static int run(void *arg)
{
	long i;

	(void)arg;
	touch(16);
	tell("ready");
	burrow_waitgroup_add(&grown, count);
	burrow_waitgroup_add(&ended, count);
	for (i = 0; i < count; i++) {
		if (burrow_go(one, NULL))
			return EXIT_FAILURE;
	}
	burrow_waitgroup_wait(&grown);
	tell("grown");
	burrow_sem_release(&gate, count);
	burrow_waitgroup_wait(&ended);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct burrow_options options = {
		.size = sizeof(options),
		.backend = BURROW_BACKEND_KMOD,
	};

	if (argc != 3)
		return EXIT_FAILURE;
	count = atol(argv[1]);
	pages = atol(argv[2]);
	return burrow_run(&options, run, NULL);
}
