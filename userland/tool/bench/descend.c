// SPDX-License-Identifier: GPL-2.0
/*
 * The recursion of the growth benchmark on ordinary stacks. Holds no state
 * but the size of a frame, measured once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../arch/arch.h"
#include "clock.h"
#include "descend.h"

#define NAME descend
#include "descend-body.h"

struct descent {
	unsigned long frames;
	uint64_t bottom;
};

static void start(void *arg)
{
	struct descent *d = arg;

	descend(d->frames, &d->bottom);
}

uint64_t descend_on(void *top, unsigned long frames)
{
	struct descent d = { .frames = frames };
	uint64_t t0 = bench_ticks();
	void *context;

	burrow_arch_call(&context, top, start, &d);
	return d.bottom - t0;
}

/* Bytes below the top of a stack that so many frames write. */
static size_t reach(unsigned long frames)
{
	const size_t size = 64 << 10;
	unsigned char *stack = aligned_alloc(4096, size);
	size_t low = 0;

	if (!stack) {
		fputs("burrow: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	memset(stack, 0xa5, size);
	descend_on(stack + size, frames);
	while (low < size && stack[low] == 0xa5)
		low++;
	free(stack);
	return size - low;
}

unsigned long descend_frames(size_t depth)
{
	static size_t first, frame;

	if (!first) {
		first = reach(1);
		frame = reach(2) - first;
	}
	return depth > first && frame ? 1 + (depth - first) / frame : 1;
}
