// SPDX-License-Identifier: GPL-2.0
/*
 * What trace.sh watches: COUNT goroutines that wait in a semaphore once, each with
 * PAGES of its stack written to. At the end it prints what the runtime itself
 * counted.
 *
 * usage: watched COUNT PAGES [SECONDS [CYCLES]]
 * With SECONDS it begins again that long; with CYCLES it also collects so often,
 * each time a megabyte.
 */
#include <burrow.h>
#include <burrow/sync.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 4096

static long count, pages, seconds, cycles;
static struct burrow_waitgroup parked, ended;
static struct burrow_sem gate;

static void one(void *arg)
{
	volatile char *here = __builtin_frame_address(0);
	long i;

	(void)arg;
	for (i = 1; i < pages; i++)
		here[-i * PAGE] = 1;
	burrow_waitgroup_done(&parked);
	burrow_sem_acquire(&gate, 1);
	burrow_waitgroup_done(&ended);
}

static __attribute__((noinline)) int round_of_all(void)
{
	long i;

	burrow_waitgroup_add(&parked, count);
	burrow_waitgroup_add(&ended, count);
	for (i = 0; i < count; i++) {
		if (burrow_go(one, NULL))
			return EXIT_FAILURE;
	}
	burrow_waitgroup_wait(&parked);
	/* All of them are in the semaphore then. */
	burrow_sleep(50000000);
	burrow_sem_release(&gate, count);
	burrow_waitgroup_wait(&ended);
	while (burrow_num_goroutines() > 1)
		burrow_sleep(1000000);
	return EXIT_SUCCESS;
}

static int collect(void)
{
	long i;

	for (i = 0; i < cycles; i++) {
		if (!burrow_alloc_noscan(1 << 20))
			return EXIT_FAILURE;
		burrow_gc();
	}
	return EXIT_SUCCESS;
}

static int run(void *arg)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	int64_t until = burrow_now() + seconds * 1000000000L;
	int ret;

	(void)arg;
	do {
		ret = round_of_all();
	} while (!ret && burrow_now() < until);
	if (!ret)
		ret = collect();
	burrow_stats(&stats);
	if (cycles)
		printf("collected %lu pauses %lu live %lu\n", stats.gc_cycles,
		       stats.gc_pause_total_ns, stats.heap_live);
	printf("created %lu grows %lu\n", stats.created, stats.stack_grows);
	return ret;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return EXIT_FAILURE;
	count = atol(argv[1]);
	pages = atol(argv[2]);
	seconds = argc > 3 ? atol(argv[3]) : 0;
	cycles = argc > 4 ? atol(argv[4]) : 0;
	return burrow_run(NULL, run, NULL);
}
