// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pacer, as pacer.h describes it. The goal is Go's (its pacer redesign of
 * 2021: roots count as well); the runway is simpler.
 */
#include "pacer.h"

#define YOUNG_MOST 32 /* cycles, then a full one */
#define WAIT_MOST 8 /* full ones, then a young one */
#define HEADROOM 32 /* a part of the limit that is left for what we don't see */

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* a * b / c, or the largest there is. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 n = (unsigned __int128)a * b / c;

	return n > UINT64_MAX ? UINT64_MAX : n;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t goal_of_percent(const struct burrow_pacer *p)
{
	uint64_t goal;

	if (p->percent < 0)
		return UINT64_MAX;
	goal = add(p->base, scale(add(p->base, p->roots), p->percent, 100));
	return max(goal, scale(BURROW_PACER_MINIMUM, p->percent, 100));
}

static uint64_t goal_of_limit(const struct burrow_pacer *p)
{
	uint64_t room;

	if (!p->limit)
		return UINT64_MAX;
	room = p->limit - p->limit / HEADROOM;
	room = room > p->overhead ? room - p->overhead : 0;
	return max(room, add(p->live, max(p->live / 8, 64 << 10)));
}

/* What is there has left less than half of the growth. */
static bool is_crowded(const struct burrow_pacer *p)
{
	return add(p->live, (p->goal - p->base) / 2) > p->goal;
}

/* After a cycle: was a young one worth while? */
static void learn(struct burrow_pacer *p, bool young)
{
	if (!young) {
		p->wait -= !!p->wait;
	} else if (p->young > 2) {
		p->patience = 0;
	} else if (p->young == 1 && is_crowded(p)) {
		p->patience = min(2 * p->patience + !p->patience, WAIT_MOST);
		p->wait = p->patience;
	}
}

/* Of the goal by percent, which they keep to; the limit is for full ones. */
static void decide_young(struct burrow_pacer *p)
{
	uint64_t growth = p->goal - p->base;

	p->full = p->wait || p->young >= YOUNG_MOST ||
		  p->goal == goal_of_limit(p) || is_crowded(p);
	/* So that those that keep all do not come one after the other. */
	if (p->goal != UINT64_MAX)
		p->goal = max(p->goal, add(p->live, growth / 4));
}

static void decide(struct burrow_pacer *p)
{
	uint64_t growth, ahead;

	p->goal = min(goal_of_percent(p), goal_of_limit(p));
	decide_young(p);
	if (p->goal == UINT64_MAX) {
		p->trigger = UINT64_MAX;
		return;
	}
	growth = p->goal > p->live ? p->goal - p->live : 0;
	/* From a twentieth to the half of the growth, and a bit of slack. */
	ahead = add(p->runway, p->runway / 4);
	ahead = min(max(ahead, growth / 20), growth / 2);
	p->trigger = p->live + growth - ahead;
}

void burrow_pacer_open(struct burrow_pacer *p, int percent, uint64_t limit)
{
	*p = (struct burrow_pacer){ .percent = percent, .limit = limit };
	decide(p);
}

void burrow_pacer_set(struct burrow_pacer *p, int percent, uint64_t limit)
{
	p->percent = percent;
	p->limit = limit;
	decide(p);
}

void burrow_pacer_less(struct burrow_pacer *p, uint64_t live)
{
	uint64_t less = p->live > live ? p->live - live : 0;

	/* It was there when the last full cycle ended, or is not known not to be. */
	p->base = p->base > less ? p->base - less : 0;
	p->live = live;
	decide(p);
}

void burrow_pacer_cycle(struct burrow_pacer *p,
			const struct burrow_pacer_end *end)
{
	p->live = end->live;
	p->young = end->young ? p->young + 1 : 0;
	if (!end->young)
		p->base = end->live;
	p->roots = end->roots;
	p->overhead = end->overhead;
	learn(p, end->young);
	/* Up at once, down by halves: too early costs less than too late. */
	p->runway = max(end->allocated, p->runway / 2 + end->allocated / 2);
	decide(p);
}

uint64_t burrow_pacer_assist(const struct burrow_pacer *p, uint64_t heap,
			     uint64_t marked, uint64_t bytes)
{
	uint64_t due, used;

	if (heap >= p->goal)
		return BURROW_PACER_ASSIST_MAX;
	/* As much as last time is to be marked; an eighth late is not late. */
	due = p->live;
	used = add(heap > p->trigger ? heap - p->trigger : 0, bytes);
	if (used < p->goal - p->trigger)
		due = scale(due, used, p->goal - p->trigger);
	due = due > p->live / 8 ? due - p->live / 8 : 0;
	return due > marked ? min(due - marked, BURROW_PACER_ASSIST_MAX) : 0;
}
