// SPDX-License-Identifier: GPL-2.0
/*
 * Collects samples into rows and writes them as JSON. One thread only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "results.h"

#define SCHEMA 1

static struct bench_row *rows;
static size_t nrows;

/* What the rows of a benchmark are compared with. */
static struct divisor {
	const char *bench;
	const char *backend;
} * divisors;

static size_t ndivisors;

static void *grown(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n, size);

	if (!p) {
		fputs("burrow: out of memory for results\n", stderr);
		exit(EXIT_FAILURE);
	}
	return p;
}

static int same(const struct bench_row *row, const char *bench,
		const char *backend, const char *param, long value,
		const char *unit)
{
	return !strcmp(row->bench, bench) && !strcmp(row->backend, backend) &&
	       !strcmp(row->param, param) && row->value == value &&
	       !strcmp(row->unit, unit);
}

/* Has the table divide the rows of @bench by those of @backend. */
void results_divide_by(const char *bench, const char *backend)
{
	divisors = grown(divisors, ndivisors + 1, sizeof(*divisors));
	divisors[ndivisors++] = (struct divisor){ bench, backend };
}

/* The backend to divide by, or NULL. */
const char *results_divisor(const char *bench)
{
	size_t i;

	for (i = 0; i < ndivisors; i++)
		if (!strcmp(divisors[i].bench, bench))
			return divisors[i].backend;
	return NULL;
}

size_t results_count(void)
{
	return nrows;
}

const struct bench_row *results_row(size_t i)
{
	return &rows[i];
}

const struct bench_row *results_find(const char *bench, const char *backend,
				     const char *param, long value,
				     const char *unit)
{
	size_t i;

	for (i = 0; i < nrows; i++)
		if (same(&rows[i], bench, backend, param, value, unit))
			return &rows[i];
	return NULL;
}

/**
 * results_add() - add a sample to its row
 * @bench:	benchmark
 * @backend:	what was measured
 * @param:	name of the parameter
 * @value:	its value
 * @unit:	unit of the sample
 * @sample:	what was measured
 *
 * The strings must live until results_free().
 */
void results_add(const char *bench, const char *backend, const char *param,
		 long value, const char *unit, double sample)
{
	struct bench_row *row;

	row = (struct bench_row *)results_find(bench, backend, param, value,
					       unit);
	if (!row) {
		rows = grown(rows, nrows + 1, sizeof(*rows));
		row = &rows[nrows++];
		*row = (struct bench_row){ bench, backend, param, value,
					   unit,  0,	   NULL };
	}
	row->samples = grown(row->samples, row->n + 1, sizeof(double));
	row->samples[row->n++] = sample;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct bench_summary results_summary(const struct bench_row *row)
{
	double *v = grown(NULL, row->n, sizeof(double));
	struct bench_summary s;

	memcpy(v, row->samples, row->n * sizeof(double));
	qsort(v, row->n, sizeof(double), ascending);
	s.min = v[0];
	s.max = v[row->n - 1];
	s.median = (v[(row->n - 1) / 2] + v[row->n / 2]) / 2;
	free(v);
	return s;
}

void results_free(void)
{
	while (nrows)
		free(rows[--nrows].samples);
	free(rows);
	rows = NULL;
	free(divisors);
	divisors = NULL;
	ndivisors = 0;
}

static struct json_object *number(double v)
{
	struct json_object *o = json_object_new_double(v);

	/* Hundredths of a nanosecond, or of a byte, are below any noise. */
	json_object_set_serializer(o, json_object_double_to_json_string,
				   (void *)"%.2f", NULL);
	return o;
}

static struct json_object *row_json(const struct bench_row *row)
{
	struct json_object *o = json_object_new_object();
	struct json_object *param = json_object_new_object();
	struct bench_summary s = results_summary(row);

	json_add_text(o, "bench", row->bench);
	json_add_text(o, "backend", row->backend);
	json_add_number(param, row->param, row->value);
	json_object_object_add(o, "param", param);
	json_add_text(o, "unit", row->unit);
	json_add_number(o, "n", row->n);
	json_object_object_add(o, "min", number(s.min));
	json_object_object_add(o, "median", number(s.median));
	json_object_object_add(o, "max", number(s.max));
	return o;
}

struct json_object *results_json(void)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < nrows; i++)
		json_object_array_add(list, row_json(&rows[i]));
	json_add_number(o, "schema", SCHEMA);
	json_object_object_add(o, "host", host_json());
	json_object_object_add(o, "results", list);
	return o;
}
