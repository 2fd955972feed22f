// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Deep stacks.
 *
 * Stacks are roots, and a pointer can come to one at any time, also from another
 * goroutine that was given the address of a local. So all live parts count in the
 * last stop. Most are small: a parked goroutine has some hundred bytes, and to ask
 * whether its page was written is dearer than to look at them. But where many have
 * some pages, or few are in deep recursion, the stop would take long. So those that
 * do not run and have more than two pages are tracked as objects are:
 *
 *  1. A walk of the roots looks at some as they are, and notes the others down.
 *  2. Beside the program their live parts are armed: from then on it is known which
 *     of their pages are written, by whomever.
 *  3. They are looked at bit by bit, in stops of their own that are short: so nobody
 *     is on them, and what is looked at has memory.
 *  4. In the last stop only what was written since they were armed, and what lives
 *     and was not looked at, is looked at again: it does not matter who ran meanwhile.
 *
 * Those that lie one above the other are armed and asked for at once: a call takes as
 * long as it takes to look at one of them, and to arm flushes the TLBs of all CPUs.
 *
 * Stacks of the module are harvested by it, others by userfaultfd where the heap is.
 * Stacks that are run on are looked at as a whole. The table is by the thread that runs
 * the cycle alone; it is mapped before, as a stop may not allocate.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../heap/module.h"
#include "../sched/sched.h"
#include "deep.h"
#include "track.h"

#define DEEP_MAX 65536 /* of them; others are looked at as they are */
#define PLACES (2 * DEEP_MAX) /* in the hash of them, a power of two */
#define IN_PLACE (512UL << 10) /* bytes of them that a stop looks at so */
#define GAP (256L << 10) /* bytes between two that are dealt with at once */
#define GROUP 64 /* pages that the module tells of at once */

/**
 * struct deep - one of them
 * @g:		whose it is
 * @id:		its number: the descriptor is used again
 * @stack:	it
 * @low:	of what is tracked, a page
 * @high:	of it, the stack's upper end
 * @at:		what is above was looked at
 * @armed:	it is tracked
 * @asked:	in this stop, for what was written
 */
struct deep {
	const struct goroutine *g;
	uint64_t id;
	struct burrow_stack stack;
	char *low;
	char *high;
	char *at;
	bool armed;
	bool asked;
};

/**
 * struct run - some that lie one above the other
 * @first:	of them, in the order
 * @count:	how many
 * @low:	of the lowest
 * @high:	of the highest
 * @stack:	the lowest
 */
struct run {
	size_t first;
	size_t count;
	char *low;
	char *high;
	struct burrow_stack stack;
};

static struct {
	struct deep *table;
	uint32_t *places; /* by goroutine: 1 + its place in @table, 0: free */
	uint32_t *order; /* places in @table, by address; in parts, as they were armed */
	size_t page; /* bytes of one */
	size_t count;
	size_t armed; /* of the first in the table it was tried */
	size_t looked; /* before this one all were looked at */
	size_t in_place; /* bytes that may still be looked at as they are */
	size_t left_out;
	enum burrow_deep_mode mode;
	bool forget;
	const struct burrow_tracker *tracker;
} deep;

/* ---- how they are tracked --------------------------------------------------------- */

static bool by_module(const struct burrow_stack *stack)
{
	return stack->arena->pool->backend == &burrow_stack_kmod;
}

static struct burrow_heap_module arena_of(const struct burrow_stack *stack)
{
	const struct burrow_stack_arena *arena = stack->arena;

	return (struct burrow_heap_module){
		.fd = arena->pool->fd,
		.arena = arena->number,
		.page = deep.page,
		.base = arena->base,
		.bytes = arena->slots * arena->stride,
	};
}

static void ignore(char *low, char *high, void *arg)
{
	(void)low;
	(void)high;
	(void)arg;
}

/* ---- runs ------------------------------------------------------------------------- */

static struct deep *in_order(size_t i)
{
	return &deep.table[deep.order[i]];
}

static int compare(const void *a, const void *b)
{
	const struct burrow_stack *x = &deep.table[*(const uint32_t *)a].stack;
	const struct burrow_stack *y = &deep.table[*(const uint32_t *)b].stack;

	if (x->arena != y->arena)
		return x->arena < y->arena ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Those that were noted down since that was done last. */
static void put_in_order(void)
{
	size_t i;

	for (i = deep.armed; i < deep.count; i++)
		deep.order[i] = i;
	qsort(&deep.order[deep.armed], deep.count - deep.armed,
	      sizeof(*deep.order), compare);
}

static bool is_next(const struct deep *d, const struct deep *next)
{
	return next->stack.arena == d->stack.arena &&
	       next->stack.slot == d->stack.slot + 1 &&
	       next->armed == d->armed && next->asked == d->asked &&
	       next->low - d->high <= GAP;
}

/* The one that begins at @i in the order. */
static struct run run_at(size_t i)
{
	struct run run = { .first = i, .count = 1 };

	while (i + run.count < deep.count &&
	       is_next(in_order(i + run.count - 1), in_order(i + run.count)))
		run.count++;
	run.low = in_order(i)->low;
	run.high = in_order(i + run.count - 1)->high;
	run.stack = in_order(i)->stack;
	return run;
}

/* In a group there must not be pages of two. */
static bool can_track(const struct burrow_stack *stack)
{
	if (by_module(stack))
		return stack->arena->stride % (GROUP * deep.page) == 0;
	return deep.tracker == &burrow_track_uffd;
}

/* Once for each arena. */
static bool watch(const struct burrow_stack *stack)
{
	struct burrow_stack_arena *arena = (void *)stack->arena;

	if (by_module(stack))
		return true;
	if (!arena->watched)
		arena->watched = !deep.tracker->watch(
			arena->base,
			arena->base + arena->slots * arena->stride);
	return arena->watched;
}

static int arm(const struct run *run)
{
	const struct burrow_heap_module arena = arena_of(&run->stack);

	if (by_module(&run->stack))
		return burrow_track_arena(&arena, run->low, run->high, ignore,
					  NULL);
	return deep.tracker->arm_present(run->low, run->high);
}

static int written(const struct run *run, burrow_dirty_fn *fn, void *arg)
{
	const struct burrow_heap_module arena = arena_of(&run->stack);

	if (by_module(&run->stack))
		return burrow_track_arena(&arena, run->low, run->high, fn, arg);
	return deep.tracker->look(run->low, run->high, fn, arg);
}

static void disarm(const struct run *run)
{
	if (!by_module(&run->stack))
		deep.tracker->disarm(run->low, run->high);
}

/* ---- the table -------------------------------------------------------------------- */

#define TABLE_BYTES (DEEP_MAX * sizeof(struct deep))
#define PLACES_BYTES (PLACES * sizeof(uint32_t))
#define ORDER_BYTES (DEEP_MAX * sizeof(uint32_t))
#define ALL_BYTES (TABLE_BYTES + PLACES_BYTES + ORDER_BYTES)

static void empty(void)
{
	if (deep.count)
		memset(deep.places, 0, PLACES_BYTES);
	deep.count = 0;
	deep.armed = 0;
	deep.looked = 0;
}

void burrow_deep_begin(const struct burrow_tracker *tracker)
{
	char *p;

	deep.tracker = tracker;
	deep.page = sysconf(_SC_PAGESIZE);
	empty();
	if (deep.table || !tracker)
		return;
	p = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	deep.table = (struct deep *)p;
	deep.places = (uint32_t *)(p + TABLE_BYTES);
	deep.order = (uint32_t *)(p + TABLE_BYTES + PLACES_BYTES);
}

void burrow_deep_close(void)
{
	if (deep.table)
		munmap(deep.table, ALL_BYTES);
	deep.table = NULL;
	deep.count = 0;
}

void burrow_deep_mode(enum burrow_deep_mode mode, bool forget)
{
	deep.mode = deep.table && deep.tracker ? mode : DEEP_OFF;
	deep.forget = forget;
	deep.in_place = IN_PLACE;
	deep.left_out = 0;
}

size_t burrow_deep_left_out(void)
{
	return deep.left_out;
}

bool burrow_deep_some(void)
{
	return deep.looked < deep.count;
}

/* Still the stack of the one that it was, which does not run on it. */
static bool is_parked(const struct deep *d)
{
	return d->g->id == d->id && d->g->state != GOROUTINE_FREE &&
	       d->g->state != GOROUTINE_RUNNING &&
	       d->g->stack.arena == d->stack.arena &&
	       d->g->stack.slot == d->stack.slot;
}

/* Where it is in the hash, or would be: at most half of that is used. */
static uint32_t *place_of(const struct goroutine *g)
{
	uint64_t hash = (uintptr_t)g * 0x9e3779b97f4a7c15UL;
	uint32_t *place;
	size_t i;

	for (i = hash >> 32;; i++) {
		place = &deep.places[i % PLACES];
		if (!*place || deep.table[*place - 1].g == g)
			return place;
	}
}

static struct deep *find(const struct goroutine *g)
{
	uint32_t place = *place_of(g);

	return place ? &deep.table[place - 1] : NULL;
}

static char *page_of(const void *address)
{
	return (char *)((uintptr_t)address & ~(deep.page - 1));
}

/* Its descriptor may have been another's, who is there too. False: there is no room. */
static bool note(const struct goroutine *g, const char *low, const char *high)
{
	assert(deep.table);
	if (deep.count == DEEP_MAX)
		return false;
	deep.table[deep.count] = (struct deep){
		.g = g,
		.id = g->id,
		.stack = g->stack,
		.low = page_of(low),
		.high = (char *)high,
		.at = (char *)high,
	};
	*place_of(g) = ++deep.count;
	return true;
}

/* It is, or is not yet. */
static bool may_be_armed(const struct deep *d)
{
	return d->armed || d >= deep.table + deep.armed;
}

static bool take(const struct goroutine *g, const char *low, const char *high)
{
	const size_t bytes = high - low;
	const struct deep *d = find(g);
	bool there = d && is_parked(d);

	if (there && !may_be_armed(d))
		return false;
	if (!there && bytes <= deep.in_place) {
		deep.in_place -= bytes;
		return false;
	}
	if (!there && !(can_track(&g->stack) && note(g, low, high)))
		return false;
	deep.left_out += bytes;
	return true;
}

/* ---- what is looked at ------------------------------------------------------------ */

bool burrow_deep_arm(void)
{
	struct run run;
	size_t i, k;
	bool ok;

	put_in_order();
	for (i = deep.armed; i < deep.count; i += run.count) {
		run = run_at(i);
		ok = watch(&run.stack) && !arm(&run);
		for (k = i; k < i + run.count; k++)
			in_order(k)->armed = ok;
	}
	deep.armed = deep.count;
	return burrow_deep_some();
}

/* Where it does not lie now it will not be asked for. */
static char *live_low(const struct deep *d)
{
	char *low = d->g->context;

	return low > d->low ? low : d->low;
}

void burrow_deep_look(burrow_root_fn *fn, void *arg)
{
	size_t left = IN_PLACE, bytes;
	struct deep *d;

	while (deep.looked < deep.count && left) {
		d = &deep.table[deep.looked];
		if (!d->armed || !is_parked(d) || d->at <= live_low(d)) {
			deep.looked++;
			continue;
		}
		bytes = d->at - live_low(d);
		if (bytes > left)
			bytes = left;
		fn(arg, d->at - bytes, d->at);
		d->at -= bytes;
		left -= bytes;
	}
}

/**
 * struct again - what is looked at again
 * @run:	which stacks
 * @fn, @arg:	where to go with it
 */
struct again {
	struct run run;
	burrow_root_fn *fn;
	void *arg;
};

/* What was written, as far as it lives and was looked at before. */
static void look_at_one(const struct again *again, const struct deep *d,
			char *low, char *high)
{
	if (low < live_low(d))
		low = live_low(d);
	if (low < d->at)
		low = d->at;
	if (high > d->high)
		high = d->high;
	if (low >= high || deep.forget)
		return;
	deep.left_out -= high - low;
	again->fn(again->arg, low, high);
}

static void look_again(char *low, char *high, void *arg)
{
	const struct again *again = arg;
	const struct burrow_stack_arena *arena = again->run.stack.arena;
	size_t from = (low - arena->base) / arena->stride;
	size_t to = (high - 1 - arena->base) / arena->stride;
	size_t first = again->run.stack.slot;

	if (from < first)
		from = first;
	if (to > first + again->run.count - 1)
		to = first + again->run.count - 1;
	for (; from <= to; from++)
		look_at_one(again, in_order(again->run.first + from - first),
			    low, high);
}

/* Bytes of it that live and were looked at. */
static size_t looked_at(const struct deep *d)
{
	const char *low = live_low(d);

	if (low < d->at)
		low = d->at;
	return d->high - low;
}

static void ask(struct again *again)
{
	struct run *run = &again->run;
	size_t i;

	for (i = run->first; i < run->first + run->count; i++)
		deep.left_out += looked_at(in_order(i));
	if (!written(run, look_again, again))
		return;
	/* It may have told of some before it failed. */
	for (i = run->first; i < run->first + run->count; i++) {
		in_order(i)->asked = false;
		deep.left_out -= looked_at(in_order(i));
	}
}

/*
 * A slot may be there twice, of one that has ended, too: to ask for that would be to
 * forget, on the module, what was written by the other. So runs are of the parked only.
 * Nor is who has returned from his depths asked: there is little to look at, and he may
 * hibernate by now.
 */
static void choose(void)
{
	struct deep *d;

	for (d = deep.table; d < deep.table + deep.count; d++)
		d->asked = d->armed && is_parked(d) &&
			   burrow_stack_is_deep(d->g->context, d->high);
}

void burrow_deep_each(burrow_root_fn *fn, void *arg)
{
	struct again again = { .fn = fn, .arg = arg };
	size_t i;

	if (deep.mode != DEEP_AGAIN)
		return;
	assert(deep.armed == deep.count);
	choose();
	for (i = 0; i < deep.count; i += again.run.count) {
		again.run = run_at(i);
		if (in_order(i)->asked)
			ask(&again);
	}
}

bool burrow_deep_stack(const struct goroutine *g, const char *low,
		       const char *high, burrow_root_fn *fn, void *arg)
{
	struct deep *d;

	if (deep.mode == DEEP_OFF)
		return false;
	if (deep.mode == DEEP_TAKE)
		return take(g, low, high);
	d = find(g);
	if (!d || !d->asked || !is_parked(d))
		return false;
	/* The rest of it was dealt with. */
	if (low < d->at)
		fn(arg, low, d->at < high ? d->at : high);
	return true;
}

void burrow_deep_end(void)
{
	struct run run;
	size_t i;

	for (i = 0; i < deep.armed; i += run.count) {
		run = run_at(i);
		if (in_order(i)->armed)
			disarm(&run);
	}
	empty();
}
