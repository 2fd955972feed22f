// SPDX-License-Identifier: GPL-2.0
/*
 * Growth on the module's stacks, in four states that a stack can be in:
 *
 * kmod-cold	the slot was never used and the pool is empty: pages and page
 *		tables come from the system
 * kmod-recycled the slot was used, trimmed to nothing, and its pages are in
 *		the pool: they come back without zeroing
 * kmod-lazy	the slot was used and trimmed lazily, and nobody has needed its
 *		pages: the peer of MADV_FREE, the cheap side of the same promise
 * kmod-warm	the slot was used and kept its pages: no fault at all
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "descend.h"
#include "growth.h"
#include "kmod.h"

/* Slot @first is the batch's first; cold stacks move on to new slots. */
struct state {
	struct kmod_arena arena;
	size_t batch;
	size_t first;
	unsigned long frames;
};

static void close_state(void *p)
{
	struct state *s = p;

	kmod_close(&s->arena);
	free(s);
}

static void *open_slots(struct growth_plan *plan, size_t slots)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->batch = plan->batch;
	s->frames = plan->frames;
	if (kmod_open_stacks(&s->arena, growth_stride(plan->depth), slots,
			     plan->why, sizeof(plan->why))) {
		close_state(s);
		return NULL;
	}
	return s;
}

static void *open_cold(struct growth_plan *plan)
{
	return open_slots(plan, (size_t)plan->batch * plan->rounds);
}

static void *open_warm(struct growth_plan *plan)
{
	return open_slots(plan, plan->batch);
}

static void *open_recycled(struct growth_plan *plan)
{
	struct state *s = open_slots(plan, plan->batch);

	if (s && s->arena.pool_limit < plan->batch * plan->depth) {
		growth_cannot(plan, "the module's pool may keep %llu KiB only",
			      (unsigned long long)s->arena.pool_limit >> 10);
		close_state(s);
		return NULL;
	}
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;

	*ticks = descend_on(kmod_top(&s->arena, s->first + i), s->frames);
	return 0;
}

static int end_recycled(void *p)
{
	struct state *s = p;

	return kmod_trim(&s->arena, s->first, s->batch, 0);
}

static int end_cold(void *p)
{
	struct state *s = p;
	int err = end_recycled(s);

	s->first += s->batch;
	return err ? err : kmod_drain(&s->arena);
}

static void *open_lazy(struct growth_plan *plan)
{
	struct state *s = open_warm(plan);
	int err;

	if (!s)
		return NULL;
	err = s->arena.features & BURROW_FEATURE_LAZY ?
		      kmod_map_table(&s->arena) :
		      -EOPNOTSUPP;
	if (!err)
		return s;
	close_state(s);
	return growth_cannot(plan, "mapping a table for lazy trims: %s",
			     strerror(-err));
}

/* What it takes of a runtime to use such a slot again is part of the cost. */
static int begin_lazy(void *p)
{
	struct state *s = p;
	size_t i;

	for (i = 0; i < s->batch; i++)
		kmod_wake(&s->arena, s->first + i);
	return 0;
}

static int end_lazy(void *p)
{
	struct state *s = p;

	return kmod_trim_lazily(&s->arena, s->first, s->batch, 0);
}

const struct growth_way growth_kmod_cold = {
	.name = "kmod-cold",
	.open = open_cold,
	.grow = grow,
	.end = end_cold,
	.close = close_state,
};

const struct growth_way growth_kmod_recycled = {
	.name = "kmod-recycled",
	.open = open_recycled,
	.grow = grow,
	.end = end_recycled,
	.close = close_state,
};

const struct growth_way growth_kmod_lazy = {
	.name = "kmod-lazy",
	.open = open_lazy,
	.begin = begin_lazy,
	.grow = grow,
	.end = end_lazy,
	.close = close_state,
};

const struct growth_way growth_kmod_warm = {
	.name = "kmod-warm",
	.open = open_warm,
	.grow = grow,
	.close = close_state,
};
