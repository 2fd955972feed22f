/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmarks of the scheduler have in common. Each asks Burrow and the
 * peers to do the same things; each of them is a process of its own (peer.h)
 * that runs for one sample. They take turns, round after round, so that
 * whatever the machine does meanwhile falls on all of them.
 *
 * A request is a line: what, on how many processors, how often. The answer is
 * how often it was done (0: not at all, there is no row then), and the
 * nanoseconds of CPU and of wall time that it took in that process.
 */
#ifndef BURROW_BENCH_CONTEST_H
#define BURROW_BENCH_CONTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "bench.h"
#include "peer.h"

/**
 * struct contest - one thing that is measured
 * @work:	its name in requests
 * @unit:	of the CPU time for each
 * @wall:	of the wall time for each
 * @peak:	of the most memory that the process ever had, or NULL
 * @count:	how often in a sample, unless --count says
 * @cold:	the first time in a process counts; else the second
 * @alone:	on one processor only
 * @figures:	two that @run leaves there stand for CPU and wall time, or NULL
 * @run:	does it in Burrow, as the main goroutine; how often it was
 *		done, or a negative errno
 */
struct contest {
	const char *work;
	const char *unit;
	const char *wall;
	const char *peak;
	long count;
	bool cold;
	bool alone;
	const long *figures;
	long (*run)(long n);
};

/* The backends: Burrow on each source of stacks, and the peers. */
const char *contest_backend(size_t i);

/* Measures @n contests; as run() of struct bench. */
int contest_run(const struct bench_options *options, const char *bench,
		const struct contest *contests, size_t n);

/* How many processors to try: the i-th, 0 past the last. */
int contest_procs(const struct bench_options *options, size_t i);

/*
 * Starts backend @i on @procs processors; @serve is Burrow's part, called as
 * the main goroutine. 0, or -1 with the reason in @why.
 */
int contest_start(struct peer *peer, size_t i, int procs,
		  int (*serve)(FILE *from, FILE *to, void *arg), void *arg,
		  char *why, size_t size);

/* The bare switch of the assembly, for comparison (switch.c). */
extern const struct contest contest_bare_switch;

#endif /* BURROW_BENCH_CONTEST_H */
