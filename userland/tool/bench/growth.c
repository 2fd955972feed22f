// SPDX-License-Identifier: GPL-2.0
/*
 * The growth benchmark: fresh stacks, each recursed on to a depth. For each
 * depth all ways are opened, then sampled in turn, round after round, so that
 * whatever the machine does meanwhile falls on all of them; the first round is
 * dropped. A sample is a batch of stacks, which makes the reading of the clock
 * small beside what is read. See growth.h for what the two units mean.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "../tool.h"
#include "bench.h"
#include "clock.h"
#include "descend.h"
#include "growth.h"
#include "results.h"

#define DEFAULT_RUNS 9
#define BATCH_BYTES (1UL << 20)
#define BATCH_MAX 16

static const struct growth_way *const ways[] = {
	&growth_kmod_cold,  &growth_kmod_recycled, &growth_kmod_lazy,
	&growth_kmod_warm,  &growth_mmap,	   &growth_mmap_warm,
	&growth_madvfree,   &growth_populate,	   &growth_mthp,
	&growth_sigsegv,    &growth_uffd,	   &growth_growsdown,
	&growth_splitstack, &growth_pthread,	   &growth_go,
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

static const size_t default_depths[] = {
	4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20,
};

void *growth_cannot(struct growth_plan *plan, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(plan->why, sizeof(plan->why), fmt, ap);
	va_end(ap);
	return NULL;
}

void *growth_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p) {
		tool_say("out of memory");
		exit(TOOL_FAILED);
	}
	return p;
}

/* As the runtime has it: 256 KiB, and the next power of two where it must. */
size_t growth_stride(size_t depth)
{
	size_t stride = 256 << 10;

	while (stride - stride / 8 < depth)
		stride *= 2;
	return stride;
}

static unsigned int batch_for(size_t depth)
{
	size_t n = BATCH_BYTES / depth;

	return n < 1 ? 1 : n > BATCH_MAX ? BATCH_MAX : n;
}

/*
 * Huge pages by chance would make rows that can't be compared: while a way
 * samples, and while it opens, for what it touches then may lie beside the
 * stacks of another, in the same two megabytes.
 */
static void set_huge_pages(bool on)
{
	prctl(PR_SET_THP_DISABLE, !on, 0, 0, 0);
}

/* One batch of stacks: made, grown one after another, given back. */
static int sample(const struct growth_way *way, void *state, unsigned int batch,
		  double *op, double *cycle)
{
	uint64_t start, sum = 0, ticks;
	unsigned int i;
	int err = 0;

	set_huge_pages(way->huge);
	start = bench_ticks();
	if (way->begin)
		err = way->begin(state);
	for (i = 0; i < batch && !err; i++) {
		err = way->grow(state, i, &ticks);
		sum += ticks;
	}
	if (way->end && !err)
		err = way->end(state);
	ticks = bench_ticks() - start;
	if (way->cycle)
		ticks = way->cycle(state);
	*cycle = bench_ns(ticks) / batch;
	*op = bench_ns(sum) / batch;
	return err;
}

static void record(const struct growth_way *way, size_t depth, double op,
		   double cycle)
{
	long kib = depth >> 10;

	results_add("growth", way->name, "depth_kib", kib, "ns/op", op);
	results_add("growth", way->name, "depth_kib", kib, "ns/cycle", cycle);
}

static void open_ways(const struct bench_options *options,
		      struct growth_plan *plan, void **states)
{
	size_t i;

	for (i = 0; i < NWAYS && !tool_interrupted; i++) {
		if (!bench_wants(options, ways[i]->name))
			continue;
		plan->why[0] = 0;
		set_huge_pages(ways[i]->huge);
		states[i] = ways[i]->open(plan);
		if (!states[i] && !tool_interrupted)
			bench_left_out("growth", ways[i]->name, plan->why);
	}
}

static int sample_ways(const struct growth_plan *plan, void **states,
		       unsigned int round)
{
	double op, cycle;
	int failed = 0, err;
	size_t i;

	for (i = 0; i < NWAYS && !tool_interrupted; i++) {
		if (!states[i])
			continue;
		bench_progress("growth %zu KiB: round %u of %u: %s",
			       plan->depth >> 10, round, plan->rounds - 1,
			       ways[i]->name);
		err = sample(ways[i], states[i], plan->batch, &op, &cycle);
		if (err && !tool_interrupted) {
			bench_progress("%s", "");
			tool_say("bench growth: %s at %zu KiB failed: %s",
				 ways[i]->name, plan->depth >> 10,
				 strerror(-err));
			ways[i]->close(states[i]);
			states[i] = NULL;
			failed = -1;
		} else if (round > 0 && !tool_interrupted) {
			record(ways[i], plan->depth, op, cycle);
		}
	}
	return failed;
}

static int run_depth(const struct bench_options *options, size_t depth)
{
	struct growth_plan plan = {
		.depth = depth,
		.frames = descend_frames(depth),
		.batch = batch_for(depth),
		.rounds = 1 + (options->runs ? options->runs : DEFAULT_RUNS),
	};
	void *states[NWAYS] = { NULL };
	unsigned int round;
	int failed = 0;
	size_t i;

	bench_ns(0);
	open_ways(options, &plan, states);
	for (round = 0; round < plan.rounds && !tool_interrupted; round++)
		failed |= sample_ways(&plan, states, round);
	for (i = 0; i < NWAYS; i++)
		if (states[i])
			ways[i]->close(states[i]);
	set_huge_pages(true);
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

	for (i = 0; i < n && !tool_interrupted; i++)
		failed |= run_depth(options, depths[i]);
	return failed;
}

static const char *backend(size_t i)
{
	return i < NWAYS ? ways[i]->name : NULL;
}

const struct bench bench_growth = {
	.name = "growth",
	.summary = "a fresh stack recursed on to each --depth",
	.backend = backend,
	.run = run,
};
