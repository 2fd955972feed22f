/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a cycle begins, and how hard allocation must help it: arithmetic alone,
 * so that a simulator can drive it.
 *
 * After a cycle the heap may grow by a percentage of what was live and of the
 * roots, to the goal. The next cycle should be through when the heap is that
 * large, so it begins earlier, at the trigger, by as much as was allocated while
 * the last ones ran (the runway). If allocation is faster than that, it has to
 * mark for what it takes: assists.
 *
 * A young cycle finds only what of the heap's youth lives, and what it keeps may be
 * garbage. So the goal goes by what the last full cycle found, and the next one is
 * full when the young ones have left less than half of the growth, or were many. Where
 * the first one has left so little, in a program whose objects die old, it was work for
 * nothing: one is tried again after one full cycle, two, four, eight.
 *
 * A memory limit lowers the goal, but not below an eighth above what is live:
 * a heap that does not fit does not keep the CPU at marking for ever.
 *
 * One caller at a time. Sizes are bytes of heap as the pacer counts them: what
 * the last cycle left, and what was allocated since.
 */
#ifndef BURROW_PACER_H
#define BURROW_PACER_H

#include <stdbool.h>
#include <stdint.h>

#define BURROW_PACER_MINIMUM (4ULL << 20) /* of the goal, at 100 percent */
#define BURROW_PACER_ASSIST_MAX (64ULL << 10) /* of one allocation */

/**
 * struct burrow_pacer - what it knows
 * @percent:	growth that is allowed; negative: any
 * @limit:	of all memory, 0: none
 * @live:	after the last cycle
 * @base:	after the last full one
 * @young:	cycles since that
 * @wait:	full ones before the next young one
 * @patience:	as many as it was the last time
 * @full:	the next is to be full
 * @roots:	bytes of roots, then
 * @overhead:	bytes outside of the heap that count for the limit, then
 * @runway:	bytes allocated while a cycle runs, smoothed
 * @goal:	heap at which the next cycle should be through
 * @trigger:	heap at which it begins
 */
struct burrow_pacer {
	int percent;
	uint64_t limit;
	uint64_t live;
	uint64_t base;
	uint32_t young;
	uint32_t wait;
	uint32_t patience;
	bool full;
	uint64_t roots;
	uint64_t overhead;
	uint64_t runway;
	uint64_t goal;
	uint64_t trigger;
};

void burrow_pacer_open(struct burrow_pacer *p, int percent, uint64_t limit);

/* New settings, from now on. */
void burrow_pacer_set(struct burrow_pacer *p, int percent, uint64_t limit);

/* Not so much was live after the last cycle as it seemed. */
void burrow_pacer_less(struct burrow_pacer *p, uint64_t live);

/**
 * struct burrow_pacer_end - what a cycle found
 * @young:	it was a young one
 * @live:	bytes that are marked
 * @roots:	bytes of roots
 * @overhead:	bytes outside of the heap that count for the limit
 * @allocated:	bytes allocated while it ran
 */
struct burrow_pacer_end {
	bool young;
	uint64_t live;
	uint64_t roots;
	uint64_t overhead;
	uint64_t allocated;
};

void burrow_pacer_cycle(struct burrow_pacer *p,
			const struct burrow_pacer_end *end);

/*
 * How many bytes an allocation of @bytes should mark, with a heap of @heap and
 * @marked marked so far: as much as marking is behind, on the way from trigger to
 * goal.
 */
uint64_t burrow_pacer_assist(const struct burrow_pacer *p, uint64_t heap,
			     uint64_t marked, uint64_t bytes);

#endif /* BURROW_PACER_H */
