// SPDX-License-Identifier: GPL-2.0
/*
 * The gc benchmark: what it costs to allocate, and to find what is alive.
 *
 * The work itself is in gc_work.h, for others as well.
 *
 * alloc-N makes objects of N bytes that nobody keeps, on as many goroutines as
 * there are processors. trees-N is the binary-trees benchmark: a long-lived tree
 * of that depth and very many short-lived ones of depths 4 to N. gcbench is Ellis',
 * Kovac's and Boehm's. mark-random and mark-ordered make a binary tree of objects of
 * 64 bytes, in an order of memory that is shuffled or that in which it is walked,
 * once, and then collect. push keeps the last 200,000 messages of 1 KiB; worst-N keeps
 * N MiB of them, and tells how long the longest took. pause-N tells how long the
 * program stood at most in a collection, beside N MiB of the shuffled tree. stop-N does
 * that beside N goroutines that are parked in a function with a frame of 1 KiB, stop-small
 * beside 10,000 whose function has next to none, stop-crowd beside as many that are parked
 * 20 KiB deep in recursion, and stop-deep beside 1,000 that are 100 KiB deep. rss-fill,
 * rss-churn and rss-drop tell resident memory for each byte that lives. The peer of name
 * libgc is the collector of Boehm, Demers and Weiser.
 */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include <burrow.h>

#define WORK_WORDS(bytes) burrow_alloc(bytes)
#define WORK_BYTES(bytes) burrow_alloc_noscan(bytes)
#define WORK_TYPE(tag, ...) BURROW_TYPE(tag##_type, struct tag, __VA_ARGS__)
#define WORK_NEW(tag) ((struct tag *)burrow_new(&tag##_type))
#define WORK_COLLECT() burrow_gc()
#define WORK_WAIT(ms) burrow_sleep((ms)*1000000LL)
#define WORK_PAUSE(ns) longest_pause(ns)

#include "contest.h"

static void longest_pause(long ns[2])
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	burrow_stats(&stats);
	ns[0] = stats.gc_pause_cpu_max_ns;
	ns[1] = stats.gc_pause_max_ns;
}

#include "gc_work.h"

static struct burrow_waitgroup group;
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

#define ALLOC(bytes)                                  \
	static void alloc_loop_##bytes(void *arg)     \
	{                                             \
		gc_alloc_##bytes(each);               \
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

/* ---- goroutines that wait --------------------------------------------------------- */

#define COLLECTIONS 5
#define BYTES_EACH 6000 /* of a parked goroutine, the kernel's among them */

static struct burrow_waitgroup here, leave;
static long frames;

static __attribute__((noipa)) long descend(long left)
{
	volatile char frame[1024];
	long below = 0;

	frame[0] = 1;
	if (left) {
		below = descend(left - 1);
	} else {
		burrow_waitgroup_done(&here);
		burrow_waitgroup_wait(&leave);
	}
	return below + frame[0];
}

static void stand(void *arg)
{
	(void)arg;
	descend(frames);
}

static void stand_small(void *arg)
{
	(void)arg;
	burrow_waitgroup_done(&here);
	burrow_waitgroup_wait(&leave);
}

static long stop_beside(long n, void (*fn)(void *arg))
{
	long i, made, err = 0;

	burrow_waitgroup_add(&leave, 1);
	for (made = 0; made < n && !err; made += !err) {
		burrow_waitgroup_add(&here, 1);
		err = burrow_go(fn, NULL);
	}
	if (err)
		burrow_waitgroup_done(&here);
	burrow_waitgroup_wait(&here);
	for (i = 0; i < COLLECTIONS && !err; i++)
		burrow_gc();
	longest_pause(gc_figures);
	burrow_waitgroup_done(&leave);
	while (burrow_num_goroutines() > 1)
		burrow_yield();
	return err ? err : 1;
}

/* Where there is no memory for them there is no figure. */
static long stop_parked(long n)
{
	if (sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) / BYTES_EACH < n)
		return 0;
	frames = 0;
	return stop_beside(n, stand);
}

static long stop_small(long n)
{
	return stop_beside(n, stand_small);
}

static long stop_crowd(long n)
{
	frames = 20;
	return stop_beside(n, stand);
}

static long stop_deep(long n)
{
	frames = 100;
	return stop_beside(n, stand);
}

static const struct contest contests[] = {
	{
		.work = "alloc-16",
		.unit = "ns/16-bytes",
		.wall = "wall-ns/16-bytes",
		.peak = "peak-KiB/16-bytes",
		.count = 50000000,
		.run = alloc_16,
	},
	{
		.work = "alloc-32",
		.unit = "ns/32-bytes",
		.wall = "wall-ns/32-bytes",
		.peak = "peak-KiB/32-bytes",
		.count = 30000000,
		.run = alloc_32,
	},
	{
		.work = "alloc-64",
		.unit = "ns/64-bytes",
		.wall = "wall-ns/64-bytes",
		.peak = "peak-KiB/64-bytes",
		.count = 20000000,
		.run = alloc_64,
	},
	{
		.work = "alloc-256",
		.unit = "ns/256-bytes",
		.wall = "wall-ns/256-bytes",
		.peak = "peak-KiB/256-bytes",
		.count = 8000000,
		.run = alloc_256,
	},
	{
		.work = "trees-18",
		.unit = "ns/node-of-18",
		.wall = "wall-ns/node-of-18",
		.peak = "peak-KiB/trees-18",
		.count = 18,
		.run = gc_trees_18,
	},
	{
		.work = "trees-20",
		.unit = "ns/node-of-20",
		.wall = "wall-ns/node-of-20",
		.peak = "peak-KiB/trees-20",
		.count = 20,
		.cold = true,
		.alone = true,
		.run = gc_trees_20,
	},
	{
		.work = "mark-random",
		.unit = "ns/random-mark",
		.wall = "wall-ns/random-mark",
		.peak = "peak-KiB/random-mark",
		.count = 4000000,
		.alone = true,
		.run = gc_mark_random,
	},
	{
		.work = "mark-ordered",
		.unit = "ns/ordered-mark",
		.wall = "wall-ns/ordered-mark",
		.peak = "peak-KiB/ordered-mark",
		.count = 4000000,
		.alone = true,
		.run = gc_mark_ordered,
	},
	{
		.work = "gcbench",
		.unit = "ns/node-of-gcbench",
		.wall = "wall-ns/node-of-gcbench",
		.peak = "peak-KiB/gcbench",
		.count = 1,
		.alone = true,
		.run = gc_gcbench,
	},
	{
		.work = "push",
		.unit = "ns/push",
		.wall = "wall-ns/push",
		.peak = "peak-KiB/push",
		.count = 2000000,
		.alone = true,
		.run = gc_push,
	},
	{
		.work = "worst-256",
		.unit = "ns-worst-of-256-MiB",
		.wall = "wall-ns-worst-of-256-MiB",
		.count = 256,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_push_worst,
	},
	{
		.work = "worst-1024",
		.unit = "ns-worst-of-1-GiB",
		.wall = "wall-ns-worst-of-1-GiB",
		.count = 1024,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_push_worst,
	},
	{
		.work = "pause-256",
		.unit = "ns-paused-of-256-MiB",
		.wall = "wall-ns-paused-of-256-MiB",
		.count = 256,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_pause,
	},
	{
		.work = "pause-1024",
		.unit = "ns-paused-of-1-GiB",
		.wall = "wall-ns-paused-of-1-GiB",
		.count = 1024,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_pause,
	},
	{
		.work = "stop-10000",
		.unit = "ns-paused-beside-10000",
		.wall = "wall-ns-paused-beside-10000",
		.count = 10000,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = stop_parked,
	},
	{
		.work = "stop-small",
		.unit = "ns-paused-beside-small",
		.wall = "wall-ns-paused-beside-small",
		.count = 10000,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = stop_small,
	},
	{
		.work = "stop-crowd",
		.unit = "ns-paused-beside-crowd",
		.wall = "wall-ns-paused-beside-crowd",
		.count = 10000,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = stop_crowd,
	},
	{
		.work = "stop-1000000",
		.unit = "ns-paused-beside-1000000",
		.wall = "wall-ns-paused-beside-1000000",
		.count = 1000000,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = stop_parked,
	},
	{
		.work = "stop-deep",
		.unit = "ns-paused-beside-deep",
		.wall = "wall-ns-paused-beside-deep",
		.count = 1000,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = stop_deep,
	},
	{
		.work = "rss-fill",
		.unit = "rss/filled",
		.wall = "KiB/1000-filled",
		.count = 1,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_rss_fill,
	},
	{
		.work = "rss-churn",
		.unit = "rss/churned",
		.wall = "KiB/1000-churned",
		.count = 1,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_rss_churn,
	},
	{
		.work = "rss-drop",
		.unit = "rss/dropped",
		.wall = "KiB/1000-dropped",
		.count = 1,
		.cold = true,
		.alone = true,
		.figures = gc_figures,
		.run = gc_rss_drop,
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
