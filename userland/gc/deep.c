// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Deep stacks.
 *
 * Stacks are roots, and a pointer can come to one at any time, also from another
 * goroutine that was given the address of a local. So all live parts count in the
 * last stop. Most are small: a parked goroutine has some hundred bytes, and to ask
 * whether its page was written is dearer than to look at them. But where many are in
 * deep recursion the stop would take long. So those that do not run and have much are
 * tracked as objects are:
 *
 *  1. A walk of the roots looks at some as they are, and notes the others down.
 *  2. Beside the program their live parts are armed: from then on it is known which
 *     of their pages are written, by whomever.
 *  3. They are looked at bit by bit, in stops of their own that are short: so nobody
 *     is on them, and what is looked at has memory.
 *  4. In the last stop only what was written since they were armed, and what lives
 *     and was not looked at, is looked at again: it does not matter who ran meanwhile.
 *
 * Stacks of the module are harvested by it, others by userfaultfd where the heap is.
 * Stacks that are run on are looked at as a whole. The table is by the thread that runs
 * the cycle alone; it is mapped before, as a stop may not allocate.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <stdint.h>
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
 */
struct deep {
	const struct goroutine *g;
	uint64_t id;
	struct burrow_stack stack;
	char *low;
	char *high;
	char *at;
	bool armed;
};

static struct {
	struct deep *table;
	uint32_t *places; /* by goroutine: 1 + its place in @table, 0: free */
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

/* Once for each arena. False: it can't be tracked. */
static bool watch(const struct burrow_stack *stack)
{
	struct burrow_stack_arena *arena = (void *)stack->arena;

	/* No group has pages of two. */
	if (by_module(stack))
		return arena->stride % (GROUP * deep.page) == 0;
	if (deep.tracker != &burrow_track_uffd)
		return false;
	if (!arena->watched)
		arena->watched = !deep.tracker->watch(
			arena->base,
			arena->base + arena->slots * arena->stride);
	return arena->watched;
}

static int arm(const struct deep *d)
{
	const struct burrow_heap_module arena = arena_of(&d->stack);

	if (by_module(&d->stack))
		return burrow_track_arena(&arena, d->low, d->high, ignore,
					  NULL);
	return deep.tracker->arm(d->low, d->high);
}

static int written(const struct deep *d, char *low, burrow_dirty_fn *fn,
		   void *arg)
{
	const struct burrow_heap_module arena = arena_of(&d->stack);

	if (by_module(&d->stack))
		return burrow_track_arena(&arena, low, d->high, fn, arg);
	return deep.tracker->look(low, d->high, fn, arg);
}

static void disarm(const struct deep *d)
{
	if (!by_module(&d->stack))
		deep.tracker->disarm(d->low, d->high);
}

/* ---- the table -------------------------------------------------------------------- */

#define TABLE_BYTES (DEEP_MAX * sizeof(struct deep))
#define PLACES_BYTES (PLACES * sizeof(uint32_t))

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
	p = mmap(NULL, TABLE_BYTES + PLACES_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	deep.table = (struct deep *)p;
	deep.places = (uint32_t *)(p + TABLE_BYTES);
}

void burrow_deep_close(void)
{
	if (deep.table)
		munmap(deep.table, TABLE_BYTES + PLACES_BYTES);
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

/* False: there is no more room. One that is another's now begins anew, unarmed. */
static bool note(struct deep *d, const struct goroutine *g, const char *low,
		 const char *high)
{
	assert(deep.table);
	if (!d && deep.count == DEEP_MAX)
		return false;
	if (!d) {
		d = &deep.table[deep.count++];
		*place_of(g) = deep.count;
	}
	*d = (struct deep){
		.g = g,
		.id = g->id,
		.stack = g->stack,
		.low = page_of(low),
		.high = (char *)high,
		.at = (char *)high,
	};
	return true;
}

static bool take(const struct goroutine *g, const char *low, const char *high)
{
	const size_t bytes = high - low;
	struct deep *d = find(g);

	if (d && is_parked(d)) {
		deep.left_out += bytes;
		return true;
	}
	if (bytes <= deep.in_place) {
		deep.in_place -= bytes;
		return false;
	}
	if (!note(d, g, low, high))
		return false;
	deep.left_out += bytes;
	return true;
}

/* ---- what is looked at ------------------------------------------------------------ */

bool burrow_deep_arm(void)
{
	struct deep *d;

	for (; deep.armed < deep.count; deep.armed++) {
		d = &deep.table[deep.armed];
		d->armed = watch(&d->stack) && !arm(d);
	}
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
 * struct again - what of a stack is looked at again
 * @low, @high:	within these
 * @fn, @arg:	where to go with it
 */
struct again {
	char *low;
	char *high;
	burrow_root_fn *fn;
	void *arg;
};

static void look_again(char *low, char *high, void *arg)
{
	const struct again *again = arg;

	if (low < again->low)
		low = again->low;
	if (high > again->high)
		high = again->high;
	if (low >= high || deep.forget)
		return;
	deep.left_out -= high - low;
	again->fn(again->arg, low, high);
}

/* Of what lives now: what was not looked at, and of the rest what was written. */
static void again(const struct deep *d, char *low, burrow_root_fn *fn,
		  void *arg)
{
	struct again again = {
		.low = low > d->at ? low : d->at,
		.high = d->high,
		.fn = fn,
		.arg = arg,
	};

	if (low < again.low)
		fn(arg, low, again.low);
	if (again.low == again.high)
		return;
	deep.left_out += again.high - again.low;
	/* It may have told some of it before it failed. */
	if (written(d, page_of(again.low), look_again, &again))
		fn(arg, again.low, again.high);
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
	if (!d || !d->armed || !is_parked(d))
		return false;
	again(d, (char *)low, fn, arg);
	return true;
}

void burrow_deep_end(void)
{
	struct deep *d;

	for (d = deep.table; d < deep.table + deep.count; d++) {
		if (d->armed)
			disarm(d);
	}
	empty();
}
