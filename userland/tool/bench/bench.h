/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a benchmark is to `burrow bench`: a name, the backends that it can
 * measure, and a function that does it. The command parses the options, each
 * benchmark adds its samples to the results (results.h).
 */
#ifndef BURROW_BENCH_H
#define BURROW_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_DEPTHS 32

/**
 * struct bench_options - what was asked for
 * @backends:	comma list, NULL for all that there are
 * @depths:	bytes of stack, none for the benchmark's own choice
 * @ndepths:	how many
 * @count:	goroutines, or how often, 0 for the benchmark's own choice
 * @procs:	processors of the runtime, 0 for the default
 * @runs:	samples of each row, 0 for the default
 * @waves:	in which the parked are woken, 0 for one
 */
struct bench_options {
	const char *backends;
	size_t depths[BENCH_DEPTHS];
	size_t ndepths;
	long count;
	int procs;
	int runs;
	long waves;
};

/**
 * struct bench - a benchmark
 * @name:	on the command line and in the results
 * @summary:	a line for --list
 * @backend:	the name of what it can measure, by number; NULL past the last
 * @run:	measures; 0, or -1 if it went wrong (and was told about) or
 *		was interrupted
 */
struct bench {
	const char *name;
	const char *summary;
	const char *(*backend)(size_t i);
	int (*run)(const struct bench_options *options);
};

extern const struct bench bench_growth;
extern const struct bench bench_parked;
extern const struct bench bench_trim;
extern const struct bench bench_hibernate;
extern const struct bench bench_dirty;
extern const struct bench bench_spawn;
extern const struct bench bench_switch;
extern const struct bench bench_chan;
extern const struct bench bench_select;
extern const struct bench bench_skynet;
extern const struct bench bench_ring;
extern const struct bench bench_mutex;
extern const struct bench bench_timers;
extern const struct bench bench_gc;
extern const struct bench bench_io;

/* Whether the options ask for this backend. */
bool bench_wants(const struct bench_options *options, const char *backend);

/* Says why a backend has no row. */
void bench_left_out(const char *bench, const char *backend, const char *why);

/* A line on a terminal that shows how far we are; "" takes it away. */
void bench_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* BURROW_BENCH_H */
