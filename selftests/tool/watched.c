// SPDX-License-Identifier: GPL-2.0
/*
 * What the scripts watch: COUNT goroutines that wait in a semaphore once, each with
 * PAGES of its stack written to. At the end it prints what the runtime itself
 * counted.
 *
 * usage: watched COUNT PAGES [SECONDS [CYCLES [HOLD]]]
 * Where stacks hibernated that is printed before.
 * With SECONDS it begins again that long; with CYCLES it collects so often each
 * time, a megabyte; the goroutines wait for HOLD milliseconds, 50 without, and it
 * as long when it has printed.
 *
 * usage: watched stop COUNT
 * Starts so many and stops itself by a signal before they run: on one processor
 * all of them are in its queue.
 *
 * usage: watched block COUNT MILLISECONDS
 * So many that block in the system, once each.
 *
 * usage: watched alloc MEGABYTES
 * So much by objects that nobody keeps: the heap begins collections by itself.
 *
 * usage: watched grow PAGES MILLISECONDS
 * One goroutine after the other, each a "grower", whose stack grows by so many
 * pages, one more each time that long, beside the main one, whose stack does not.
 *
 * usage: watched hog
 * The main goroutine is in C code until another one has run: on one processor it
 * loses that.
 */
#include <burrow.h>
#include <burrow/sync.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 4096

static long count, pages, seconds, cycles, hold;
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
	burrow_sleep(hold * 1000000);
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
		if (!ret)
			ret = collect();
	} while (!ret && burrow_now() < until);
	burrow_stats(&stats);
	if (cycles)
		printf("collected %lu pauses %lu live %lu\n", stats.gc_cycles,
		       stats.gc_pause_total_ns, stats.heap_live);
	if (stats.hibernates)
		printf("hibernated stacks %lu restored %lu\n", stats.hibernates,
		       stats.restores);
	printf("created %lu grows %lu\n", stats.created, stats.stack_grows);
	fflush(stdout);
	burrow_sleep(hold * 1000000);
	return ret;
}

static void nothing(void *arg)
{
	(void)arg;
}

static int run_stop(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < count; i++) {
		if (burrow_go(nothing, NULL))
			return EXIT_FAILURE;
	}
	raise(SIGSTOP);
	return EXIT_SUCCESS;
}

static void sleep_here(void *arg)
{
	const struct timespec ts = {
		.tv_sec = hold / 1000,
		.tv_nsec = hold % 1000 * 1000000,
	};

	(void)arg;
	nanosleep(&ts, NULL);
}

static void block(void *arg)
{
	(void)arg;
	burrow_blocking(sleep_here, NULL);
	burrow_waitgroup_done(&ended);
}

static int run_block(void *arg)
{
	long i;

	(void)arg;
	burrow_waitgroup_add(&ended, count);
	for (i = 0; i < count; i++) {
		if (burrow_go(block, NULL))
			return EXIT_FAILURE;
	}
	burrow_waitgroup_wait(&ended);
	return EXIT_SUCCESS;
}

static int ran;

static void run_once(void *arg)
{
	(void)arg;
	__atomic_store_n(&ran, 1, __ATOMIC_RELAXED);
}

static int run_hog(void *arg)
{
	(void)arg;
	if (burrow_go(run_once, NULL))
		return EXIT_FAILURE;
	while (!__atomic_load_n(&ran, __ATOMIC_RELAXED))
		;
	/* Here it learns that it has no processor. */
	burrow_yield();
	return EXIT_SUCCESS;
}

/* Steps down a page and sleeps there. */
static long descend(long left)
{
	volatile char frame[PAGE];
	long below;

	frame[0] = 1;
	burrow_sleep(hold * 1000000);
	below = left ? descend(left - 1) : 0;
	return below + frame[0];
}

static void grow(void *arg)
{
	(void)arg;
	descend(pages);
	burrow_waitgroup_done(&ended);
}

static int run_grow(void *arg)
{
	const struct burrow_go_options o = {
		.size = sizeof(o),
		.name = "grower",
	};

	(void)arg;
	for (;;) {
		burrow_waitgroup_add(&ended, 1);
		if (burrow_go_opts(&o, grow, NULL))
			return EXIT_FAILURE;
		burrow_waitgroup_wait(&ended);
	}
}

static int run_alloc(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < count << 10; i++) {
		if (!burrow_alloc_noscan(1 << 10))
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static long argument(int argc, char **argv, int i, long otherwise)
{
	return argc > i ? atol(argv[i]) : otherwise;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "hog"))
		return burrow_run(NULL, run_hog, NULL);
	if (argc < 3)
		return EXIT_FAILURE;
	if (!strcmp(argv[1], "stop")) {
		count = atol(argv[2]);
		return burrow_run(NULL, run_stop, NULL);
	}
	if (!strcmp(argv[1], "alloc")) {
		count = atol(argv[2]);
		return burrow_run(NULL, run_alloc, NULL);
	}
	if (!strcmp(argv[1], "grow")) {
		pages = atol(argv[2]);
		hold = argument(argc, argv, 3, 50);
		return burrow_run(NULL, run_grow, NULL);
	}
	if (!strcmp(argv[1], "block")) {
		count = atol(argv[2]);
		hold = argument(argc, argv, 3, 50);
		return burrow_run(NULL, run_block, NULL);
	}
	count = atol(argv[1]);
	pages = atol(argv[2]);
	seconds = argument(argc, argv, 3, 0);
	cycles = argument(argc, argv, 4, 0);
	hold = argument(argc, argv, 5, 50);
	return burrow_run(NULL, run, NULL);
}
