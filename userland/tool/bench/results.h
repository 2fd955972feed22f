/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The samples of a run of `burrow bench`, and the three ways to look at them:
 * JSON for programs, a table for the terminal, a plot for a document.
 *
 * A row is one benchmark, backend, parameter and unit; samples with the same
 * four go to the same row, so that no two rows can ever be alike.
 */
#ifndef BURROW_BENCH_RESULTS_H
#define BURROW_BENCH_RESULTS_H

#include <stddef.h>
#include <stdio.h>

struct json_object;

/**
 * struct bench_row - the samples of one benchmark, backend, parameter and unit
 * @bench:	name of the benchmark, as all strings here not owned
 * @backend:	what was measured
 * @param:	name of the parameter
 * @value:	value of the parameter
 * @unit:	of the samples
 * @n:		number of samples
 * @samples:	in the order taken
 */
struct bench_row {
	const char *bench;
	const char *backend;
	const char *param;
	long value;
	const char *unit;
	size_t n;
	double *samples;
};

/* Least, middle and greatest of a row. */
struct bench_summary {
	double min;
	double median;
	double max;
};

void results_add(const char *bench, const char *backend, const char *param,
		 long value, const char *unit, double sample);
void results_divide_by(const char *bench, const char *backend);
const char *results_divisor(const char *bench);
size_t results_count(void);
const struct bench_row *results_row(size_t i);
const struct bench_row *results_find(const char *bench, const char *backend,
				     const char *param, long value,
				     const char *unit);
struct bench_summary results_summary(const struct bench_row *row);
void results_free(void);

struct json_object *results_json(void);
void results_table(FILE *to);
int results_plot(const char *path);
int results_plotted(void);
struct json_object *host_json(void);

#endif /* BURROW_BENCH_RESULTS_H */
