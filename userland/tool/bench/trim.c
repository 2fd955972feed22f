// SPDX-License-Identifier: GPL-2.0
/*
 * The trim benchmark: 1,000 stacks, each used to a depth, lose all but their
 * uppermost page.
 *
 * kmod		one call for all of them; the pages go to the context's pool as
 *		far as that may keep them
 * madvise	stacks in anonymous memory, madvise(MADV_DONTNEED) for each
 *
 * ns/op is the time for one stack, giving back alone; the stacks are filled
 * again before each sample, untimed. The first sample is dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tool.h"
#include "bench.h"
#include "clock.h"
#include "growth.h"
#include "kmod.h"
#include "results.h"

#define STACKS 1000
#define DEFAULT_RUNS 5

static const size_t default_depths[] = { 16 << 10, 64 << 10 };

/* 1,000 stacks, in an arena of the module or in anonymous memory. */
struct stacks {
	struct kmod_arena arena;
	char *base;
	size_t stride;
	size_t depth;
	size_t page;
};

static int open_kmod(struct stacks *s, char *why, size_t size)
{
	int err = kmod_open_stacks(&s->arena, s->stride, STACKS, why, size);

	if (err) {
		kmod_close(&s->arena);
		return err;
	}
	s->base = s->arena.base;
	return 0;
}

static int trim_kmod(struct stacks *s)
{
	return kmod_trim(&s->arena, 0, STACKS, s->page);
}

static void close_kmod(struct stacks *s)
{
	kmod_close(&s->arena);
}

static int open_anonymous(struct stacks *s, char *why, size_t size)
{
	char *base = mmap(NULL, s->stride * STACKS, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED) {
		snprintf(why, size, "mapping stacks: %s", strerror(errno));
		return -ENOMEM;
	}
	s->base = base;
	/* A stack alone in a huge page would be another measurement. */
	madvise(base, s->stride * STACKS, MADV_NOHUGEPAGE);
	return 0;
}

static int trim_anonymous(struct stacks *s)
{
	size_t i;

	for (i = 0; i < STACKS; i++)
		if (madvise(s->base + i * s->stride, s->stride - s->page,
			    MADV_DONTNEED))
			return -errno;
	return 0;
}

static void close_anonymous(struct stacks *s)
{
	munmap(s->base, s->stride * STACKS);
}

static const struct way {
	const char *name;
	int (*open)(struct stacks *s, char *why, size_t size);
	int (*trim)(struct stacks *s);
	void (*close)(struct stacks *s);
} ways[] = {
	{ "kmod", open_kmod, trim_kmod, close_kmod },
	{ "madvise", open_anonymous, trim_anonymous, close_anonymous },
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

/* Downward, a write to each page, as a stack is used. */
static void fill(const struct stacks *s)
{
	size_t i, at;

	for (i = 0; i < STACKS && !tool_interrupted; i++)
		for (at = s->page; at <= s->depth; at += s->page)
			((volatile char *)s->base)[(i + 1) * s->stride - at] =
				1;
}

static int sample(const struct way *way, struct stacks *s, double *op)
{
	uint64_t start;
	int err;

	fill(s);
	start = bench_ticks();
	err = way->trim(s);
	*op = bench_ns(bench_ticks() - start) / STACKS;
	return err;
}

static int sample_ways(struct stacks *stacks, int round, int rounds)
{
	int failed = 0, err;
	double op;
	size_t i;

	for (i = 0; i < NWAYS && !tool_interrupted; i++) {
		long kib = stacks[i].depth >> 10;

		if (!stacks[i].base)
			continue;
		bench_progress("trim %ld KiB: round %d of %d: %s", kib, round,
			       rounds - 1, ways[i].name);
		err = sample(&ways[i], &stacks[i], &op);
		if (err && !tool_interrupted) {
			tool_say("bench trim: %s failed: %s", ways[i].name,
				 strerror(-err));
			failed = -1;
		} else if (round > 0 && !tool_interrupted) {
			results_add("trim", ways[i].name, "depth_kib", kib,
				    "ns/op", op);
		}
	}
	return failed;
}

static int run_depth(const struct bench_options *options, size_t depth)
{
	int rounds = 1 + (options->runs ? options->runs : DEFAULT_RUNS);
	struct stacks stacks[NWAYS];
	int round, failed = 0;
	char why[256];
	size_t i;

	memset(stacks, 0, sizeof(stacks));
	for (i = 0; i < NWAYS; i++) {
		stacks[i].depth = depth;
		stacks[i].stride = growth_stride(depth);
		stacks[i].page = sysconf(_SC_PAGESIZE);
		if (bench_wants(options, ways[i].name) &&
		    ways[i].open(&stacks[i], why, sizeof(why)))
			bench_left_out("trim", ways[i].name, why);
	}
	for (round = 0; round < rounds && !failed && !tool_interrupted; round++)
		failed = sample_ways(stacks, round, rounds);
	for (i = 0; i < NWAYS; i++)
		if (stacks[i].base)
			ways[i].close(&stacks[i]);
	return failed;
}

static int run(const struct bench_options *options)
{
	const size_t *depths = options->ndepths ? options->depths :
						  default_depths;
	size_t n = options->ndepths ?
			   options->ndepths :
			   sizeof(default_depths) / sizeof(default_depths[0]);
	int failed = 0;
	size_t i;

	bench_ns(0);
	for (i = 0; i < n && !tool_interrupted; i++)
		failed |= run_depth(options, depths[i]);
	return failed;
}

static const char *backend(size_t i)
{
	return i < NWAYS ? ways[i].name : NULL;
}

const struct bench bench_trim = {
	.name = "trim",
	.summary = "1,000 stacks used to each --depth lose all but a page",
	.backend = backend,
	.run = run,
};
