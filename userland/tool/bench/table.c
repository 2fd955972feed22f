// SPDX-License-Identifier: GPL-2.0
/*
 * Results as a table for the terminal: a block for each benchmark and
 * parameter, a line for each backend, and for each unit the median and how it
 * compares with the stock kernel's plain way.
 */
#include <stdio.h>
#include <string.h>

#include "results.h"

#define MAX_UNITS 16

/*
 * What the ratio columns divide by, where the benchmark does not say: the first
 * of these that was measured.
 */
static const char *const plain_ways[] = { "mmap", "madvise", "uffd" };

static int same_block(const struct bench_row *a, const struct bench_row *b)
{
	return !strcmp(a->bench, b->bench) && !strcmp(a->param, b->param) &&
	       a->value == b->value;
}

static int first_of_block(size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (same_block(results_row(k), results_row(i)))
			return 0;
	return 1;
}

static const struct bench_row *cell(const struct bench_row *block,
				    const char *backend, const char *unit)
{
	return results_find(block->bench, backend, block->param, block->value,
			    unit);
}

/* Units of the block in order of first appearance. */
static size_t block_units(size_t first, const char **units, size_t max)
{
	const struct bench_row *block = results_row(first);
	size_t n = 0, i, k;

	for (i = first; i < results_count() && n < max; i++) {
		if (!same_block(results_row(i), block))
			continue;
		for (k = 0; k < n; k++)
			if (!strcmp(units[k], results_row(i)->unit))
				break;
		if (k == n)
			units[n++] = results_row(i)->unit;
	}
	return n;
}

static const char *block_plain(const struct bench_row *block, const char *unit)
{
	const char *divisor = results_divisor(block->bench);
	size_t i;

	/* A count has no ratio that would mean something. */
	if (strncmp(unit, "ns/", 3) != 0 && strncmp(unit, "bytes/", 6) != 0)
		return NULL;
	if (divisor)
		return cell(block, divisor, unit) ? divisor : NULL;
	for (i = 0; i < sizeof(plain_ways) / sizeof(plain_ways[0]); i++)
		if (cell(block, plain_ways[i], unit))
			return plain_ways[i];
	return NULL;
}

/* Room for the unit's name and for any figure. */
static int width(const char *unit)
{
	int n = strlen(unit);

	return n < 12 ? 12 : n;
}

static const char *number(double v, char *text, size_t size)
{
	snprintf(text, size, "%.*f", v < 10 ? 2 : v < 100 ? 1 : 0, v);
	return text;
}

static void write_cell(FILE *to, const struct bench_row *block,
		       const char *backend, const char *unit, const char *plain)
{
	const struct bench_row *row = cell(block, backend, unit);
	const struct bench_row *base;
	char text[32];

	if (!row) {
		fprintf(to, "  %*s", width(unit), "");
		if (plain)
			fprintf(to, " %9s", "");
		return;
	}
	fprintf(to, "  %*s", width(unit),
		number(results_summary(row).median, text, sizeof(text)));
	if (!plain)
		return;
	base = cell(block, plain, unit);
	if (base && results_summary(base).median > 0)
		fprintf(to, " %9.3f",
			results_summary(row).median /
				results_summary(base).median);
	else
		fprintf(to, " %9s", "");
}

static void write_head(FILE *to, const struct bench_row *block,
		       const char *const *units, size_t n)
{
	char title[64], ratio[32];
	size_t i;

	snprintf(title, sizeof(title), "%s, %s %ld", block->bench, block->param,
		 block->value);
	fprintf(to, "\n%-24s", title);
	for (i = 0; i < n; i++) {
		const char *plain = block_plain(block, units[i]);

		fprintf(to, "  %*s", width(units[i]), units[i]);
		if (plain) {
			snprintf(ratio, sizeof(ratio), "/%s", plain);
			fprintf(to, " %9s", ratio);
		}
	}
	fputc('\n', to);
}

static void write_block(FILE *to, size_t first)
{
	const struct bench_row *block = results_row(first), *row;
	const char *units[MAX_UNITS], *last = "";
	size_t n = block_units(first, units, MAX_UNITS), i, k;

	write_head(to, block, units, n);
	for (i = first; i < results_count(); i++) {
		row = results_row(i);
		/* Rows of one backend stand together, but for its first. */
		if (!same_block(row, block) || !strcmp(last, row->backend))
			continue;
		for (k = first; k < i; k++)
			if (same_block(results_row(k), block) &&
			    !strcmp(results_row(k)->backend, row->backend))
				break;
		if (k < i)
			continue;
		last = row->backend;
		fprintf(to, "  %-22s", row->backend);
		for (k = 0; k < n; k++)
			write_cell(to, block, row->backend, units[k],
				   block_plain(block, units[k]));
		fputc('\n', to);
	}
}

void results_table(FILE *to)
{
	size_t i;

	for (i = 0; i < results_count(); i++)
		if (first_of_block(i))
			write_block(to, i);
	fputs("\nMedians. Columns that begin with / divide by that row; below 1 is less.\n",
	      to);
}
