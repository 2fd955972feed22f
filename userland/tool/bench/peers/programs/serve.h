/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs beside Burrow have in common: requests come over standard
 * input, a line each: what, on how many processors, how often. The answer is
 * three numbers: how often it was done (0: it is not done here), and the
 * nanoseconds of CPU and of wall time that it took. To `echo` the answer is the
 * port of an echo server that runs from then on.
 *
 * For C and C++; each program includes it once.
 */
#ifndef BURROW_BENCH_SERVE_H
#define BURROW_BENCH_SERVE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * Does it @n times, or as often as it can; returns how often that was. Two figures
 * of its own stand for the CPU and the wall time, if there are any.
 */
struct work {
	const char *name;
	long (*run)(long n);
	const long *figures;
};

static inline int64_t serve_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static inline void serve_measure(const struct work *work, long n)
{
	int64_t wall = serve_clock(CLOCK_MONOTONIC);
	int64_t cpu = serve_clock(CLOCK_PROCESS_CPUTIME_ID);
	long done = work->run(n);

	cpu = serve_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = serve_clock(CLOCK_MONOTONIC) - wall;
	if (work->figures) {
		cpu = work->figures[0];
		wall = work->figures[1];
	}
	printf("%ld %" PRId64 " %" PRId64 "\n", done, cpu, wall);
}

/* Serves requests until there are no more; @works ends with a NULL name. */
static inline int serve(const struct work *works, int (*echo)(void))
{
	char line[128], what[64];
	const struct work *work;
	int procs;
	long n;

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%63s %d %ld", what, &procs, &n) != 3)
			return 1;
		for (work = works; work->name; work++)
			if (!strcmp(work->name, what))
				break;
		/* One processor is all that these know. */
		if (echo && !strcmp(what, "echo"))
			printf("%d\n", echo());
		else if (work->name && procs == 1)
			serve_measure(work, n);
		else
			puts("0 0 0");
		fflush(stdout);
	}
	return 0;
}

#endif /* BURROW_BENCH_SERVE_H */
