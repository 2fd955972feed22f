// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks that hold much more than they use.
 *
 * A goroutine that has been deep in calls once keeps the pages of its stack. When
 * marking is through, those that have waited since before it began and use less
 * than a quarter of what they hold lose what lies below their stack pointer. One
 * that is busy will need it again soon: it has hardly waited all the time.
 *
 * What a stack holds the system must be asked for each, so it is done between
 * cycles, in rounds over all goroutines, which may take several cycles; each is
 * looked at once after it has parked. That is done beside the program, and what
 * is seen may be over at once. So those that should be trimmed are gathered, and
 * looked at again while nobody is inside the runtime: then no goroutine can be
 * woken. A backend that checks words itself trims after that, the other one
 * before the world goes on; that is why a batch is small.
 *
 * Nothing of a parked goroutine lies below its stack pointer: its registers were
 * saved above, and what others write to its stack are its variables.
 */
#include <time.h>

#include "../debug/probe.h"
#include "../sched/sched.h"
#include "collector.h"
#include "saved.h"
#include "trim.h"

#define PAGE 4096UL
#define PART 4 /* of what a stack holds must be in use */
#define LOOKS 1024 /* between looks for a request */
#define STACKS 32 /* trimmed at a time */
#define BYTES (2UL << 20) /* they hold about so much at most */
#define REST_NS 500000 /* between stops */

/**
 * struct candidate - a stack that seemed to hold too much
 * @g:		whose
 * @stack:	it, as it was
 * @held:	bytes
 */
struct candidate {
	struct goroutine *g;
	struct burrow_stack stack;
	size_t held;
};

/**
 * struct batch - what is trimmed at a time
 * @found:	what was gathered
 * @nr_found:	how many
 * @held:	bytes in them
 * @stacks:	those of them that are still as they were
 * @keep:	bytes of each that stay
 * @nr:		how many
 */
struct batch {
	struct candidate found[STACKS];
	uint32_t nr_found;
	size_t held;
	struct burrow_stack stacks[STACKS];
	size_t keep[STACKS];
	uint32_t nr;
};

/**
 * struct round - the one that is under way; times are those of runtime.clock
 * @walk:	who is next
 * @on:		it is
 * @since:	who has parked before was looked at by the last one
 * @begun:	when the cycle began that this one began after
 * @before:	when the last cycle began: who parked later may be busy
 */
static struct round {
	struct goroutine_walk walk;
	bool on;
	uint32_t since;
	uint32_t begun;
	uint32_t before;
} round;

/* Clocks begin anew after 49 days. */
static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

void burrow_trim_open(void)
{
	round = (struct round){ 0 };
}

void burrow_trim_cycle_begin(void)
{
	round.before = READ_ONCE(burrow_runtime.clock);
}

void burrow_trim_cycle_end(void)
{
	if (round.on)
		return;
	round.on = true;
	round.since = round.begun;
	round.begun = round.before;
	goroutine_walk_begin(&round.walk);
}

static size_t used(const struct goroutine *g, const struct burrow_stack *stack)
{
	size_t bytes = burrow_stack_top(stack) - (char *)READ_ONCE(g->context);

	return (bytes + PAGE - 1) & -PAGE;
}

/* It runs meanwhile, or is another already: all that is asked is a hint. */
static __attribute__((no_sanitize("thread"))) void look_at(struct batch *batch,
							   struct goroutine *g)
{
	struct candidate *c = &batch->found[batch->nr_found];
	uint32_t parked_at = READ_ONCE(g->parked_at);
	int64_t held;

	if (READ_ONCE(g->state) != GOROUTINE_WAITING ||
	    is_before(parked_at, round.since) ||
	    !is_before(parked_at, round.before))
		return;
	c->g = g;
	c->stack = g->stack;
	if (!c->stack.arena || c->stack.slot >= c->stack.arena->slots ||
	    burrow_saved_knows(&c->stack))
		return;
	held = burrow_stack_resident(&c->stack);
	if (held <= 0 || used(g, &c->stack) >= (size_t)held / PART)
		return;
	c->held = held;
	batch->held += held;
	batch->nr_found++;
}

/* Nobody is inside. It waits, on that stack, and has not run since. */
static bool is_same(const struct candidate *c)
{
	return c->g->state == GOROUTINE_WAITING &&
	       c->g->stack.arena == c->stack.arena &&
	       c->g->stack.slot == c->stack.slot &&
	       c->g->stack.generation == c->stack.generation;
}

static void choose(struct batch *batch)
{
	const struct candidate *c;
	size_t keep;

	for (c = batch->found; c < batch->found + batch->nr_found; c++) {
		if (!is_same(c))
			continue;
		keep = used(c->g, &c->stack);
		if (keep >= c->held / PART)
			continue;
		batch->stacks[batch->nr] = c->stack;
		batch->keep[batch->nr++] = keep;
	}
}

static int64_t trim(struct batch *batch)
{
	bool checks = burrow_runtime.pool->backend->checks;
	int64_t from, pause;

	BURROW_PROBE(gc_stw_begin, burrow_collector.done,
		     burrow_probe_text("trim"));
	from = burrow_now();
	burrow_world_stop(NULL);
	choose(batch);
	if (!checks)
		burrow_stack_trim(batch->stacks, batch->keep, batch->nr);
	burrow_world_start(NULL);
	pause = burrow_now() - from;
	BURROW_PROBE(gc_stw_end, burrow_collector.done, pause);
	if (checks)
		burrow_stack_trim(batch->stacks, batch->keep, batch->nr);
	return pause;
}

bool burrow_trim_some(int64_t *pause)
{
	const struct timespec rest = { .tv_nsec = REST_NS };
	struct batch batch = { .nr_found = 0 };
	struct goroutine *g = NULL;
	int looks;

	*pause = 0;
	if (!round.on)
		return false;
	for (looks = 0;
	     looks < LOOKS && batch.nr_found < STACKS && batch.held < BYTES;
	     looks++) {
		g = goroutine_walk_next(&round.walk);
		if (!g)
			break;
		look_at(&batch, g);
	}
	round.on = g;
	if (!batch.nr_found)
		return true;
	*pause = trim(&batch);
	nanosleep(&rest, NULL);
	return true;
}
