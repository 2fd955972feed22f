// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Merge sort, in parallel, with its scratch space on the stacks of goroutines:
 * each half above a certain size is sorted by a goroutine of its own, and merged
 * through an array that lies on the stack of the one that merges, however large
 * that is: what a stack may grow to costs nothing before it is used.
 *
 *	sort [N]	so many random numbers, 4000000 without an argument
 */
#include <burrow.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALONE 4096 /* not worth a goroutine */

struct part {
	uint32_t *v;
	size_t n;
	struct burrow_waitgroup *done;
};

static void sort(uint32_t *v, size_t n);

/* For the scratch space of a merge, and the calls that lead there. */
static size_t stack_for(size_t n)
{
	return n / 2 * sizeof(uint32_t) + (64 << 10);
}

static void sort_part(void *arg)
{
	struct part *part = arg;

	sort(part->v, part->n);
	burrow_waitgroup_done(part->done);
}

static void merge(uint32_t *v, size_t half, size_t n)
{
	uint32_t left[half + 1]; /* on a stack that grows */
	size_t i = 0, j = half, k = 0;

	memcpy(left, v, half * sizeof(*v));
	while (i < half && j < n)
		v[k++] = left[i] <= v[j] ? left[i++] : v[j++];
	memcpy(v + k, left + i, (half - i) * sizeof(*v));
}

static void insertion_sort(uint32_t *v, size_t n)
{
	size_t i, j;
	uint32_t x;

	for (i = 1; i < n; i++) {
		x = v[i];
		for (j = i; j && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

/* The left half elsewhere, the right one here. */
static void sort_both(uint32_t *v, size_t half, size_t n)
{
	struct burrow_go_options opts = {
		.size = sizeof(opts),
		.name = "sort",
		.stack_max = stack_for(half),
	};
	struct burrow_waitgroup done = { 0 };
	struct part left = { .v = v, .n = half, .done = &done };

	burrow_waitgroup_add(&done, 1);
	if (n < ALONE || burrow_go_opts(&opts, sort_part, &left))
		sort_part(&left);
	sort(v + half, n - half);
	burrow_waitgroup_wait(&done);
}

static void sort(uint32_t *v, size_t n)
{
	if (n <= 16) {
		insertion_sort(v, n);
		return;
	}
	sort_both(v, n / 2, n);
	merge(v, n / 2, n);
}

static int start(void *arg)
{
	size_t n = *(size_t *)arg, i;
	uint32_t *v = malloc(n * sizeof(*v)), x = 1;
	struct burrow_waitgroup done = { 0 };
	struct part all = { .v = v, .n = n, .done = &done };
	struct burrow_go_options opts = {
		.size = sizeof(opts),
		.stack_max = stack_for(n),
	};
	int64_t before;

	if (!v && n)
		return 1;
	for (i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223; /* Knuth 1997 */
		v[i] = x;
	}
	before = burrow_now();
	burrow_waitgroup_add(&done, 1);
	if (burrow_go_opts(&opts, sort_part, &all))
		return 1;
	burrow_waitgroup_wait(&done);
	for (i = 1; i < n; i++) {
		if (v[i - 1] > v[i])
			return 1;
	}
	printf("%zu numbers in order after %ld ms\n", n,
	       (long)(burrow_now() - before) / 1000000);
	free(v);
	return 0;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 4000000;

	return burrow_run(NULL, start, &n);
}
