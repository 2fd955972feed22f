// SPDX-License-Identifier: GPL-2.0
/*
 * The gc benchmark: what it costs to allocate, and to find what is alive.
 *
 * alloc-N makes objects of N bytes that nobody keeps, on as many goroutines as
 * there are processors. trees-N is the binary-trees benchmark: a long-lived tree
 * of that depth and very many short-lived ones of depths 4 to N. mark-random and
 * mark-ordered make a binary tree of objects of 64 bytes, in an order of memory
 * that is shuffled or that in which it is walked, once, and then collect. The peer
 * of name libgc is the collector of Boehm, Demers and Weiser.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <burrow.h>

#include "contest.h"

/* Objects are told apart by size; each may hold pointers. */
static struct burrow_waitgroup group;
static void *volatile sink;
static long each;

static long on_all(long n, void (*fn)(void *arg))
{
	int procs = burrow_set_procs(0), i, err;

	each = n / procs;
	burrow_waitgroup_add(&group, procs);
	for (i = 0; i < procs; i++) {
		err = burrow_go(fn, &group);
		if (err)
			return err;
	}
	burrow_waitgroup_wait(&group);
	return each * procs;
}

/* The size is a constant, as it is in most programs. */
#define ALLOC(bytes)                                  \
	static void alloc_loop_##bytes(void *arg)     \
	{                                             \
		long i;                               \
		for (i = 0; i < each; i++)            \
			sink = burrow_alloc(bytes);   \
		burrow_waitgroup_done(arg);           \
	}                                             \
	static long alloc_##bytes(long n)             \
	{                                             \
		return on_all(n, alloc_loop_##bytes); \
	}

ALLOC(16)
ALLOC(32)
ALLOC(64)
ALLOC(256)

struct tree {
	struct tree *left;
	struct tree *right;
};

BURROW_TYPE(tree_type, struct tree, left, right);

static struct tree *tree_make(int depth)
{
	struct tree *tree = burrow_new(&tree_type);

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

/* Returns how many nodes there were. */
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

BURROW_TYPE(item_type, struct item, left, right);

/* What is collected; a static that is a root. */
static struct item *items;

/* xorshift64, Marsaglia 2003; Fisher and Yates' shuffle. */
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

/* In the order in which a walk from the left comes to them. */
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

/* The first call makes them; each collects. */
static long mark(long n, bool random)
{
	struct item **all;
	long i;

	if (!items) {
		all = burrow_alloc(n * sizeof(*all));
		for (i = 0; i < n; i++)
			all[i] = burrow_new(&item_type);
		if (random)
			shuffle(all, n);
		items = link_all(all, n);
	}
	burrow_gc();
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

static const struct contest contests[] = {
	{
		.work = "alloc-16",
		.unit = "ns/16-bytes",
		.wall = "wall-ns/16-bytes",
		.count = 50000000,
		.run = alloc_16,
	},
	{
		.work = "alloc-32",
		.unit = "ns/32-bytes",
		.wall = "wall-ns/32-bytes",
		.count = 30000000,
		.run = alloc_32,
	},
	{
		.work = "alloc-64",
		.unit = "ns/64-bytes",
		.wall = "wall-ns/64-bytes",
		.count = 20000000,
		.run = alloc_64,
	},
	{
		.work = "alloc-256",
		.unit = "ns/256-bytes",
		.wall = "wall-ns/256-bytes",
		.count = 8000000,
		.run = alloc_256,
	},
	{
		.work = "trees-18",
		.unit = "ns/node-of-18",
		.wall = "wall-ns/node-of-18",
		.count = 18,
		.run = trees_18,
	},
	{
		.work = "trees-20",
		.unit = "ns/node-of-20",
		.wall = "wall-ns/node-of-20",
		.count = 20,
		.cold = true,
		.alone = true,
		.run = trees_20,
	},
	{
		.work = "mark-random",
		.unit = "ns/random-mark",
		.wall = "wall-ns/random-mark",
		.count = 4000000,
		.alone = true,
		.run = mark_random,
	},
	{
		.work = "mark-ordered",
		.unit = "ns/ordered-mark",
		.wall = "wall-ns/ordered-mark",
		.count = 4000000,
		.alone = true,
		.run = mark_ordered,
	},
};

static int run(const struct bench_options *options)
{
	return contest_run(options, "gc", contests,
			   sizeof(contests) / sizeof(contests[0]));
}

const struct bench bench_gc = {
	.name = "gc",
	.summary =
		"objects made and thrown away, trees of them, and collections",
	.backend = contest_backend,
	.run = run,
};
