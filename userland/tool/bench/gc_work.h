/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the gc benchmark does, the same text for Burrow and for the C collectors
 * beside it, so that each is given the same sizes, as constants. Each includes it
 * once, with these defined before:
 *
 *	WORK_WORDS(bytes)		memory whose words may be pointers
 *	WORK_BYTES(bytes)		memory without pointers
 *	WORK_TYPE(tag, ...)	struct tag has these pointers
 *	WORK_NEW(tag)		a struct tag
 *	WORK_COLLECT()		a full collection
 *	WORK_WAIT(ms)		so long, for what is done in the background
 *	WORK_PAUSE(ns)		the longest collection so far, as long as nothing
 *				else ran: ns[0] of CPU time, ns[1] elapsed
 *
 * A work is asked for as often as somebody likes; it returns how often it was done.
 * Works that tell figures of their own leave them in gc_figures.
 */
#ifndef BURROW_BENCH_GC_WORK_H
#define BURROW_BENCH_GC_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* In thousandths: each divided by what the work returned is the figure. */
static long gc_figures[2];

static void *volatile gc_sink;

/*
 * Objects that nobody keeps. The size is a constant, as in most programs. Each thread
 * has a place of its own where the last one is.
 */
#define WORK_ALLOC(bytes)                         \
	static void gc_alloc_##bytes(long n)      \
	{                                         \
		void *volatile sink = NULL;       \
		for (; n; n--)                    \
			sink = WORK_WORDS(bytes); \
		(void)sink;                       \
	}

WORK_ALLOC(16)
WORK_ALLOC(32)
WORK_ALLOC(64)
WORK_ALLOC(256)

/* xorshift64, Marsaglia 2003 */
static uint64_t gc_random(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* binary-trees of the Computer Language Benchmarks Game */

struct gc_tree {
	struct gc_tree *left;
	struct gc_tree *right;
};

WORK_TYPE(gc_tree, left, right);

static struct gc_tree *gc_tree_make(int depth)
{
	struct gc_tree *tree = WORK_NEW(gc_tree);

	if (depth) {
		tree->left = gc_tree_make(depth - 1);
		tree->right = gc_tree_make(depth - 1);
	}
	return tree;
}

static long gc_tree_count(const struct gc_tree *tree)
{
	return tree->left ? 1 + gc_tree_count(tree->left) +
				    gc_tree_count(tree->right) :
			    1;
}

/* Returns how many nodes there were. */
static long gc_trees(int most)
{
	long nodes = gc_tree_count(gc_tree_make(most + 1)), i, n;
	struct gc_tree *keep = gc_tree_make(most);
	int depth;

	for (depth = 4; depth <= most; depth += 2) {
		n = 1L << (most - depth + 4);
		for (i = 0; i < n; i++)
			nodes += gc_tree_count(gc_tree_make(depth));
	}
	return nodes + gc_tree_count(keep);
}

static long gc_trees_18(long n)
{
	return gc_trees(n < 18 ? n : 18);
}

static long gc_trees_20(long n)
{
	return gc_trees(n < 20 ? n : 20);
}

/* GCBench, of Ellis, Kovac and Boehm: trees from the top and from the bottom. */

struct gc_node {
	struct gc_node *left;
	struct gc_node *right;
	int i;
	int j;
};

WORK_TYPE(gc_node, left, right);

#define GCBENCH_STRETCH 18
#define GCBENCH_LONG 16
#define GCBENCH_ARRAY 500000

static long gc_nodes_of(int depth)
{
	return (1L << (depth + 1)) - 1;
}

static void gc_populate(int depth, struct gc_node *node)
{
	if (depth <= 0)
		return;
	node->left = WORK_NEW(gc_node);
	node->right = WORK_NEW(gc_node);
	gc_populate(depth - 1, node->left);
	gc_populate(depth - 1, node->right);
}

static struct gc_node *gc_make(int depth)
{
	struct gc_node *left, *right, *node;

	if (depth <= 0)
		return WORK_NEW(gc_node);
	left = gc_make(depth - 1);
	right = gc_make(depth - 1);
	node = WORK_NEW(gc_node);
	node->left = left;
	node->right = right;
	return node;
}

static long gc_construct(int depth)
{
	long n = 2 * gc_nodes_of(GCBENCH_STRETCH) / gc_nodes_of(depth), i;

	for (i = 0; i < n; i++) {
		struct gc_node *node = WORK_NEW(gc_node);

		gc_populate(depth, node);
		gc_sink = node;
	}
	for (i = 0; i < n; i++)
		gc_sink = gc_make(depth);
	return 2 * n * gc_nodes_of(depth);
}

static long gc_gcbench(long n)
{
	struct gc_node *keep;
	double *array;
	long nodes, i;
	int depth;

	(void)n;
	gc_sink = gc_make(GCBENCH_STRETCH);
	keep = WORK_NEW(gc_node);
	gc_populate(GCBENCH_LONG, keep);
	array = WORK_BYTES(GCBENCH_ARRAY * sizeof(*array));
	for (i = 1; i < GCBENCH_ARRAY / 2; i++)
		array[i] = 1.0 / i;
	nodes = gc_nodes_of(GCBENCH_STRETCH) + gc_nodes_of(GCBENCH_LONG);
	for (depth = 4; depth <= GCBENCH_LONG; depth += 2)
		nodes += gc_construct(depth);
	return keep->left && array[1000] == 1.0 / 1000 ? nodes : 0;
}

/* A tree of objects of 64 bytes, collected again and again. */

struct gc_item {
	uint64_t key[3];
	struct gc_item *left;
	uint64_t value[3];
	struct gc_item *right;
};

WORK_TYPE(gc_item, left, right);

static struct gc_item *gc_items; /* a root */

/* Fisher and Yates */
static void gc_shuffle(struct gc_item **all, long n)
{
	struct gc_item *item;
	long i, k;

	for (i = n - 1; i > 0; i--) {
		k = gc_random() % (i + 1);
		item = all[i];
		all[i] = all[k];
		all[k] = item;
	}
}

/* In the order in which a walk from the left comes to them. */
static struct gc_item *gc_link(struct gc_item **all, long n)
{
	struct gc_item *item;

	if (!n)
		return NULL;
	item = all[0];
	item->left = gc_link(all + 1, (n - 1) / 2);
	item->right = gc_link(all + 1 + (n - 1) / 2, n - 1 - (n - 1) / 2);
	return item;
}

static void gc_items_make(long n, bool random)
{
	struct gc_item **all = WORK_WORDS(n * sizeof(*all));
	long i;

	for (i = 0; i < n; i++)
		all[i] = WORK_NEW(gc_item);
	if (random)
		gc_shuffle(all, n);
	gc_items = gc_link(all, n);
	memset(all, 0, n * sizeof(*all));
}

/* The first call makes them; each collects. */
static long gc_mark(long n, bool random)
{
	if (!gc_items)
		gc_items_make(n, random);
	WORK_COLLECT();
	return n;
}

static long gc_mark_random(long n)
{
	return gc_mark(n, true);
}

static long gc_mark_ordered(long n)
{
	return gc_mark(n, false);
}

/*
 * As many live, shuffled, while three times as many come and go, and here and
 * there one of the old ones is written to.
 */

static long gc_items_of(long mib)
{
	return (mib << 20) / sizeof(struct gc_item);
}

/* Down a path of its own, to one in the middle of the tree. */
static void gc_items_touch(void)
{
	uint64_t random = gc_random();
	struct gc_item *item = gc_items, *left;
	int i;

	for (i = 0; i < 12; i++)
		item = random >> i & 1 ? item->left : item->right;
	left = item->left;
	item->left = item->right;
	item->right = left;
}

static long gc_pause(long mib)
{
	long n = gc_items_of(mib), i;

	gc_items_make(n, true);
	for (i = 0; i < 3 * n; i++) {
		gc_sink = WORK_NEW(gc_item);
		if (i % 64 == 0)
			gc_items_touch();
	}
	WORK_PAUSE(gc_figures);
	return 1;
}

/* The last 200,000 messages of 1 KiB are kept, or as many as are asked for. */

#define GC_WINDOW 200000
#define GC_MESSAGE 1024

static void **gc_window;
static long gc_window_size;

static int64_t gc_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void gc_push_one(long i)
{
	char *message = WORK_BYTES(GC_MESSAGE);

	memset(message, i, GC_MESSAGE);
	gc_window[i % gc_window_size] = message;
}

static void gc_push_open(long size)
{
	long i;

	if (gc_window)
		return;
	gc_window_size = size;
	gc_window = WORK_WORDS(size * sizeof(*gc_window));
	for (i = 0; i < size; i++)
		gc_push_one(i);
}

static long gc_push(long n)
{
	long i;

	gc_push_open(GC_WINDOW);
	for (i = 0; i < n; i++)
		gc_push_one(i);
	return n;
}

/* The worst of three times as many: CPU time of the thread, and elapsed. */
static long gc_push_worst(long mib)
{
	long size = (mib << 20) / GC_MESSAGE, n = 3 * size, i;
	int64_t cpu, wall, now;

	gc_push_open(size);
	gc_figures[0] = 0;
	gc_figures[1] = 0;
	wall = gc_clock(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++) {
		cpu = gc_clock(CLOCK_THREAD_CPUTIME_ID);
		gc_push_one(i);
		cpu = gc_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
		if (cpu > gc_figures[0])
			gc_figures[0] = cpu;
		now = gc_clock(CLOCK_MONOTONIC);
		if (now - wall > gc_figures[1])
			gc_figures[1] = now - wall;
		wall = now;
	}
	return 1;
}

/*
 * Memory: objects of 16 to 4,096 bytes, small ones more often, in a table; each
 * step puts another one in a random place; then three of four are dropped.
 */

#define GC_SLOTS 200000
#define GC_STEPS 2000000

static long gc_resident(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

struct gc_table {
	void *slots[GC_SLOTS];
	uint32_t sizes[GC_SLOTS];
	long live;
};

static struct gc_table *gc_table;

static void gc_put(long i)
{
	uint64_t random = gc_random();
	uint32_t size = 16 << random % 8;

	size += (random >> 32) % size;
	gc_table->live += (long)size - gc_table->sizes[i];
	gc_table->sizes[i] = size;
	gc_table->slots[i] = WORK_WORDS(size);
	memset(gc_table->slots[i], 1, size);
}

static void gc_take(long i)
{
	gc_table->live -= gc_table->sizes[i];
	gc_table->sizes[i] = 0;
	gc_table->slots[i] = NULL;
}

/* Resident bytes for each that lives, in thousandths. */
static long gc_memory(long before)
{
	long bytes = gc_resident() - before;

	gc_figures[0] = bytes / ((gc_table->live + sizeof(*gc_table)) / 1000);
	gc_figures[1] = bytes >> 10;
	return 1000;
}

static long gc_rss(bool churn, bool drop)
{
	long before = gc_resident(), i;

	gc_table = WORK_WORDS(sizeof(*gc_table));
	for (i = 0; i < GC_SLOTS; i++)
		gc_put(i);
	for (i = 0; churn && i < GC_STEPS; i++)
		gc_put(gc_random() % GC_SLOTS);
	for (i = 0; drop && i < GC_SLOTS; i++) {
		if (gc_random() % 4)
			gc_take(i);
	}
	for (i = 0; (churn || drop) && i < 3; i++) {
		WORK_COLLECT();
		WORK_WAIT(1000);
	}
	return gc_memory(before);
}

static long gc_rss_fill(long n)
{
	(void)n;
	return gc_rss(false, false);
}

static long gc_rss_churn(long n)
{
	(void)n;
	return gc_rss(true, false);
}

static long gc_rss_drop(long n)
{
	(void)n;
	return gc_rss(true, true);
}

#endif /* BURROW_BENCH_GC_WORK_H */
