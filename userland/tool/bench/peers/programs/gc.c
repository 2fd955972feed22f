// SPDX-License-Identifier: GPL-2.0
/*
 * libgc (Boehm, Demers, Weiser) beside Burrow: as one would use it in C, with
 * one thread that allocates, and one that marks.
 */
#include <gc.h>
#include <stdlib.h>

#define WORK_WORDS(bytes) GC_MALLOC(bytes)
#define WORK_BYTES(bytes) GC_MALLOC_ATOMIC(bytes)
#define WORK_TYPE(tag, ...) _Static_assert(sizeof(struct tag), #tag)
#define WORK_NEW(tag) ((struct tag *)GC_MALLOC(sizeof(struct tag)))
#define WORK_COLLECT() GC_gcollect()
#define WORK_WAIT(ms) usleep((ms)*1000)

#include "../../gc_work.h"
#include "serve.h"

#define ALLOC(bytes)                      \
	static long alloc_##bytes(long n) \
	{                                 \
		gc_alloc_##bytes(n);      \
		return n;                 \
	}

ALLOC(16)
ALLOC(32)
ALLOC(64)
ALLOC(256)

static const struct work works[] = {
	{ "alloc-16", alloc_16, NULL },
	{ "alloc-32", alloc_32, NULL },
	{ "alloc-64", alloc_64, NULL },
	{ "alloc-256", alloc_256, NULL },
	{ "trees-18", gc_trees_18, NULL },
	{ "trees-20", gc_trees_20, NULL },
	{ "gcbench", gc_gcbench, NULL },
	{ "mark-random", gc_mark_random, NULL },
	{ "mark-ordered", gc_mark_ordered, NULL },
	{ "push", gc_push, NULL },
	{ "push-worst", gc_push_worst, gc_figures },
	{ "rss-fill", gc_rss_fill, gc_figures },
	{ "rss-churn", gc_rss_churn, gc_figures },
	{ "rss-drop", gc_rss_drop, gc_figures },
	{ NULL, NULL, NULL },
};

int main(void)
{
	/* One thread marks, as one allocates. */
	setenv("GC_MARKERS", "1", 1);
	GC_INIT();
	return serve(works, NULL);
}
