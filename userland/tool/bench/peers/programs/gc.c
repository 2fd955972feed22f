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
#define WORK_PAUSE(ns) longest_pause(ns)

#include <stdint.h>
#include <string.h>
#include <time.h>

/* It collects while the program stands, from this event to that. */
static int64_t began[2], longest[2];

static void read_clocks(int64_t ns[2])
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	ns[0] = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ns[1] = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void on_event(GC_EventType event)
{
	int64_t now[2];
	int i;

	read_clocks(now);
	if (event == GC_EVENT_MARK_START)
		memcpy(began, now, sizeof(now));
	if (event != GC_EVENT_MARK_END)
		return;
	for (i = 0; i < 2; i++) {
		if (now[i] - began[i] > longest[i])
			longest[i] = now[i] - began[i];
	}
}

static void longest_pause(long ns[2])
{
	ns[0] = longest[0];
	ns[1] = longest[1];
}

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
	{ "worst-256", gc_push_worst, gc_figures },
	{ "worst-1024", gc_push_worst, gc_figures },
	{ "pause-256", gc_pause, gc_figures },
	{ "pause-1024", gc_pause, gc_figures },
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
	GC_set_on_collection_event(on_event);
	return serve(works, NULL);
}
