/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a row of the growth benchmark is: a way to have a stack that can become
 * deep. Each way is a file in peers/ (the module's are in kmod.c); growth.c
 * asks each in turn for a batch of stacks, has all of them grown, and gives
 * them back.
 *
 * Two times are taken. ns/op is the growth alone: from the first instruction
 * of the recursion on a stack to the moment when it is so deep. ns/cycle is
 * everything: the stacks made, grown and given back as the way does it.
 */
#ifndef BURROW_BENCH_GROWTH_H
#define BURROW_BENCH_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct growth_plan - what a way is asked to prepare for
 * @depth:	bytes of stack to be reached
 * @frames:	of descend() that reach it
 * @batch:	stacks at a time
 * @rounds:	how many times a batch is asked for
 * @why:	out: where the way can't: the reason, for the user
 */
struct growth_plan {
	size_t depth;
	unsigned long frames;
	unsigned int batch;
	unsigned int rounds;
	char why[256];
};

/**
 * struct growth_way - a row of the benchmark
 * @name:	backend in the results
 * @huge:	transparent huge pages are allowed while it runs
 * @open:	prepares, untimed; state or NULL with plan->why set
 * @begin:	makes a batch of stacks; 0 or negative errno; may be NULL
 * @grow:	grows stack @i, ticks it took; 0 or negative errno
 * @end:	gives the batch back; 0 or negative errno; may be NULL
 * @cycle:	ticks of the whole batch, where another process knows; else NULL
 * @close:	undoes @open
 */
struct growth_way {
	const char *name;
	bool huge;
	void *(*open)(struct growth_plan *plan);
	int (*begin)(void *state);
	int (*grow)(void *state, unsigned int i, uint64_t *ticks);
	int (*end)(void *state);
	uint64_t (*cycle)(void *state);
	void (*close)(void *state);
};

extern const struct growth_way growth_kmod_cold;
extern const struct growth_way growth_kmod_recycled;
extern const struct growth_way growth_kmod_lazy;
extern const struct growth_way growth_kmod_warm;
extern const struct growth_way growth_mmap;
extern const struct growth_way growth_mmap_warm;
extern const struct growth_way growth_madvfree;
extern const struct growth_way growth_populate;
extern const struct growth_way growth_mthp;
extern const struct growth_way growth_sigsegv;
extern const struct growth_way growth_uffd;
extern const struct growth_way growth_growsdown;
extern const struct growth_way growth_splitstack;
extern const struct growth_way growth_pthread;
extern const struct growth_way growth_go;

/* Sets plan->why; returns NULL, so that an open can return it. */
void *growth_cannot(struct growth_plan *plan, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Like calloc(), but ends the program where there is no memory. */
void *growth_alloc(size_t n, size_t size);

/* The guard below each stack, and the stride of slots for a depth. */
#define GROWTH_GUARD (32UL << 10)
size_t growth_stride(size_t depth);

#endif /* BURROW_BENCH_GROWTH_H */
