// SPDX-License-Identifier: GPL-2.0
/*
 * libgc (Boehm, Demers, Weiser) beside Burrow: as one would use it in C, with
 * one thread that allocates, and one that marks.
 */
#include <gc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "serve.h"

static void *volatile sink;

static long alloc(long n, size_t bytes)
{
	long i;

	for (i = 0; i < n; i++)
		sink = GC_MALLOC(bytes);
	return n;
}

static long alloc_16(long n)
{
	return alloc(n, 16);
}

static long alloc_32(long n)
{
	return alloc(n, 32);
}

static long alloc_64(long n)
{
	return alloc(n, 64);
}

static long alloc_256(long n)
{
	return alloc(n, 256);
}

struct tree {
	struct tree *left;
	struct tree *right;
};

static struct tree *tree_make(int depth)
{
	struct tree *tree = GC_MALLOC(sizeof(*tree));

	if (depth) {
		tree->left = tree_make(depth - 1);
		tree->right = tree_make(depth - 1);
	}
	return tree;
}

static long tree_count(const struct tree *tree)
{
	return tree->left ?
		       1 + tree_count(tree->left) + tree_count(tree->right) :
		       1;
}

static long trees(int most)
{
	long nodes = tree_count(tree_make(most + 1)), i, n;
	struct tree *keep = tree_make(most);
	int depth;

	for (depth = 4; depth <= most; depth += 2) {
		n = 1L << (most - depth + 4);
		for (i = 0; i < n; i++)
			nodes += tree_count(tree_make(depth));
	}
	return nodes + tree_count(keep);
}

static long trees_18(long n)
{
	return trees(n < 18 ? n : 18);
}

static long trees_20(long n)
{
	return trees(n < 20 ? n : 20);
}

struct item {
	uint64_t key[3];
	struct item *left;
	uint64_t value[3];
	struct item *right;
};

static struct item *items;

static void shuffle(struct item **all, long n)
{
	uint64_t x = 88172645463325252ULL;
	struct item *item;
	long i, k;

	for (i = n - 1; i > 0; i--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		k = x % (i + 1);
		item = all[i];
		all[i] = all[k];
		all[k] = item;
	}
}

static struct item *link_all(struct item **all, long n)
{
	struct item *item;

	if (!n)
		return NULL;
	item = all[0];
	item->left = link_all(all + 1, (n - 1) / 2);
	item->right = link_all(all + 1 + (n - 1) / 2, n - 1 - (n - 1) / 2);
	return item;
}

static long mark(long n, bool random)
{
	struct item **all;
	long i;

	if (!items) {
		all = GC_MALLOC(n * sizeof(*all));
		for (i = 0; i < n; i++)
			all[i] = GC_MALLOC(sizeof(**all));
		if (random)
			shuffle(all, n);
		items = link_all(all, n);
		GC_FREE(all);
	}
	GC_gcollect();
	return n;
}

static long mark_random(long n)
{
	return mark(n, true);
}

static long mark_ordered(long n)
{
	return mark(n, false);
}

static const struct work works[] = {
	{ "alloc-16", alloc_16 },
	{ "alloc-32", alloc_32 },
	{ "alloc-64", alloc_64 },
	{ "alloc-256", alloc_256 },
	{ "trees-18", trees_18 },
	{ "trees-20", trees_20 },
	{ "mark-random", mark_random },
	{ "mark-ordered", mark_ordered },
	{ NULL, NULL },
};

int main(void)
{
	/* One thread marks, as one allocates. */
	setenv("GC_MARKERS", "1", 1);
	GC_INIT();
	return serve(works, NULL);
}
